/**
 * The rules of the mailboxes, as decisions that every store takes from here: in memory, on LMDB, in PostgreSQL and in
 * Redis.
 *
 * ```
 *   seq   0 …… acked │ …… floor │ records, not all of them seqs that were put …… last │
 *          the client has them   the limits have removed them
 * ```
 *
 * 1. A record counts where it is above `acked` and `floor`, and of one seq the first that was put.
 * 2. The limits and the age remove from the beginning, and `floor` rises to the last that they removed.
 * 3. A page has no hole above its cursor, and says what may be missing below `hole`.
 *
 * Redis runs a put, an ack, and a removal as one step, so that it has these rules once more in Lua
 * (`adapters/src/redis/MailboxScripts.ts`): `removeOldest` there is `cutOldest` here, `begin` is `unknownBefore`, and `put`
 * is rule 1. In PostgreSQL rule 1 is a condition of its `INSERT`. The same suite checks all of them.
 */
import { StoreMismatch } from "../Errors.ts"
import type { MailboxLimits } from "../Limits.ts"
import { type ClientId, type Cursor, type Incarnation, seqUnsafe, start } from "../protocol/Ids.ts"
import type { Page, PageLimit } from "../protocol/Reads.ts"
import type { Item } from "../protocol/Records.ts"
import type { MailboxRecord } from "./Mailbox.ts"

/** The higher of two cursors. */
export const later = (a: Cursor, b: Cursor): Cursor => (a > b ? a : b)

/** A cursor as stores write it: -1 is none. */
export const toCursor = (n: number | null | undefined): Cursor =>
  n === null || n === undefined || n < 0 ? start : seqUnsafe(n)

/** What a partition of a store is bound to, and the highest seq that was put or acknowledged in it. */
export interface Binding {
  readonly partition: number
  readonly incarnation: string
  readonly partitions: number
  readonly highest: Cursor
}

/** The log that claims a store. `ends`: of the events topic, by partition. */
export interface ClaimingLog {
  readonly incarnation: Incarnation
  readonly partitions: number
  readonly ends: ReadonlyArray<number>
}

/** Why a partition does not belong to this log; `undefined`: it does. */
export const mismatchOf = (log: ClaimingLog, bound: Binding): StoreMismatch | undefined => {
  const { incarnation } = log
  const mismatch = (reason: StoreMismatch["reason"], stored: string, found: string) =>
    new StoreMismatch({ reason, stored, found, incarnation })
  if (bound.incarnation !== incarnation) return mismatch("incarnation", bound.incarnation, incarnation)
  if (bound.partitions !== log.partitions) return mismatch("partitions", `${bound.partitions}`, `${log.partitions}`)
  const end = log.ends[bound.partition] ?? 0
  if (bound.highest < end) return undefined
  return mismatch("beyond-end", `seq ${bound.highest} of partition ${bound.partition}`, `end ${end}`)
}

/** The highest seq of all; -1 if there are none. */
export const highestOf = (records: ReadonlyArray<{ readonly seq: Cursor }>): Cursor => {
  let highest = start
  for (const { seq } of records) highest = later(highest, seq)
  return highest
}

/** Each client's records in order of seq, and of each seq the first that came. */
export const byClient = (
  records: ReadonlyArray<MailboxRecord>,
): ReadonlyMap<ClientId, ReadonlyArray<MailboxRecord>> => {
  const clients = new Map<ClientId, Array<MailboxRecord>>()
  for (const record of records) {
    const found = clients.get(record.clientId)
    if (found === undefined) clients.set(record.clientId, [record])
    else found.push(record)
  }
  for (const own of clients.values()) if (!isInOrder(own)) putInOrder(own)
  return clients
}

const isInOrder = (records: ReadonlyArray<MailboxRecord>): boolean => {
  let last = start
  for (const { seq } of records) {
    if (seq <= last) return false
    last = seq
  }
  return true
}

const putInOrder = (records: Array<MailboxRecord>): void => {
  records.sort((a, b) => a.seq - b.seq)
  let kept = 0
  for (const record of records) if (records[kept - 1]?.seq !== record.seq) records[kept++] = record
  records.length = kept
}

/** The highest ack of each client, where it is above -1. */
export const highestAcks = <A extends { readonly clientId: ClientId; readonly seq: Cursor }>(
  acks: ReadonlyArray<A>,
): ReadonlyArray<A> => {
  const highest = new Map<ClientId, A>()
  for (const ack of acks) if (ack.seq > (highest.get(ack.clientId)?.seq ?? start)) highest.set(ack.clientId, ack)
  return [...highest.values()]
}

/**
 * What is unknown of a client that gets a mailbox: what its partition has `forgotten`, but all that an earlier mailbox
 * of it had was below `seq`, the first that it gets now. Without a `seq` it gets an ack alone.
 */
export const unknownBefore = (forgotten: Cursor, seq?: number): Cursor =>
  seq === undefined || forgotten < seq ? forgotten : toCursor(seq - 1)

/** What would be left of a mailbox. `oldest_ms`: the timestamp of its first record. */
export interface Rest {
  readonly results: number
  readonly bytes: number
  readonly oldest_ms: number
}

/** Whether what is left of a mailbox is still too much. */
export type TooMuch = (rest: Rest) => boolean

/** More than the limits allow, of records and of bytes. */
export const isOverLimits =
  ({ mailbox_bytes, mailbox_results }: MailboxLimits): TooMuch =>
  ({ bytes, results }) =>
    results > mailbox_results || bytes > mailbox_bytes

/** The oldest is from before. */
export const isOlderThan =
  (before_ms: number): TooMuch =>
  ({ oldest_ms }) =>
    oldest_ms < before_ms

/** What goes from the beginning of a mailbox: so many results with so many bytes, up to `floor`; -1: nothing goes. */
export interface Cut {
  readonly floor: Cursor
  readonly results: number
  readonly bytes: number
}

/** What goes from the beginning, while what is left is too much. To cut after each put leaves the same as after all. */
export const cutOldest = (
  whole: { readonly results: number; readonly bytes: number },
  oldest: Iterable<{ readonly seq: Cursor; readonly timestamp: number; readonly bytes: number }>,
  tooMuch: TooMuch,
): Cut => {
  let { bytes, results } = whole
  let floor = start
  for (const record of oldest) {
    if (!tooMuch({ results, bytes, oldest_ms: record.timestamp })) break
    results--
    bytes -= record.bytes
    floor = record.seq
  }
  return { floor, results: whole.results - results, bytes: whole.bytes - bytes }
}

/** A mailbox as of one moment, and what is known of its partition. */
export interface MailboxState {
  readonly acked: Cursor
  readonly floor: Cursor
  /** The highest seq ever put: it is there unless it is at or below `acked` or `floor`. */
  readonly last: Cursor
  /** Of the partition: below it the backlog has lost records. */
  readonly hole: Cursor
  /** What may have been forgotten of it; where there is no mailbox, what its partition has forgotten. */
  readonly unknown: Cursor
}

/** Fills the records of a page, in order of seq; at least one. */
export const makeFiller = ({ bytes: most_bytes, results: most_results }: PageLimit) => {
  const records: Array<Item> = []
  let bytes = 0
  return {
    records,
    /** Whether the next record, whose value has so many bytes, belongs into the page. */
    fits: (more: number): boolean => {
      bytes += more
      return records.length === 0 || (records.length < most_results && bytes <= most_bytes)
    },
  }
}

/** A page with these records, which are the lowest above all cursors. */
export const pageOf = (state: MailboxState, after: Cursor, records: ReadonlyArray<Item>): Page => {
  const { acked, floor, last, unknown } = state
  const cursor = later(after, acked)
  const short = (records.at(-1)?.seq ?? later(cursor, floor)) >= last
  return { records, short, acked, floor, hole: holeFrom(state.hole, cursor, unknown) }
}

/** What a page says is missing. `cursor`: as far as the client says that it has got, or has got. */
const holeFrom = (hole: Cursor, cursor: Cursor, unknown: Cursor): Cursor =>
  cursor >= 0 && unknown >= 0 && unknown >= hole ? seqUnsafe(unknown + 1) : hole

/** A record above all cursors, or a loss: what the limits removed up to `floor`, or what is missing below `hole`. */
export const isWaiting = ({ acked, floor, hole, last }: Omit<MailboxState, "unknown">, after: Cursor): boolean => {
  const cursor = later(after, acked)
  return last > later(cursor, floor) || floor > cursor || hole - 1 > cursor
}
