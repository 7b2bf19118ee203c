/** What sockets and the gateway say to each other: Socket.IO's events with their arguments. See docs/chat.md. */
import type { Json } from "effect/Schema"
import type { DefaultEventsMap, Namespace, Server, Socket } from "socket.io"
import type { ListenEvent, SendEvent } from "./OpenEvents.ts"

/** Arguments come from outside: they may be anything. */
export interface FromClient {
  message: (...args: ReadonlyArray<unknown>) => void
  broadcast: (...args: ReadonlyArray<unknown>) => void
  auth: (...args: ReadonlyArray<unknown>) => void
  [send: SendEvent]: (...args: ReadonlyArray<unknown>) => void
}

/** What stands beside the data of a message. Without `id` and `sender`: another service produced it so. */
export interface MessageInfo {
  readonly id?: string
  /** Who sent it: where there are locks the client id of its subject, otherwise the id of its socket. */
  readonly sender?: string
  /** When the log took it, in ms since 1970. */
  readonly time: number
}

/** Something was wrong; `id` is that of the message, if there is one. */
export interface Refusal {
  readonly code: string
  readonly message: string
  readonly id?: string
  /** With `FORBIDDEN`: what is missing. */
  readonly capability?: string
  /** Where it was too much: after this time it is not. */
  readonly retry_ms?: number
}

/** The answer to a `message`, `broadcast` or `auth`, if the client asks for one. `seconds`: until the token ends. */
export type Answer =
  | { readonly id?: string; readonly offset?: string; readonly seconds?: number }
  | { readonly error: Refusal }

/** Only an offset may be text in the last place: clients of Socket.IO remember that as `auth.offset`. */
export interface ToClient {
  /**
   * `data` is what the sender emitted, so that a client that ignores the rest receives what it would from any other
   * server.
   */
  message: (data: Json, info: MessageInfo, offset: string) => void
  broadcast: (broadcast: { readonly sender: string; readonly data: Json }) => void
  /**
   * A message of the open chat, which is text in the last place where its sender emitted text: see `OpenPosition.ts`.
   */
  [listen: ListenEvent]: (data: Json) => void
  /** The socket has everything of its room up to here, and gets the rest as it comes. */
  live: (room: { readonly room?: string }, offset: string) => void
  /** The same, where its own messages or those of other rooms have moved it. */
  offset: (offset: string) => void
  /** Messages between these offsets, both included, are gone for good. */
  lost: (range: { readonly from: number; readonly upTo: number }) => void
  refused: (refusal: Refusal) => void
  /** The token ends in so many seconds, and the connection with it, if no `auth` with another one comes. */
  expiring: (end: { readonly seconds: number }) => void
  /** The gateway leaves: the connection closes, and another gateway takes the next one. */
  leaving: (notice: { readonly code: "GOING_AWAY" }) => void
}

interface SocketData {
  /** What Socket.IO's own client calls itself, and goes on to when it comes back. */
  pid?: string
}

export type ChatServer = Server<FromClient, ToClient, DefaultEventsMap, SocketData>
export type ChatNamespace = Namespace<FromClient, ToClient, DefaultEventsMap, SocketData>
export type ChatSocket = Socket<FromClient, ToClient, DefaultEventsMap, SocketData>
