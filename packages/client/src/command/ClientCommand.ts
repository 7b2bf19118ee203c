/**
 * The sample client as a command: `nimbus client --client_id=c1 --start=1 --end=10`.
 *
 * It ends with a table. It fails, with an exit code other than 0, unless each event received exactly one result, in
 * order.
 */
import { Console, Effect, Option, Redacted, Stream } from "effect"
import { Command } from "effect/cli"
import * as Client from "../Client.ts"
import { NoGateway, ResultsWrong } from "../Errors.ts"
import { layerFile } from "../FileMemory.ts"
import { layerMemory } from "../Memory.ts"
import { display } from "./Display.ts"
import { type Asked, checked, examples, flags } from "./Flags.ts"
import { run } from "./Run.ts"
import { isComplete, table } from "./Summary.ts"

export { examples, flags }

/**
 * After the first connection, the client reconnects without end. It does not wait for a gateway that was never
 * available. One with locks waits up to 5 s for a token that this client may not have, before it says so.
 */
const connect_ms = 8_000

/**
 * Completes when the client is connected. Fails with `NO_GATEWAY` after `within_ms`, and with the errors of the client.
 */
export const connected = (client: Client.Client, addr: string, within_ms = connect_ms) =>
  Effect.raceFirst(Stream.runHead(Stream.filter(client.status, (status) => status !== "OFFLINE")), client.failed).pipe(
    Effect.timeoutOrElse({ duration: within_ms, orElse: () => Effect.fail(new NoGateway({ addr, within_ms })) }),
  )

/** What the command does, for commands that add to it. */
export const send = Effect.fn("ClientCommand")(function* (asked: Asked) {
  yield* checked(asked)
  const { addr, clientId, end, memory, start, timeout_sec, token: shown } = asked
  const token = Option.getOrUndefined(Option.map(shown, (token) => () => Redacted.value(token)))
  const summary = yield* Effect.scoped(
    Effect.gen(function* () {
      const client = yield* Client.make({ url: addr, clientId, token })
      yield* connected(client, addr)
      const shown = display(process.stdout, process.stderr)
      return yield* run(client, { start, end, timeout_ms: timeout_sec * 1000 }, shown)
    }),
  ).pipe(Effect.provide(Option.match(memory, { onNone: () => layerMemory, onSome: layerFile })))
  yield* Console.log(table(clientId, summary))
  if (!isComplete(summary)) return yield* new ResultsWrong(summary)
})

/** The sample client: `nimbus client`. */
export const command = Command.make("client", flags, send).pipe(
  Command.withDescription("Send a range of numbers to be squared, print the results, and count them"),
  Command.withExamples(examples),
)
