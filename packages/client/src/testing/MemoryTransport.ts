/** A transport within the process: what a client connects to is the other end of a pair of bounded queues. */
import { Cause, Effect, Queue } from "effect"
import { ConnectionClosed } from "../Errors.ts"
import type { TransportShape } from "../Transport.ts"

/** The gateway's end of a connection. */
export interface Peer {
  readonly url: string
  readonly token: string | undefined
  /** The frames that came in since the last read; waits for the first; fails when the client has gone. */
  readonly read: Effect.Effect<ReadonlyArray<string>, ConnectionClosed>
  /** What came in and was not read, without waiting. */
  readonly readNow: Effect.Effect<ReadonlyArray<string>>
  send(...frames: ReadonlyArray<object | string>): Effect.Effect<void>
  close(code: number, reason?: string): Effect.Effect<void>
}

const capacity = 10_000

export const make = Effect.gen(function* () {
  const peers = yield* Queue.bounded<Peer>(capacity)
  let refusal: ConnectionClosed | undefined
  const transport: TransportShape = {
    connect: Effect.fnUntraced(function* (url, token) {
      if (refusal !== undefined) return yield* refusal
      const up = yield* Queue.bounded<string, ConnectionClosed>(capacity)
      const down = yield* Queue.bounded<string, ConnectionClosed>(capacity)
      const closeBoth = (close: number, reason: string) =>
        Effect.sync(() => {
          const cause = Cause.fail(new ConnectionClosed({ close, reason }))
          Queue.failCauseUnsafe(up, cause)
          Queue.failCauseUnsafe(down, cause)
        })
      yield* Effect.addFinalizer(() => closeBoth(1000, ""))
      yield* Queue.offer(peers, {
        url,
        token,
        read: Queue.takeAll(up),
        readNow: Effect.orElseSucceed(Queue.clear(up), () => []),
        send: (...frames) =>
          Effect.asVoid(
            Queue.offerAll(
              down,
              frames.map((frame) => (typeof frame === "string" ? frame : JSON.stringify(frame))),
            ),
          ),
        close: (code, reason = "") => closeBoth(code, reason),
      })
      return {
        read: Queue.takeAll(down),
        write: (frames) =>
          Effect.suspend(() =>
            up.state._tag === "Open"
              ? Effect.asVoid(Queue.offerAll(up, frames))
              : Effect.fail(new ConnectionClosed({ close: 1006, reason: "closed" })),
          ),
      }
    }),
  }
  return {
    transport,
    /** The next client that connects. */
    accept: Queue.take(peers),
    /** Whether a client has connected and was not accepted yet. */
    knocks: Queue.size(peers),
    /** From now on every attempt fails, until told otherwise. */
    refuse: (error: ConnectionClosed | undefined) =>
      Effect.sync(() => {
        refusal = error
      }),
  }
})
