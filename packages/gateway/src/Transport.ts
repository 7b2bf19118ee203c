/**
 * The interface between the delivery core and one connection of any transport, in both directions.
 *
 * A transport translates the frames of its protocol into these calls and back; it decides nothing about delivery. All
 * calls are synchronous: the core batches, the transport writes.
 */
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
  | { readonly _tag: "Error"; readonly code: string; readonly message: string }

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
  /** The log is behind: read nothing until `resume`. */
  pause(): void
  resume(): void
}

/** What a client asks for when it connects. */
export interface ConnectRequest {
  readonly clientId: ClientId
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
  /** Takes an event for the log; `accepted` follows once it is there. */
  event(id: EventId, value: Uint8Array, follow: boolean): void
  /** Takes a cancel of the task of this event for the log; `Cancelling` follows once it is there. */
  cancel(id: EventId): void
  /** The client's cumulative ack; `false`: beyond what was sent, nothing changed. */
  ack(seq: Seq | Cursor): boolean
  readonly acknowledged: Cursor
  /** The transport has caught up after `deliver` answered `false`. */
  drained(): void
  /** The connection is gone. */
  closed(): void
}

/** How a connection is closed that got no session. */
export const refusalOf = (error: { readonly _tag: string }): CloseReason => {
  if (error._tag === "GatewayDraining") return closeCodes.goingAway
  return error._tag === "OpeningSuperseded" ? closeCodes.superseded : closeCodes.unavailable
}
