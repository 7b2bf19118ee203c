/**
 * The mailboxes: for each client its unacknowledged records, by seq, and for each partition of the backlog the offset
 * up to which it has been put.
 *
 * Contract, checked by `mailboxSuite` of `@nimbus/domain/testing`:
 *
 * - `put` is one atomic step: it compares the stored offset of the partition, puts the records, and advances the
 *   offset. If the stored offset differs, it puts nothing. Records may be in any order of seq. Of several records of
 *   one client with the same seq the first stays, even if the others differ. At or below `acked` or `floor` a put has
 *   no effect.
 * - `acked` and `floor` only rise. `floor` rises in the same step as the limits remove the oldest prefix.
 * - A page is an atomic read: its records are in order and without a hole above `after`.
 * - An empty mailbox is *forgotten* when it was unused for `keep_ms`, the longer of `mailbox_idle_ms` and
 *   `retained_ms`. It is then like that of a client never seen. A put, an ack, a removal by the limits, and `waiting`
 *   for a connected client count as use. A mailbox with a record is never forgotten.
 * - No loss is forgotten without notice. Of the mailboxes that are forgotten with `floor` above `acked`, the partition
 *   keeps the highest `floor`. From then on, a client that is behind it, that the store does not know, and that has
 *   been here before (it has an `after`), is notified by `hole` that records may be missing, until it is past that
 *   `floor`. A client without `after` counts as new.
 * - The store as a whole may roll back (a failover). All of its content is then older, including the offsets.
 */
import { Context, type Effect } from "effect"
import type { MailboxUnavailable, StoreMismatch } from "../Errors.ts"
import type { ClientId, Cursor, Incarnation, Seq } from "../protocol/Ids.ts"
import type { Page, PageLimit } from "../protocol/Reads.ts"
import type { Item } from "../protocol/Records.ts"

export type { Page, PageLimit } from "../protocol/Reads.ts"

export interface MailboxRecord extends Item {
  readonly clientId: ClientId
  /** When the backlog took it, in ms since 1970: for the age limit. */
  readonly timestamp: number
}

/** What one `put` writes into a partition, and the offset that has to be stored for it to count. */
export interface Put {
  /** The stored offset that must hold; `undefined`: nothing may be stored yet. */
  readonly expected: number | undefined
  /** The stored offset afterwards. */
  readonly next: number
  readonly records: ReadonlyArray<MailboxRecord>
  /**
   * The backlog no longer held `expected`: what was between is gone, all of it below this seq. Clients of the partition
   * that have not got so far are told `lost`, range unknown.
   */
  readonly hole?: Seq | undefined
}

/** `Differs`: another owner was here or the store rolled back. Go on from `stored`, or the earliest. */
export type PutOutcome = { readonly _tag: "Stored" } | { readonly _tag: "Differs"; readonly stored: number | undefined }

/** What waits in one mailbox: for the status page and the command line. */
export interface MailboxStats {
  readonly results: number
  readonly bytes: number
  readonly acked: Cursor
  readonly floor: Cursor
}

/**
 * Keeps the results of each client until the client acknowledges them. A `put` is one atomic step with the offset of
 * the backlog.
 */
export class Mailbox extends Context.Service<
  Mailbox,
  {
    /**
     * Called once before anything else: binds the store to this log, or refuses. `ends` are the end offsets of the
     * events topic by partition; a stored seq at or beyond them belongs to another log.
     */
    claim(log: {
      readonly incarnation: Incarnation
      readonly partitions: number
      readonly ends: ReadonlyArray<number>
      /**
       * How long after a client's event its result may come to be put, once more or at last: what topics keep, in all.
       * Default: for ever, and no mailbox is forgotten.
       */
      readonly retained_ms?: number | undefined
    }): Effect.Effect<void, StoreMismatch | MailboxUnavailable>
    /** The backlog offset stored for a partition: the next one to put. */
    offset(partition: number): Effect.Effect<number | undefined, MailboxUnavailable>
    put(partition: number, put: Put): Effect.Effect<PutOutcome, MailboxUnavailable>
    /** The lowest records above `after` (and above `acked`), up to the limit but at least one if there is any. */
    page(clientId: ClientId, after: Cursor, limit: PageLimit): Effect.Effect<Page, MailboxUnavailable>
    /** Trims each mailbox up to the client's cumulative ack. */
    ack(
      acks: ReadonlyArray<{ readonly clientId: ClientId; readonly seq: Cursor }>,
    ): Effect.Effect<void, MailboxUnavailable>
    /**
     * For each, whether there is a record or a loss above `after`. In the order asked. `areHere`: they are connected,
     * so nothing of them is idle.
     */
    waiting(
      asked: ReadonlyArray<{ readonly clientId: ClientId; readonly after: Cursor }>,
      areHere?: boolean,
    ): Effect.Effect<ReadonlyArray<boolean>, MailboxUnavailable>
    /**
     * Enforces the age limit as of `now_ms`, and forgets what is idle; returns how many records went. Called
     * periodically.
     */
    expire(now_ms: number): Effect.Effect<number, MailboxUnavailable>
    stats(clientId: ClientId): Effect.Effect<MailboxStats, MailboxUnavailable>
  }
>()("@nimbus/domain/Mailbox") {}
