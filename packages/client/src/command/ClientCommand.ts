/**
 * The sample client as a command: `nimbus client --client_id=c1 --start=1 --end=10`.
 *
 * Ends with a table; fails, and so exits with another code than 0, unless each event got its one result, in order.
 */
import { Console, Effect, Option, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import * as Client from "../Client.ts"
import { NoGateway, ResultsWrong } from "../Errors.ts"
import { layerFile } from "../FileMemory.ts"
import { layerMemory } from "../Memory.ts"
import { display } from "./Display.ts"
import { run } from "./Run.ts"
import { isComplete, table } from "./Summary.ts"

export const flags = {
  clientId: Flag.String("client_id").pipe(Flag.withDescription("Who this is: 1 to 128 of A-Za-z0-9._:@-")),
  start: Flag.Int("start").pipe(Flag.withDescription("The first number to square"), Flag.withDefault(1)),
  end: Flag.Int("end").pipe(Flag.withDescription("The last number to square"), Flag.withDefault(10)),
  addr: Flag.String("addr").pipe(Flag.withDescription("Where the gateway is"), Flag.withDefault("ws://127.0.0.1:3000")),
  timeout_sec: Flag.Int("timeout_sec").pipe(
    Flag.withDescription("How long the whole run may take, in seconds"),
    Flag.withDefault(60),
  ),
  memory: Flag.Directory("memory").pipe(
    Flag.withDescription("A directory to remember in across runs; without it each run begins anew"),
    Flag.optional,
  ),
}

/** Once connected, a gateway may go and come as it likes; but one that was never there need not be waited for. */
const connect_ms = 3_000

export const connected = (client: Client.Client, addr: string, within_ms = connect_ms) =>
  Effect.raceFirst(Stream.runHead(Stream.filter(client.status, (status) => status !== "OFFLINE")), client.failed).pipe(
    Effect.timeoutOrElse({ duration: within_ms, orElse: () => Effect.fail(new NoGateway({ addr, within_ms })) }),
  )

interface Asked {
  readonly addr: string
  readonly clientId: string
  readonly start: number
  readonly end: number
  readonly timeout_sec: number
  readonly memory: Option.Option<string>
}

export const examples = [
  {
    command: "nimbus client --client_id=c1 --start=1 --end=10",
    description: "Ten events to the gateway on this machine",
  },
]

/** What the command does, for one that has more to it. */
export const send = Effect.fn("ClientCommand")(function* ({ addr, clientId, end, memory, start, timeout_sec }: Asked) {
  const summary = yield* Effect.scoped(
    Effect.gen(function* () {
      const client = yield* Client.make({ url: addr, clientId })
      yield* connected(client, addr)
      const shown = display(process.stdout, process.stderr)
      return yield* run(client, { start, end, timeout_ms: timeout_sec * 1000 }, shown)
    }),
  ).pipe(Effect.provide(Option.match(memory, { onNone: () => layerMemory, onSome: layerFile })))
  yield* Console.log(table(clientId, summary))
  if (!isComplete(summary)) return yield* new ResultsWrong(summary)
})

export const command = Command.make("client", flags, send).pipe(
  Command.withDescription("Send a range of numbers to be squared, print the results, and count them"),
  Command.withExamples(examples),
)
