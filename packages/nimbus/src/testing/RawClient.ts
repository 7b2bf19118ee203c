/** A plain WebSocket client, as anyone has it who does not use the SDK. */
import { type Frames, ServerFrames } from "@nimbus/domain/protocol"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Result } from "effect"
import { WebSocket } from "ws"

export interface RawClient {
  readonly frames: ReadonlyArray<Frames.ServerFrame>
  send(frame: object): void
  /** The results so far, of all frames. */
  results(): ReadonlyArray<Frames.ResultItem>
  /** Once the other side has closed: with what. */
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }>
}

/** What it says in its handshake. */
export interface Handshake {
  readonly protocols?: ReadonlyArray<string>
  readonly headers?: Readonly<Record<string, string>>
}

/** Connects, and waits for the welcome. */
export const connect = Effect.fnUntraced(function* (
  port: number,
  query: string,
  { headers = {}, protocols = [] }: Handshake = {},
) {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`ws://127.0.0.1:${port}/v1/stream?${query}`, [...protocols], { headers })),
    (socket) => Effect.sync(() => socket.terminate()),
  )
  const frames: Array<Frames.ServerFrame> = []
  // What an error comes to shows in the close.
  socket.on("error", () => {})
  socket.on("message", (data: Buffer) => frames.push(Result.getOrThrow(ServerFrames.parse(data.toString()))))
  const closed = new Promise<{ readonly code: number; readonly reason: string }>((resolve) =>
    socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() })),
  )
  yield* eventually(
    `welcome for ${query}`,
    Effect.sync(() => frames.length > 0),
  )
  return {
    frames,
    send: (frame) => socket.send(JSON.stringify(frame)),
    results: () => frames.flatMap((frame) => (frame.type === "results" ? frame.items : [])),
    closed: Effect.promise(() => closed),
  } satisfies RawClient as RawClient
})
