/** `nimbus client ada` shows a client; `nimbus client --client_id=ada …` is one. */
import * as Sample from "@nimbus/client/flags"
import { ClientId, type Operations } from "@nimbus/domain/admin"
import { Effect, type Layer, Option } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { answer, flags } from "./Asking.ts"
import type * as Where from "./Where.ts"
import * as Format from "./Format.ts"

export const command = <E, R>(at: (asked: Where.Asked) => Layer.Layer<Operations, E, R>) =>
  Command.make(
    "client",
    {
      ...flags,
      ...Sample.flags,
      clientId: Flag.optional(Sample.flags.clientId),
      id: Argument.String("client-id").pipe(Argument.withSchema(ClientId), Argument.optional),
    },
    Effect.fn("ClientCommand")(function* ({ clientId, id, ...asked }) {
      if (Option.isSome(id) && Option.isSome(clientId)) return yield* both(clientId.value)
      if (Option.isSome(id))
        return yield* answer(at)(asked, ({ client }) => client({ params: { clientId: id.value } }), Format.client)
      if (Option.isNone(clientId)) return yield* neither
      const { Sample } = yield* Effect.promise(() => import("@nimbus/client/node"))
      yield* Sample.send({ ...asked, clientId: clientId.value })
    }),
  ).pipe(
    Command.withDescription(
      "Show a client by its id; or be one, that sends a range of numbers to be squared and counts the results",
    ),
    Command.withExamples([
      { command: "nimbus client ada", description: "What is known of the client ada" },
      ...Sample.examples,
    ]),
  )

/** To show a client, or to be one. */
const both = (clientId: string) => {
  const expected = "either a client id to show, or --client_id of the client to be"
  const invalid = new CliError.InvalidValue({ option: "client_id", value: clientId, expected, kind: "flag" })
  return Effect.fail(new CliError.ShowHelp({ commandPath: ["nimbus", "client"], errors: [invalid] }))
}

/** As where a flag that must be there is missing. */
const neither = Effect.suspend(() => {
  const missing = new CliError.MissingOption({ option: "client_id" })
  return Effect.fail(new CliError.ShowHelp({ commandPath: ["nimbus", "client"], errors: [missing] }))
})
