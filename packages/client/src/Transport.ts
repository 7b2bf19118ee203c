/**
 * A connection to a gateway, as the client sees it: text frames in both directions until it is closed with a code.
 *
 * Contract:
 * 1. Frames arrive in the order in which they were sent, without loss, up to some point. Then `read` fails with the close,
 *    after everything before it was read.
 * 2. `write` sends frames in order, and waits while too much is unsent. Its success does not prove their arrival.
 * 3. The connection is closed with its scope.
 * 4. A token is shown before anything else: as the subprotocol `nimbus.bearer.<token>` if its characters allow that, for
 *    browsers have no other header, and otherwise as the first frame. The address never has it, and neither have errors.
 * 5. An address at which a retry can't succeed fails with `BAD_REQUEST` (4501) and the reason: one that is not valid for a
 *    socket, or one at which a gateway says that there is no stream.
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
  /** All frames that arrived since the last read. Waits for the first one. */
  readonly read: Effect.Effect<Array.NonEmptyReadonlyArray<string>, ConnectionClosed>
  write(frames: ReadonlyArray<string>): Effect.Effect<void, ConnectionClosed>
}

/** The methods of a transport. */
export interface TransportShape {
  /** Why it can never connect there. `undefined`: it may connect. */
  fault?(url: URL): string | undefined
  /** Succeeds when frames can be written. `token`: shows who the client is. */
  connect(url: string, token?: string): Effect.Effect<Connection, ConnectionClosed, Scope.Scope>
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
export type WebSocketConstructor = new (url: string, protocols: string | Array<string>) => WebSocketLike

type TransportLimits = Pick<ClientLimits, "unread_frames" | "unsent_bytes">

/** The "bad ports" of the Fetch standard. */
const forbiddenPorts: ReadonlySet<number> = new Set([
  1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
  111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
  540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
  6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
])

/** The code of a WebSocket that was never opened, or that broke without a close (RFC 6455, 7.1.5). */
const abnormal = 1006
const open = 1
/** `WebSocket` has no event for "sent". While too much is unsent, it is checked this often. */
const drainCheck_ms = 5

/** For a runtime without a `WebSocket`, such as Node before 22, if none was passed. */
const noWebSocket =
  "can't be connected to: this runtime has no WebSocket (Node has one from 22 on). Pass one, such as that of the package ws, as `WebSocket`"

/** A transport over WebSockets that `Constructor` makes. Without one, every address is refused with what to do. */
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
  connect: Effect.fnUntraced(function* (url, token) {
    if (Constructor === undefined) return yield* closed(closeCodes.badRequest.code, `${url} ${noWebSocket}`)
    const frames = yield* Queue.bounded<string, ConnectionClosed>(limits.unread_frames)
    const socket = yield* Effect.acquireRelease(
      Effect.try({
        try: () => new Constructor(url, isInHandshake(token) ? [subprotocol, `${bearer}${token}`] : subprotocol),
        catch: (cause) => notMade(cause, token),
      }),
      (socket) => Effect.sync(() => socket.close(1000)),
    )
    yield* Effect.catch(opened(socket, frames), (error) =>
      Effect.flatMap(refusalAt(url, token), (refusal) => Effect.fail(refusal ?? error)),
    )
    const write: Connection["write"] = (frames) =>
      Effect.suspend(() => {
        if (socket.readyState !== open) return Effect.fail(closed(abnormal, "the socket is closed"))
        for (const frame of frames) socket.send(frame)
        return socket.bufferedAmount <= limits.unsent_bytes ? Effect.void : drained(socket, limits)
      })
    if (token !== undefined && !isInHandshake(token)) yield* write([authFrame(token)])
    return { read: Queue.takeAll(frames), write }
  }),
})

/** Listens before the socket can receive anything, so that nothing is missed, and waits until it is open. */
const opened = (socket: WebSocketLike, frames: Queue.Queue<string, ConnectionClosed>) =>
  Effect.callback<void, ConnectionClosed>((resume) => {
    const over = (code: number, reason: string) => {
      const error = closed(code, reason)
      Queue.failCauseUnsafe(frames, Cause.fail(error))
      resume(Effect.fail(error))
    }
    socket.addEventListener("open", () => resume(Effect.void))
    socket.addEventListener("close", (event) => over(event.code, event.reason))
    // The close that follows an error has all that is known. Without this listener some sockets throw.
    socket.addEventListener("error", () => {})
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string" && Queue.offerUnsafe(frames, data)) return
      over(abnormal, typeof data === "string" ? "frames came in faster than they were read" : "a binary frame")
      socket.close(1000)
    })
  })

/** How a token is shown in the handshake: beside the subprotocol that is spoken. */
const bearer = "nimbus.bearer."
/** Beyond, the head of the request could be too large for a server on the way. */
const most_handshake_chars = 4_096

/** Whether the token can be a subprotocol (RFC 6455, 4.1: a token of RFC 9110). Every JWT is one. */
const isInHandshake = (token: string | undefined): token is string =>
  token !== undefined && token.length <= most_handshake_chars && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(token)

/** Shows the gateway a token, on a connection that is open. */
export const authFrame = (token: string): string => JSON.stringify({ type: "auth", token })

/** The response of a gateway that has no stream there. */
const refusal_bytes = 4_096
/** The stream may exist: 408, 425 and 429 mean "not now", and 426 that it does. */
const passing: ReadonlySet<number> = new Set([408, 425, 426, 429])

/**
 * A socket that is not opened gives no reason. A gateway does, by HTTP: what it refuses permanently, with a code, it will
 * refuse again. The response of any other server, or none, says nothing about the next attempt.
 */
const refusalAt = (url: string, token: string | undefined): Effect.Effect<ConnectionClosed | undefined> =>
  Effect.tryPromise(async (signal) => {
    const answer = await fetch(url.replace(/^ws/, "http"), { signal, redirect: "error", cache: "no-store" })
    const { headers, status } = answer
    const length = Number(headers.get("content-length") ?? Infinity)
    const isRefusal = status >= 400 && status < 500 && !passing.has(status) && length <= refusal_bytes
    if (!isRefusal) {
      await answer.body?.cancel()
      return undefined
    }
    return refusalIn(await answer.json(), token)
  }).pipe(Effect.orElseSucceed(() => undefined))

/** The question has no token with it: where the client has one, its lack says nothing. */
const refusalIn = (answer: unknown, token: string | undefined): ConnectionClosed | undefined => {
  if (!Guards.isObject(answer)) return undefined
  const { code, message } = answer
  if (!Guards.isText(code) || !Guards.isText(message)) return undefined
  const isMissing = code === "TOKEN_MISSING"
  if (isMissing && token !== undefined) return undefined
  return closed((isMissing ? closeCodes.unauthenticated : closeCodes.badRequest).code, `${code}: ${message}`)
}

const drained = (socket: WebSocketLike, limits: TransportLimits): Effect.Effect<void, ConnectionClosed> =>
  Effect.gen(function* () {
    while (socket.bufferedAmount > limits.unsent_bytes) {
      if (socket.readyState !== open) return yield* closed(abnormal, "the socket is closed")
      yield* Effect.sleep(drainCheck_ms)
    }
  })

/** What a constructor throws because of the address alone, by the WebSocket standard. The next attempt would throw too. */
const faultsOfAddress: ReadonlySet<string> = new Set(["SyntaxError", "SecurityError"])

/** Other constructors throw for further reasons, such as a lost network, which may pass. */
const notMade = (cause: unknown, token: string | undefined) => {
  const { message, name } = cause instanceof Error ? cause : { message: String(cause), name: "" }
  // Browsers quote a subprotocol that they refuse.
  const reason = token === undefined ? message : message.replaceAll(token, "…")
  return closed(faultsOfAddress.has(name) ? closeCodes.badRequest.code : abnormal, reason)
}

const closed = (close: number, reason: string) => new ConnectionClosed({ close, reason })

/** How clients connect. The default is `globalThis.WebSocket`, which browsers and Node have. */
export const Transport = Context.Reference<TransportShape>("@nimbus/client/Transport", {
  defaultValue: () => webSocket(globalThis.WebSocket),
})

/** Another constructor, such as that of `ws`. */
export const layerWebSocket = (Constructor: WebSocketConstructor, limits?: TransportLimits): Layer.Layer<never> =>
  Layer.succeed(Transport, webSocket(Constructor, limits))
