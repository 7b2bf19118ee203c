/**
 * A connection to a gateway as the client sees it: text frames both ways until it is closed with a code.
 *
 * Contract:
 * 1. Frames arrive in the order sent, without loss, up to some point; then `read` fails with the close, after all
 *    that came before it was read.
 * 2. `write` hands frames over in order and waits while too much is unsent. That it succeeded says nothing about arrival.
 * 3. The connection is closed with its scope.
 * 4. What can't become better by trying again fails with `BAD_REQUEST` (4501), and says why: an address that no socket is
 *    made for, or one at which a gateway answers that there is no stream.
 */
import type { Array, Scope } from "effect"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { closeCodes, Guards, subprotocol } from "@nimbus/domain/protocol"
import { ConnectionClosed } from "./Errors.ts"
import { type ClientLimits, clientLimits } from "./Limits.ts"

/** One open connection. It is closed with its scope. */
export interface Connection {
  /** All frames that came in since the last read; waits for the first. */
  readonly read: Effect.Effect<Array.NonEmptyReadonlyArray<string>, ConnectionClosed>
  write(frames: ReadonlyArray<string>): Effect.Effect<void, ConnectionClosed>
}

/** The methods of a transport. */
export interface TransportShape {
  /** Why it could never connect there; `undefined`: it may. */
  fault?(url: URL): string | undefined
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

/** Makes a WebSocket: `globalThis.WebSocket`, or that of the package `ws`. */
export type WebSocketConstructor = new (url: string, protocol: string) => WebSocketLike

type TransportLimits = Pick<ClientLimits, "unread_frames" | "unsent_bytes">

/** As the Fetch standard has them ("bad ports"). */
const forbiddenPorts: ReadonlySet<number> = new Set([
  1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
  111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
  540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
  6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
])

/** What a WebSocket reports that was never opened, or that broke without a close (RFC 6455, 7.1.5). */
const abnormal = 1006
const open = 1
/** `WebSocket` has no event for "sent": while too much is unsent it is looked at this often. */
const drainCheck_ms = 5

/** Where nobody passes one, as Node before 22 needs. */
const noWebSocket =
  "can't be connected to: this runtime has no WebSocket (Node has one from 22 on). Pass one, such as that of the package ws, as `WebSocket`"

/** A transport over WebSockets made by `Constructor`. Without one every address is refused, with what to do. */
export const webSocket = (
  Constructor: WebSocketConstructor | undefined,
  limits: TransportLimits = clientLimits,
): TransportShape => ({
  fault: (url) => {
    if (Constructor === undefined) return noWebSocket
    return Constructor === globalThis.WebSocket && forbiddenPorts.has(Number(url.port))
      ? `names port ${url.port}, to which browsers and Node open no WebSocket`
      : undefined
  },
  connect: Effect.fnUntraced(function* (url) {
    if (Constructor === undefined) return yield* closed(closeCodes.badRequest.code, `${url} ${noWebSocket}`)
    const frames = yield* Queue.bounded<string, ConnectionClosed>(limits.unread_frames)
    const socket = yield* Effect.acquireRelease(
      Effect.try({
        try: () => new Constructor(url, subprotocol),
        catch: notMade,
      }),
      (socket) => Effect.sync(() => socket.close(1000)),
    )
    yield* Effect.catch(opened(socket, frames), (error) =>
      Effect.flatMap(refusalAt(url), (refusal) =>
        Effect.fail(refusal === undefined ? error : closed(closeCodes.badRequest.code, refusal)),
      ),
    )
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

/** Of an answer that says why there is no stream. */
const refusal_bytes = 4_096
/** Some time it is there: 408, 425 and 429 say "not now", and 426 that it is. */
const passing: ReadonlySet<number> = new Set([408, 425, 426, 429])

/**
 * A socket that is not opened does not tell why. A gateway does, where it is asked by HTTP: what it refuses for good, with
 * a code, it will refuse again. Anybody else's answer, or none, says nothing of the next attempt.
 */
const refusalAt = (url: string): Effect.Effect<string | undefined> =>
  Effect.tryPromise(async (signal) => {
    const answer = await fetch(url.replace(/^ws/, "http"), { signal, redirect: "error", cache: "no-store" })
    const { headers, status } = answer
    const length = Number(headers.get("content-length") ?? Infinity)
    const isRefusal = status >= 400 && status < 500 && !passing.has(status) && length <= refusal_bytes
    if (!isRefusal) {
      await answer.body?.cancel()
      return undefined
    }
    return refusalIn(await answer.json())
  }).pipe(Effect.orElseSucceed(() => undefined))

const refusalIn = (answer: unknown): string | undefined =>
  Guards.isObject(answer) && Guards.isText(answer["code"]) && Guards.isText(answer["message"])
    ? `${answer["code"]}: ${answer["message"]}`
    : undefined

const drained = (socket: WebSocketLike, limits: TransportLimits): Effect.Effect<void, ConnectionClosed> =>
  Effect.gen(function* () {
    while (socket.bufferedAmount > limits.unsent_bytes) {
      if (socket.readyState !== open) return yield* closed(abnormal, "the socket is closed")
      yield* Effect.sleep(drainCheck_ms)
    }
  })

/** What the WebSocket standard has constructors throw because of the address alone: the next attempt would throw it too. */
const faultsOfAddress: ReadonlySet<string> = new Set(["SyntaxError", "SecurityError"])

/** Constructors of others throw for more, such as a lost network: that passes. */
const notMade = (cause: unknown) =>
  cause instanceof Error
    ? closed(faultsOfAddress.has(cause.name) ? closeCodes.badRequest.code : abnormal, cause.message)
    : closed(abnormal, String(cause))

const closed = (close: number, reason: string) => new ConnectionClosed({ close, reason })

/** How clients connect. By default through `globalThis.WebSocket`, which browsers and Node have. */
export const Transport = Context.Reference<TransportShape>("@nimbus/client/Transport", {
  defaultValue: () => webSocket(globalThis.WebSocket),
})

/** Another constructor, such as that of `ws`. */
export const layerWebSocket = (Constructor: WebSocketConstructor, limits?: TransportLimits): Layer.Layer<never> =>
  Layer.succeed(Transport, webSocket(Constructor, limits))
