/**
 * The interface between the delivery core and one connection of any transport, in both directions.
 *
 * A transport translates the frames of its protocol into these calls and back; it decides nothing about delivery. All
 * calls are synchronous: the core batches, the transport writes.
 */
import type { Principal } from "@nimbus/domain/access"
import type { AuthUnavailable, ClientInUse, Forbidden, Unauthenticated } from "@nimbus/domain/errors"
import {
  type ClientId,
  closeCodes,
  type CloseReason,
  type Cursor,
  type Epoch,
  type EventId,
  type Headers,
  type Incarnation,
  type Item,
  type Seq,
  type Status,
} from "@nimbus/domain/protocol"
import type { Shown } from "./access/Access.ts"
import type { SubjectRefused } from "./Errors.ts"
import type { Within } from "./sockets/Throttle.ts"

/** What the core sends to a client, except results. Each transport encodes it in its own frames. */
export type Notice =
  | {
      readonly _tag: "Welcome"
      readonly epoch: Epoch
      readonly status: Status.StatusName
      readonly log: Incarnation
      readonly after: Cursor
    }
  | { readonly _tag: "Accepted"; readonly ids: ReadonlyArray<EventId> }
  /** The log has the client's cancels of these. */
  | { readonly _tag: "Cancelling"; readonly ids: ReadonlyArray<EventId> }
  | { readonly _tag: "Status"; readonly status: Status.StatusName }
  | { readonly _tag: "Lost"; readonly after: Cursor; readonly upTo: Seq | undefined }
  /** `retry_ms`: it was too much, and after that time it is not. */
  | { readonly _tag: "Error"; readonly code: string; readonly message: string; readonly retry_ms?: number | undefined }
  /** Nothing became of the event, or the cancel, of this id. Counted already. */
  | {
      readonly _tag: "Refused"
      readonly id: EventId
      readonly isCancel: boolean
      readonly code: string
      readonly message: string
      /** What is missing, where it is a capability. */
      readonly capability?: string | undefined
      /** Where it was too much: when it may be sent again. */
      readonly retry_ms?: number | undefined
    }
  /** What the client has shown ends in so many seconds. */
  | { readonly _tag: "Expiring"; readonly seconds: number }
  /** What it has shown by `renew` counts from here on; without `seconds` it does not end by itself. */
  | { readonly _tag: "Authenticated"; readonly seconds: number | undefined }

/** One connection, as the core sees it. None of these may throw. */
export interface Transport {
  /** Which transport it is: its path, or `grpc`. */
  readonly name: string
  /** The trace in which the connection was opened, if it was in one: its sampled events go on with it. */
  readonly trace?: Headers | undefined
  /** The transport has closed, or is closing: nothing reaches the client any more. */
  readonly isGone: boolean
  /** Writes results, in this order. `false`: the transport is behind; deliver nothing until `SessionHandle.drained`. */
  deliver(items: ReadonlyArray<Item>): boolean
  notify(notice: Notice): void
  close(reason: CloseReason): void
  /** What it reads is also its subject's, from here on: see `Throttle`. */
  limit(within: Within): void
  /** The log is behind: read nothing until `resume`. */
  pause(): void
  resume(): void
}

/** What a client asks for when it connects. */
export interface ConnectRequest {
  readonly clientId: ClientId
  /** Who it is, as `Access.connect` says: it lets in whoever may connect so. */
  readonly principal: Principal
  /** From where, as far as it is known. */
  readonly address?: string | undefined
  /** Everything up to here the client has, by its own memory; -1 without one. */
  readonly after: Cursor
  /** The incarnation that `after` belongs to, if the client knows it. */
  readonly log: string | undefined
  /** The client does not acknowledge itself: its transport finds out what it has read, which takes longer. */
  readonly autoAck?: boolean
  readonly transport: Transport
}

/** The core, as one connection sees it. */
export interface SessionHandle {
  /**
   * Takes an event of this name for the log; `Accepted` follows once it is there, or `Refused` at once. `record`: its
   * bytes, which are asked for if its client may send it.
   */
  event(id: EventId, name: string, record: () => Uint8Array, follow: boolean): void
  /** Takes a cancel of the task of this event for the log; `Cancelling` follows once it is there, or `Refused` at once. */
  cancel(id: EventId): void
  /** The client's cumulative ack; `false`: beyond what was sent, nothing changed. One that it may not do is told. */
  ack(seq: Seq | Cursor): boolean
  /** The client goes on with another token: `Authenticated` follows, or `Error`, with which the last one counts on. */
  renew(shown: Shown): void
  readonly acknowledged: Cursor
  /** The transport has caught up after `deliver` answered `false`. */
  drained(): void
  /** The connection is gone. */
  closed(): void
}

/** Why somebody is not let in. */
export type Refusal = Unauthenticated | AuthUnavailable | Forbidden | ClientInUse | SubjectRefused

const refusalTags: ReadonlySet<string> = new Set<Refusal["_tag"]>([
  "Unauthenticated",
  "AuthUnavailable",
  "Forbidden",
  "ClientInUse",
  "SubjectRefused",
])

/** Whether it is about who asks: its client is told with `code` and `message`, and then closed as `refusalOf` has it. */
export const isRefusal = <E extends { readonly _tag: string }>(error: E | Refusal): error is Refusal =>
  refusalTags.has(error._tag)

/** What its client is told before it is closed. */
export const refusalNotice = (error: Refusal): Notice => ({
  _tag: "Error",
  code: error.code,
  message: error.message,
  retry_ms: error._tag === "SubjectRefused" ? error.retry_ms : undefined,
})

/** How a connection is closed that got no session. */
export const refusalOf = (error: { readonly _tag: string }): CloseReason => {
  if (isRefusal(error)) return accessRefusalOf(error)
  if (error._tag === "GatewayDraining") return closeCodes.goingAway
  return error._tag === "OpeningSuperseded" ? closeCodes.superseded : closeCodes.unavailable
}

const accessRefusalOf = (error: Refusal): CloseReason => {
  switch (error.code) {
    case "TOKEN_EXPIRED":
      return closeCodes.tokenExpired
    case "TOKEN_REVOKED":
      return closeCodes.revoked
    case "TOKEN_MISSING":
    case "TOKEN_INVALID":
      return closeCodes.unauthenticated
    case "FORBIDDEN":
      return closeCodes.forbidden
    case "CLIENT_IN_USE":
      return closeCodes.inUse
    case "AUTH_UNAVAILABLE":
      return closeCodes.unavailable
    default:
      return closeCodes.shareUsedUp
  }
}
