/** The call of the gRPC transport. */
import { GrpcClient } from "@nimbus/gateway/testing"
import { Effect } from "effect"
import { type Attempt, client, patience_ms, type Place, unsentSeq } from "./Attempt.ts"

type Response = GrpcClient.GrpcClient["responses"][number]

interface Try {
  readonly metadata?: Readonly<Record<string, string>>
  /** What is sent once it is LIVE. Default: nothing, and to be LIVE is all. */
  readonly send?: (client: GrpcClient.GrpcClient) => void
  readonly isDone?: (response: Response) => boolean
}

const ask =
  ({ isDone, metadata = {}, send }: Try) =>
  ({ grpc }: Place, token: string | undefined): Promise<string> =>
    Effect.gen(function* () {
      const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const call = yield* GrpcClient.connect({
        port: grpc,
        metadata: { client_id: client, notices: "true", ack: "client", ...metadata, ...authorization },
      })
      // A call that could not begin ends with its code before the colon.
      const ended = Effect.map(call.ended, ({ message }) => message.split(":", 1)[0] ?? "")
      const done = Effect.gen(function* () {
        yield* call.isLive
        send?.(call)
        if (send === undefined) return "OK"
        const said = yield* call.first(
          "what came of it",
          (response) => isDone?.(response) === true || codeOf(response) !== "",
        )
        return isDone?.(said) === true ? "OK" : codeOf(said)
      })
      return yield* Effect.raceFirst(done, ended)
    }).pipe(Effect.scoped, Effect.timeout(patience_ms), Effect.runPromise)

const codeOf = ({ error }: Response): string => error?.code ?? ""

const attempt = (what: string, capability: string, besides: ReadonlyArray<string>, how: Try): Attempt => ({
  transport: "grpc",
  what,
  capability,
  isAbout: true,
  besides,
  attempt: ask(how),
})

const connected = [`connect:${client}`, "read"]

export const grpc: ReadonlyArray<Attempt> = [
  attempt("to connect", `connect:${client}`, ["read"], {}),
  attempt("to read", "read", [`connect:${client}`], {}),
  attempt("to have what it reads acknowledged", "ack", connected, { metadata: { ack: "auto" } }),
  attempt("to acknowledge", "ack", connected, {
    send: (call) => call.ack(BigInt(unsentSeq)),
    isDone: (response) => codeOf(response) === "ACK_BEYOND_SENT",
  }),
  attempt("to come back with `after`", "ack", connected, {
    metadata: { after: "0" },
  }),
  attempt("to send an event", "send:sq", connected, {
    send: (call) => call.square(3),
    isDone: ({ accepted }) => accepted.length > 0,
  }),
  attempt("to cancel a task", "cancel", connected, {
    send: (call) => call.send({ cancel: "e1" }),
    isDone: ({ cancelling }) => cancelling.length > 0,
  }),
  attempt("to have its events sampled", "journey", connected, { metadata: { journey: "true" } }),
]
