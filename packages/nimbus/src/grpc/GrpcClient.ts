/**
 * The sample gRPC client.
 *
 * It uses what the contract has beyond the old one: it acknowledges what it has shown, says where it is when it comes
 * back, and sends again what the log may not have. Ends with a line of counts; fails unless each event got its answer.
 */
import { createClient, ConnectError, Code, type Client } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { closeCodes } from "@nimbus/domain/protocol"
import { NimbusService } from "@nimbus/gateway/proto"
import { Console, Effect, Option, Random, Redacted, Schedule } from "effect"
import { AnswersMissing, CallFailed } from "../Errors.ts"
import { Numbers, type Saying } from "./Numbers.ts"

interface Asked {
  readonly addr: string
  readonly clientId: string
  readonly start: number
  readonly end: number
  readonly timeout_sec: number
  readonly token: Option.Option<Redacted.Redacted>
}

/** Answers are acknowledged in groups of this many, and at the end. */
const ack_every = 256

/** Between two calls, where the gateway does not say; half of it at random. */
const comeBack = Schedule.exponential("100 millis").pipe(
  (delays) => Schedule.min([delays, Schedule.spaced("2 seconds")]),
  Schedule.jittered,
  Schedule.setInputType<CallFailed>(),
  Schedule.while(({ input }) => input.isPassing),
)

export const run = Effect.fn("GrpcClientCommand")(function* ({
  addr,
  clientId,
  end,
  start,
  timeout_sec,
  token,
}: Asked) {
  const baseUrl = addr.includes("://") ? addr : `http://${addr}`
  const client = createClient(NimbusService, createGrpcTransport({ baseUrl }))
  const authorization = Option.getOrUndefined(Option.map(token, (token) => `Bearer ${Redacted.value(token)}`))
  const numbers = new Numbers(start, end, `${(yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)).toString(36)}-`)
  yield* call(client, { clientId, authorization }, numbers).pipe(
    Effect.tapError(tellOnce(addr)),
    Effect.retry(comeBack),
    Effect.timeoutOption(timeout_sec * 1_000),
  )
  const sent = Math.max(0, end - start + 1)
  const { errors, missing, repeats } = numbers
  yield* Console.log(
    `client ${clientId}: ${sent} sent, ${sent - missing} answered, ${errors} of them errors, ${repeats} repeats dropped`,
  )
  if (missing > 0) return yield* new AnswersMissing({ missing })
})

/** Says why it calls again, once for each reason: of a gateway that is away there are many. */
const tellOnce = (addr: string) => {
  const told = new Set<string>()
  return ({ isPassing, message }: CallFailed) =>
    Effect.suspend(() => {
      if (!isPassing || told.has(message)) return Effect.void
      told.add(message)
      const hint = addr.startsWith("https://") ? "" : `; if it has TLS: --addr=https://${addr.replace("http://", "")}`
      return Console.error(`nimbus: ${message}; it is made again${hint}`)
    })
}

/** Who calls. */
interface Caller {
  readonly clientId: string
  readonly authorization: string | undefined
}

/** One call, until there is an answer to everything or it breaks. */
const call = (client: Client<typeof NimbusService>, { authorization, clientId }: Caller, numbers: Numbers) =>
  Effect.tryPromise({
    try: async (signal) => {
      const requests = new Requests(numbers.toSend())
      const headers = {
        client_id: clientId,
        ack: "client",
        notices: "true",
        after: `${numbers.last}`,
        ...(authorization === undefined ? {} : { authorization }),
        ...(numbers.log === undefined ? {} : { log: numbers.log }),
      }
      let unacknowledged = 0
      if (numbers.missing === 0) requests.end()
      for await (const response of client.processEvent(requests, { headers, signal })) {
        const line = numbers.take(response)
        if (line !== undefined) console.log(line)
        if (response.seq !== undefined) unacknowledged += 1
        const isDone = numbers.missing === 0
        if (unacknowledged >= ack_every || (isDone && unacknowledged > 0)) {
          requests.say({ ack: numbers.last })
          unacknowledged = 0
        }
        if (isDone) requests.end()
      }
    },
    catch: (cause) => failure(ConnectError.from(cause)),
  })

/** What coming back does not help against. A connection that breaks is any other code, as the library sees it. */
const lasting: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.Unimplemented,
  Code.ResourceExhausted,
  Code.Unauthenticated,
  Code.PermissionDenied,
])

const failure = ({ code, rawMessage }: ConnectError): CallFailed => {
  const isPassing = !lasting.has(code) && !rawMessage.startsWith(closeCodes.superseded.reason)
  return new CallFailed({ status: Code[code], reason: rawMessage, isPassing })
}

/** What one call says, as it comes up. Bounded by the run: its events, and an ack for some of their answers. */
class Requests implements AsyncIterable<Saying> {
  private readonly waiting: Array<Saying>
  private hasEnded = false
  private wake: () => void = () => {}

  constructor(first: ReadonlyArray<Saying>) {
    this.waiting = [...first]
  }

  say(saying: Saying): void {
    if (!this.hasEnded) this.waiting.push(saying)
    this.wake()
  }

  end(): void {
    this.hasEnded = true
    this.wake()
  }

  async *[Symbol.asyncIterator]() {
    while (true) {
      yield* this.waiting.splice(0)
      if (this.waiting.length > 0) continue
      if (this.hasEnded) return
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }
}
