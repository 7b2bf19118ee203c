/**
 * A client as those of NimbusWS are: it sends plain JSON over a WebSocket, takes what comes, and knows nothing of acks.
 * `ws` answers its pings on its own.
 */
import { eventually } from "@nimbus/domain/testing"
import { Effect, Schema, type Scope } from "effect"
import { type ClientOptions, WebSocket } from "ws"

const Frame = Schema.StructWithRest(Schema.Struct({ type: Schema.String }), [
  Schema.Record(Schema.String, Schema.Unknown),
])

/** Any frame. */
export type PlainFrame = typeof Frame.Type
const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Frame))

const ResultFrame = Schema.Struct({
  type: Schema.Literal("processed_finished"),
  seq: Schema.Int,
  id: Schema.String,
  name: Schema.String,
  data: Schema.optionalKey(Schema.Json),
  error: Schema.optionalKey(Schema.Struct({ code: Schema.String, message: Schema.String })),
})

/** The frame of a result. */
export type PlainResult = typeof ResultFrame.Type
const isResult = Schema.is(ResultFrame)

/** One connection. */
export interface PlainClient {
  readonly ws: WebSocket
  /** Everything so far. */
  readonly frames: ReadonlyArray<PlainFrame>
  /** Text as it is, or anything else as JSON. */
  send(frame: unknown): void
  event(data: Schema.Json): void
  results(): ReadonlyArray<PlainResult>
  /** How many events the log has taken. */
  accepted(): number
  /** The last one told. */
  status(): unknown
  /** The first frame of this type, waited for. */
  first(type: string): Effect.Effect<PlainFrame, unknown>
  /** Destroys the socket, without a word. */
  cut(): void
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }>
}

/** Connects to a WebSocket URL, and waits until it is open. The socket lives as long as the scope. */
export const connect = (
  url: string,
  protocols: ReadonlyArray<string> = [],
  options: ClientOptions = {},
): Effect.Effect<PlainClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const frames: Array<PlainFrame> = []
    const ws = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(url, [...protocols], options)),
      (socket) => Effect.sync(() => socket.terminate()),
    )
    ws.on("message", (data: Buffer) => frames.push(decode(data.toString())))
    // What an error comes to shows in the close.
    ws.on("error", () => {})
    const closed = new Promise<{ readonly code: number; readonly reason: string }>((resolve) =>
      ws.once("close", (code, reason) => resolve({ code, reason: reason.toString() })),
    )
    yield* Effect.callback<void>((resume) => {
      ws.once("open", () => resume(Effect.void))
    })
    return {
      ws,
      frames,
      send: (frame) => ws.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
      event: (data) => ws.send(JSON.stringify({ type: "event", data })),
      results: () => frames.filter((frame) => isResult(frame)),
      accepted: () => frames.filter(({ type }) => type === "event_accepted").length,
      status: () => frames.findLast(({ type }) => type === "status")?.["data"],
      first: (type) =>
        Effect.gen(function* () {
          yield* eventually(
            `a frame ${type}`,
            Effect.sync(() => frames.some((frame) => frame.type === type)),
          )
          return frames.find((frame) => frame.type === type)!
        }),
      cut: () => ws.terminate(),
      closed: Effect.promise(() => closed),
    }
  })
