/**
 * A connection to a gateway as the client sees it: text frames both ways until it is closed with a code.
 *
 * Contract:
 * 1. Frames arrive in the order sent, without loss, up to some point; then `read` fails with the close, after all
 *    that came before it was read.
 * 2. `write` hands frames over in order and waits while too much is unsent. That it succeeded says nothing about arrival.
 * 3. The connection is closed with its scope.
 */
import { type Array, Cause, Context, Effect, Layer, Queue, type Scope } from "effect"
import { Frames } from "@nimbus/domain"
import { ConnectionClosed } from "./Errors.ts"
import { type ClientLimits, clientLimits } from "./Limits.ts"

export interface Connection {
  /** All frames that came in since the last read; waits for the first. */
  readonly read: Effect.Effect<Array.NonEmptyReadonlyArray<string>, ConnectionClosed>
  write(frames: ReadonlyArray<string>): Effect.Effect<void, ConnectionClosed>
}

export interface TransportShape {
  /** Succeeds once frames can be written. */
  connect(url: string): Effect.Effect<Connection, ConnectionClosed, Scope.Scope>
}

/** The part of the standard `WebSocket` that is needed: the browser's, Node's, or that of `ws`. */
export interface WebSocketLike {
  readonly readyState: number
  readonly bufferedAmount: number
  send(data: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: "open" | "error", listener: () => void): void
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void
}
export type WebSocketConstructor = new (url: string, protocol: string) => WebSocketLike

type TransportLimits = Pick<ClientLimits, "unread_frames" | "unsent_bytes">

/** What a WebSocket reports that was never opened, or that broke without a close (RFC 6455, 7.1.5). */
const abnormal = 1006
const open = 1
/** `WebSocket` has no event for "sent": while too much is unsent it is looked at this often. */
const drainCheck_ms = 5

/** A transport over WebSockets made by `Constructor`. */
export const webSocket = (
  Constructor: WebSocketConstructor,
  limits: TransportLimits = clientLimits,
): TransportShape => ({
  connect: Effect.fnUntraced(function* (url) {
    const frames = yield* Queue.bounded<string, ConnectionClosed>(limits.unread_frames)
    const socket = yield* Effect.acquireRelease(
      Effect.try({
        try: () => new Constructor(url, Frames.subprotocol),
        catch: (cause) => closed(abnormal, cause instanceof Error ? cause.message : String(cause)),
      }),
      (socket) => Effect.sync(() => socket.close(1000)),
    )
    yield* opened(socket, frames)
    return {
      read: Queue.takeAll(frames),
      write: (frames) =>
        Effect.suspend(() => {
          if (socket.readyState !== open) return Effect.fail(closed(abnormal, "the socket is closed"))
          for (const frame of frames) socket.send(frame)
          return socket.bufferedAmount <= limits.unsent_bytes ? Effect.void : drained(socket, limits)
        }),
    }
  }),
})

/** Listens from the first moment on, so that nothing is missed, and waits until the socket is open. */
const opened = (socket: WebSocketLike, frames: Queue.Queue<string, ConnectionClosed>) =>
  Effect.callback<void, ConnectionClosed>((resume) => {
    const over = (code: number, reason: string) => {
      const error = closed(code, reason)
      Queue.failCauseUnsafe(frames, Cause.fail(error))
      resume(Effect.fail(error))
    }
    socket.addEventListener("open", () => resume(Effect.void))
    socket.addEventListener("close", (event) => over(event.code, event.reason))
    // The close that follows an error tells all that can be told; without this listener some sockets throw.
    socket.addEventListener("error", () => {})
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string" && Queue.offerUnsafe(frames, data)) return
      over(abnormal, typeof data === "string" ? "frames came in faster than they were read" : "a binary frame")
      socket.close(1000)
    })
  })

const drained = (socket: WebSocketLike, limits: TransportLimits): Effect.Effect<void, ConnectionClosed> =>
  Effect.gen(function* () {
    while (socket.bufferedAmount > limits.unsent_bytes) {
      if (socket.readyState !== open) return yield* closed(abnormal, "the socket is closed")
      yield* Effect.sleep(drainCheck_ms)
    }
  })

const closed = (close: number, reason: string) => new ConnectionClosed({ close, reason })

/** How clients connect. By default through `globalThis.WebSocket`, which browsers and Node have. */
export const Transport = Context.Reference<TransportShape>("@nimbus/client/Transport", {
  defaultValue: () => webSocket(globalThis.WebSocket),
})

/** Another constructor, such as that of `ws`. */
export const layerWebSocket = (Constructor: WebSocketConstructor, limits?: TransportLimits): Layer.Layer<never> =>
  Layer.succeed(Transport, webSocket(Constructor, limits))
