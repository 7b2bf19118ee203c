/**
 * The mailboxes in memory: for tests, for embedding, and for simulations that roll the whole store back.
 *
 * A mailbox is a sorted array with a head: putting the next seq is a push, acknowledging moves the head, and only a
 * seq that comes late is inserted. Every operation is one synchronous step, so there is nothing to lock.
 */
import { Clock, Effect, Layer } from "effect"
import { StoreMismatch } from "../Errors.ts"
import { countForgotten } from "./Forgotten.ts"
import { type ClientId, type Cursor, type Incarnation, seqUnsafe, start } from "../protocol/Ids.ts"
import { type MailboxLimits, mailboxLimits } from "../Limits.ts"
import {
  holeFrom,
  Mailbox,
  type MailboxRecord,
  type MailboxStats,
  type Page,
  type PageLimit,
  type Put,
  type PutOutcome,
} from "./Mailbox.ts"
import { partitionOf } from "../protocol/Partitioner.ts"

/** A store, with two functions for tests of a rollback. */
export interface MailboxMemory {
  readonly mailbox: Mailbox["Service"]
  /** Everything as it is now; what happens later does not show in it. */
  readonly snapshot: () => MailboxSnapshot
  /** Makes everything as it was then, as often as one likes. */
  readonly restore: (snapshot: MailboxSnapshot) => void
}

/** All there is in a store at one moment. */
export interface MailboxSnapshot {
  readonly log:
    | {
        readonly incarnation: Incarnation
        readonly partitions: ReadonlyArray<Readonly<Partition>>
        readonly retained_ms: number
      }
    | undefined
  readonly boxes: ReadonlyMap<ClientId, Readonly<Box>>
}

/** Mailboxes that live as long as the layer. */
export const layerMemory = (limits: MailboxLimits = mailboxLimits): Layer.Layer<Mailbox> =>
  Layer.sync(Mailbox, () => makeMemory(limits).mailbox)

/** A store of its own, not yet claimed. */
export const makeMemory = (limits: MailboxLimits = mailboxLimits): MailboxMemory => {
  let store = emptyStore()
  return {
    snapshot: () => copy(store),
    restore: (snapshot) => {
      store = copy(snapshot)
    },
    mailbox: Mailbox.of({
      claim: (log) =>
        Effect.suspend(() => {
          const mismatch = compare(store, log)
          if (mismatch !== undefined) return mismatch
          store.log ??= {
            incarnation: log.incarnation,
            partitions: Array.from({ length: log.partitions }, newPartition),
            retained_ms: Infinity,
          }
          store.log.retained_ms = log.retained_ms ?? Infinity
          return Effect.void
        }),
      offset: (partition) => Effect.sync(() => partitionAt(store, partition).offset),
      put: (partition, chunk) => withNow((now_ms) => put(store, partition, chunk, limits, now_ms)),
      page: (clientId, after, limit) => Effect.sync(() => page(store, clientId, after, limit)),
      ack: (acks) =>
        withNow((now_ms) => {
          for (const { clientId, seq } of acks) {
            if (seq > start) acknowledge(boxFor(store, clientId, Infinity, now_ms), seq)
          }
        }),
      waiting: (asked, areHere = false) =>
        withNow((now_ms) =>
          asked.map(({ after, clientId }) => {
            const box = store.boxes.get(clientId)
            if (box !== undefined && areHere) box.used_ms = now_ms
            return isWaiting(store, clientId, after)
          }),
        ),
      expire: (now_ms) =>
        Effect.suspend(() => {
          const removed = expire(store, now_ms - limits.mailbox_age_ms, now_ms)
          const keep_ms = Math.max(limits.mailbox_idle_ms, store.log?.retained_ms ?? Infinity)
          return Effect.as(countForgotten("mailboxes", forget(store, now_ms - keep_ms)), removed)
        }),
      stats: (clientId) => Effect.sync(() => stats(store.boxes.get(clientId))),
    }),
  }
}

interface Partition {
  offset: number | undefined
  hole: Cursor
  /** The highest `floor` of a mailbox that was forgotten before that was acknowledged. */
  forgotten: Cursor
}

/** `records` from `head` on are the mailbox; all of them are above `acked` and `floor`. */
interface Box {
  acked: Cursor
  floor: Cursor
  records: Array<MailboxRecord>
  head: number
  bytes: number
  /** What was `forgotten` before it was made: up to there, an earlier mailbox of this client may have lost records. */
  readonly unknown: Cursor
  /** When something happened to it last. */
  used_ms: number
}

interface Store {
  log:
    | {
        readonly incarnation: Incarnation
        readonly partitions: Array<Partition>
        retained_ms: number
      }
    | undefined
  readonly boxes: Map<ClientId, Box>
}

const emptyStore = (): Store => ({ log: undefined, boxes: new Map() })
const newPartition = (): Partition => ({ offset: undefined, hole: start, forgotten: start })
const newBox = (unknown: Cursor = start, used_ms = 0): Box => ({
  acked: start,
  floor: start,
  records: [],
  head: 0,
  bytes: 0,
  unknown,
  used_ms,
})

const withNow = <A>(f: (now_ms: number) => A) => Effect.map(Clock.currentTimeMillis, f)

const copy = (from: MailboxSnapshot): Store => ({
  log: from.log && { ...from.log, partitions: from.log.partitions.map((partition) => ({ ...partition })) },
  boxes: new Map(
    Array.from(from.boxes, ([id, box]) => [id, { ...box, records: box.records.slice(box.head), head: 0 }]),
  ),
})

const claimed = (store: Store): Array<Partition> => {
  if (store.log === undefined) throw new Error("Mailbox.claim must come before anything else")
  return store.log.partitions
}

const partitionAt = (store: Store, partition: number): Partition => {
  const found = claimed(store)[partition]
  if (found === undefined) throw new Error(`No partition ${partition} among ${claimed(store).length}`)
  return found
}

/**
 * Something happens to it now. `before`: if it is new, all that an earlier mailbox of the client had was before this
 * seq.
 */
const boxFor = (store: Store, clientId: ClientId, before: number, now_ms: number): Box => {
  const found = store.boxes.get(clientId)
  if (found !== undefined) {
    found.used_ms = now_ms
    return found
  }
  const { forgotten } = partitionOfClient(store, clientId)
  const box = newBox(forgotten < before ? forgotten : justBelow(before), now_ms)
  store.boxes.set(clientId, box)
  return box
}

const later = (a: Cursor, b: Cursor): Cursor => (a > b ? a : b)
const justBelow = (seq: number): Cursor => (seq === 0 ? start : seqUnsafe(seq - 1))

const compare = (
  store: Store,
  found: { readonly incarnation: Incarnation; readonly partitions: number; readonly ends: ReadonlyArray<number> },
): StoreMismatch | undefined => {
  const { log } = store
  if (log === undefined) return undefined
  const { incarnation } = found
  const mismatch = (reason: StoreMismatch["reason"], stored: string, found: string) =>
    new StoreMismatch({ reason, stored, found, incarnation })
  if (log.incarnation !== incarnation) return mismatch("incarnation", log.incarnation, incarnation)
  if (log.partitions.length !== found.partitions) {
    return mismatch("partitions", String(log.partitions.length), String(found.partitions))
  }
  for (const [clientId, box] of store.boxes) {
    const highest = later(later(box.acked, box.floor), box.records.at(-1)?.seq ?? start)
    const end = found.ends[partitionOf(clientId, found.partitions)] ?? 0
    if (highest >= end) return mismatch("beyond-end", `seq ${highest} of ${clientId}`, `end ${end}`)
  }
  return undefined
}

const put = (store: Store, at: number, chunk: Put, limits: MailboxLimits, now_ms: number): PutOutcome => {
  const partition = partitionAt(store, at)
  if (partition.offset !== chunk.expected) return { _tag: "Differs", stored: partition.offset }
  for (const record of chunk.records) {
    const box = boxFor(store, record.clientId, record.seq, now_ms)
    if (insert(box, record)) enforce(box, limits)
  }
  partition.offset = chunk.next
  if (chunk.hole !== undefined) partition.hole = later(partition.hole, chunk.hole)
  return { _tag: "Stored" }
}

/** Whether the record was new. */
const insert = (box: Box, record: MailboxRecord): boolean => {
  if (record.seq <= box.acked || record.seq <= box.floor) return false
  const last = box.records.at(-1)
  if (last === undefined || last.seq < record.seq) box.records.push(record)
  else {
    const at = firstAbove(box, seqUnsafe(record.seq - 1))
    if (box.records[at]?.seq === record.seq) return false
    box.records.splice(at, 0, record)
  }
  box.bytes += record.value.length
  return true
}

/** Count and bytes. To enforce them after each record leaves the same as after all: the longest end that fits. */
const enforce = (box: Box, limits: MailboxLimits): void => {
  let head = box.head
  let bytes = box.bytes
  while (box.records.length - head > limits.mailbox_results || bytes > limits.mailbox_bytes) {
    bytes -= box.records[head++]!.value.length
  }
  if (head > box.head) removeByLimit(box, head)
}

const expire = (store: Store, before_ms: number, now_ms: number): number => {
  let removed = 0
  for (const box of store.boxes.values()) {
    let head = box.head
    while (head < box.records.length && box.records[head]!.timestamp < before_ms) head++
    if (head === box.head) continue
    removed += head - box.head
    removeByLimit(box, head)
    box.used_ms = now_ms
  }
  return removed
}

/** Returns how many. */
const forget = (store: Store, before_ms: number): number => {
  let gone = 0
  for (const [clientId, box] of store.boxes) {
    if (box.head < box.records.length || box.used_ms > before_ms) continue
    if (box.floor > box.acked) {
      const partition = partitionOfClient(store, clientId)
      partition.forgotten = later(partition.forgotten, box.floor)
    }
    store.boxes.delete(clientId)
    gone++
  }
  return gone
}

const acknowledge = (box: Box, seq: Cursor): void => {
  if (seq <= box.acked) return
  box.acked = seq
  removeTo(box, firstAbove(box, seq))
}

const removeByLimit = (box: Box, head: number): void => {
  box.floor = box.records[head - 1]!.seq
  removeTo(box, head)
}

/** Moves the head; what is before it is let go once it is half of the array. */
const removeTo = (box: Box, head: number): void => {
  for (let i = box.head; i < head; i++) box.bytes -= box.records[i]!.value.length
  box.head = head
  if (head * 2 > box.records.length) {
    box.records = box.records.slice(head)
    box.head = 0
  }
}

/** The index of the first record above `cursor`. */
const firstAbove = (box: Box, cursor: Cursor): number => {
  let low = box.head
  let high = box.records.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (box.records[middle]!.seq > cursor) high = middle
    else low = middle + 1
  }
  return low
}

const partitionOfClient = (store: Store, clientId: ClientId): Partition => {
  const partitions = claimed(store)
  return partitions[partitionOf(clientId, partitions.length)]!
}

const page = (store: Store, clientId: ClientId, after: Cursor, limit: PageLimit): Page => {
  const partition = partitionOfClient(store, clientId)
  const box = store.boxes.get(clientId)
  const cursor = later(after, box?.acked ?? start)
  const hole = holeFrom(partition.hole, cursor, box?.unknown ?? partition.forgotten)
  if (box === undefined) return { records: [], short: true, acked: start, floor: start, hole }
  const from = firstAbove(box, after)
  let end = from
  let bytes = 0
  while (end < box.records.length && (end === from || end - from < limit.results)) {
    bytes += box.records[end]!.value.length
    if (bytes > limit.bytes && end > from) break
    end++
  }
  const records = box.records.slice(from, end)
  return { records, short: end === box.records.length, acked: box.acked, floor: box.floor, hole }
}

/** A record above `after`, or a loss: what the limits removed up to `floor`, or what is missing below `hole`. */
const isWaiting = (store: Store, clientId: ClientId, after: Cursor): boolean => {
  const box = store.boxes.get(clientId) ?? newBox()
  const cursor = later(after, box.acked)
  const last = box.records.at(-1)
  const { hole } = partitionOfClient(store, clientId)
  return (last !== undefined && last.seq > cursor) || box.floor > cursor || hole - 1 > cursor
}

const stats = (box: Box = newBox()): MailboxStats => ({
  results: box.records.length - box.head,
  bytes: box.bytes,
  acked: box.acked,
  floor: box.floor,
})
