/**
 * The mailboxes in memory: for tests, for embedding, and for simulations that roll the whole store back.
 *
 * A mailbox is a sorted array with a head: putting the next seq is a push, acknowledging moves the head, and only a
 * seq that comes late is inserted. Every operation is one synchronous step, so there is nothing to lock.
 */
import { Clock, Effect, Layer } from "effect"
import { type MailboxLimits, mailboxLimits } from "../Limits.ts"
import { type ClientId, type Cursor, type Incarnation, type Seq, seqUnsafe, start } from "../protocol/Ids.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import type { PageLimit } from "../protocol/Reads.ts"
import { Mailbox, type MailboxRecord, type MailboxStats, type Put, type PutOutcome } from "./Mailbox.ts"
import {
  type Binding,
  type Cut,
  cutOldest,
  isOlderThan,
  isOverLimits,
  later,
  type MailboxState,
  makeFiller,
  mismatchOf,
  type TooMuch,
  unknownBefore,
} from "./MailboxRules.ts"
import * as MailboxStorage from "./MailboxStorage.ts"

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
  const driver: MailboxStorage.MailboxDriver<never> = {
    claim: (log) =>
      Effect.suspend(() => {
        const mismatch = bindingsOf(store).flatMap((bound) => mismatchOf(log, bound) ?? [])[0]
        if (mismatch !== undefined) return mismatch
        store.log ??= {
          incarnation: log.incarnation,
          partitions: Array.from({ length: log.partitions }, newPartition),
        }
        return Effect.void
      }),
    offset: (partition) => Effect.sync(() => partitionAt(store, partition).offset),
    put: (partition, chunk) => withNow((now_ms) => put(store, partition, chunk, limits, now_ms)),
    page: (at, after, limit) => Effect.sync(() => page(store, at, after, limit)),
    ack: (acks) =>
      withNow((now_ms) => {
        for (const ack of acks) {
          if (ack.seq > start) acknowledge(boxFor(store, ack.clientId, ack.partition, undefined, now_ms), ack.seq)
        }
      }),
    states: (asked, areHere) =>
      withNow((now_ms) =>
        asked.map((at) => {
          const box = store.boxes.get(at.clientId)
          if (box !== undefined && areHere) box.used_ms = now_ms
          return stateOf(partitionAt(store, at.partition), box)
        }),
      ),
    expire: ({ age_ms, idle_ms }) =>
      withNow((now_ms) => {
        const removed = expire(store, age_ms, now_ms)
        return { removed, forgotten: forget(store, idle_ms) }
      }),
    stats: ({ clientId }) => Effect.sync(() => stats(store.boxes.get(clientId))),
  }
  return {
    snapshot: () => copy(store),
    restore: (snapshot) => {
      store = copy(snapshot)
    },
    mailbox: MailboxStorage.make(driver, limits),
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

/** Something happens to it now. `seq`: the first that it gets, if it gets a record. */
const boxFor = (store: Store, clientId: ClientId, partition: number, seq: Seq | undefined, now_ms: number): Box => {
  const found = store.boxes.get(clientId)
  if (found !== undefined) {
    found.used_ms = now_ms
    return found
  }
  const box = newBox(unknownBefore(partitionAt(store, partition).forgotten, seq), now_ms)
  store.boxes.set(clientId, box)
  return box
}

const bindingsOf = ({ boxes, log }: Store): ReadonlyArray<Binding> => {
  if (log === undefined) return []
  const { incarnation, partitions } = log
  const highest = partitions.map((): Cursor => start)
  for (const [clientId, box] of boxes) {
    const partition = partitionOf(clientId, partitions.length)
    highest[partition] = later(highest[partition]!, lastOf(box))
  }
  return highest.map((highest, partition) => ({ partition, incarnation, partitions: partitions.length, highest }))
}

const put = (store: Store, at: number, chunk: Put, limits: MailboxLimits, now_ms: number): PutOutcome => {
  const partition = partitionAt(store, at)
  if (partition.offset !== chunk.expected) return { _tag: "Differs", stored: partition.offset }
  for (const record of chunk.records) {
    const box = boxFor(store, record.clientId, at, record.seq, now_ms)
    insert(box, record)
    enforce(box, limits)
  }
  partition.offset = chunk.next
  if (chunk.hole !== undefined) partition.hole = later(partition.hole, chunk.hole)
  return { _tag: "Stored" }
}

const insert = (box: Box, record: MailboxRecord): void => {
  if (record.seq <= box.acked || record.seq <= box.floor) return
  const last = box.records.at(-1)
  if (last === undefined || last.seq < record.seq) box.records.push(record)
  else {
    const at = firstAbove(box, seqUnsafe(record.seq - 1))
    if (box.records[at]?.seq === record.seq) return
    box.records.splice(at, 0, record)
  }
  box.bytes += record.value.length
}

/** Count and bytes. */
const enforce = (box: Box, limits: MailboxLimits): void => {
  if (countOf(box) > limits.mailbox_results || box.bytes > limits.mailbox_bytes) {
    removeOldest(box, isOverLimits(limits))
  }
}

const expire = (store: Store, before_ms: number, now_ms: number): number => {
  let removed = 0
  for (const box of store.boxes.values()) {
    const { results } = removeOldest(box, isOlderThan(before_ms))
    if (results > 0) box.used_ms = now_ms
    removed += results
  }
  return removed
}

/** Returns how many. */
const forget = (store: Store, before_ms: number): number => {
  let gone = 0
  for (const [clientId, box] of store.boxes) {
    if (box.head < box.records.length || box.used_ms > before_ms) continue
    if (box.floor > box.acked) {
      const partition = partitionAt(store, partitionOf(clientId, claimed(store).length))
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

const removeOldest = (box: Box, tooMuch: TooMuch): Cut => {
  const cut = cutOldest({ results: countOf(box), bytes: box.bytes }, sizesOf(box), tooMuch)
  if (cut.results > 0) {
    box.floor = cut.floor
    removeTo(box, box.head + cut.results)
  }
  return cut
}

function* sizesOf({ head, records }: Box) {
  for (let i = head; i < records.length; i++) {
    const { seq, timestamp, value } = records[i]!
    yield { seq, timestamp, bytes: value.length }
  }
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

const countOf = ({ head, records }: Box): number => records.length - head

/** The highest seq ever put, or what is above it. */
const lastOf = ({ acked, floor, records }: Box): Cursor => later(records.at(-1)?.seq ?? start, later(acked, floor))

const stateOf = ({ forgotten, hole }: Partition, box: Box = newBox(forgotten)): MailboxState => ({
  acked: box.acked,
  floor: box.floor,
  last: lastOf(box),
  hole,
  unknown: box.unknown,
})

const page = (store: Store, { clientId, partition }: MailboxStorage.Address, after: Cursor, limit: PageLimit) => {
  const box = store.boxes.get(clientId)
  const { fits, records } = makeFiller(limit)
  if (box !== undefined) {
    for (let i = firstAbove(box, after); i < box.records.length && fits(box.records[i]!.value.length); i++) {
      records.push(box.records[i]!)
    }
  }
  return { state: stateOf(partitionAt(store, partition), box), records }
}

const stats = (box: Box = newBox()): MailboxStats => ({
  results: countOf(box),
  bytes: box.bytes,
  acked: box.acked,
  floor: box.floor,
})
