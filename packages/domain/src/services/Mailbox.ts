/**
 * The mailboxes: per client the records not yet acknowledged, by seq, and per partition of the backlog the offset that
 * has been put.
 *
 * Contract, checked by `mailboxSuite` of `@nimbus/domain/testing`:
 *
 * - `put` is one atomic step: compare the partition's stored offset, put the records, advance the offset. If the
 *   stored offset differs nothing is put. Records come in any order of seq. Of several of one client with one seq the
 *   first stays, whatever the others say; at or below `acked` or `floor` a put is nothing.
 * - `acked` and `floor` only rise. `floor` rises in the same step as the limits remove the oldest prefix.
 * - A page is read at one moment: its records are in order and without a hole above `after`.
 * - A mailbox with nothing in it is *forgotten* once nothing has happened to it for `keep_ms`, the longer of
 *   `mailbox_idle_ms` and `retained_ms`: it is that of a client never seen. A put, an ack, a removal by the limits and
 *   `waiting` for those who are connected are what happens. One with a record is never forgotten.
 * - No loss is forgotten in silence. Of a mailbox that is forgotten with `floor` above `acked`, its partition keeps the
 *   `floor`, the highest of all such. From then on a client that is further back, that the store knows nothing of and that
 *   says that it has been here, by `after`, is told by `hole` that something may be missing; so it is until it has got
 *   further. A client without `after` is taken for a new one.
 * - The store as a whole may roll back (a failover): everything in it then is older, offsets included.
 */
import { Context, type Effect } from "effect"
import type { MailboxUnavailable, StoreMismatch } from "../Errors.ts"
import { type ClientId, type Cursor, type Incarnation, type Seq, seqUnsafe } from "../protocol/Ids.ts"
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
     * For each, whether there is a record or a loss above `after`. In the order asked. `areHere`: they are connected, so
     * nothing of them is idle.
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

/**
 * What a page says is missing. `hole`: of the partition; `cursor`: as far as the client says that it has got, or has got;
 * `unknown`: what may have been forgotten of it.
 */
export const holeFrom = (hole: Cursor, cursor: Cursor, unknown: Cursor): Cursor =>
  cursor >= 0 && unknown >= 0 && unknown >= hole ? seqUnsafe(unknown + 1) : hole
