/**
 * The changes of a mailbox in LMDB. Every function runs inside one transaction of the store, reads what that
 * transaction has written before, and changes only tables: see `LmdbStore.commit`.
 *
 * Invariants, at the end of each function that the service calls:
 *
 * 1. A row's `results`, `bytes` and `oldest_ms` are those of the records above its `acked` and `floor`.
 * 2. The blocks of a client do not overlap, and none is completely at or below its `acked` or `floor`.
 * 3. `floor` is at least the last record that a limit removed.
 *
 * Usually the new seqs are at the end. A put then writes one block and one row for each client, and reads only the row.
 * Only for a seq at or below the highest one does it read the block around it, and pack it again. A small last block is
 * packed again too, so that a client with one record in each chunk does not get one block for each record.
 */
import type { MailboxLimits } from "@nimbus/domain/limits"
import { type ClientId, type Cursor, seqUnsafe, start } from "@nimbus/domain/protocol"
import { MailboxRules, type MailboxStorage, type Put, type PutOutcome } from "@nimbus/domain/services"
import type { MailboxStorageLimits } from "../Limits.ts"
import { Block, type Kept, pack } from "./MailboxBlock.ts"
import {
  beyond,
  blockKey,
  type ClientRow,
  type MailboxTables,
  newClient,
  readClient,
  readPartition,
  removeClient,
  writeClient,
  writePartition,
} from "./MailboxTables.ts"
import type { RangeOptions } from "./Store.ts"

export interface Writes {
  readonly tables: MailboxTables
  readonly limits: MailboxLimits
  readonly storage: MailboxStorageLimits
  /** The present time, in ms since 1970. */
  readonly now: () => number
}

type Address = MailboxStorage.Address
const { later } = MailboxRules

/**
 * `clients` has the records by client. `ackOf` returns the last ack of a client if it is not in the tables yet, or else
 * -1.
 */
export const writeChunk = (
  writes: Writes,
  partition: number,
  put: Put,
  clients: ReadonlyMap<ClientId, ReadonlyArray<Kept>>,
  ackOf: (clientId: ClientId) => Cursor,
): PutOutcome => {
  const row = readPartition(writes.tables, partition)
  if (row.offset !== put.expected) return { _tag: "Differs", stored: row.offset }
  for (const [clientId, records] of clients) {
    putRecords(writes, { clientId, partition }, records, ackOf(clientId))
  }
  row.offset = put.next
  row.highest = later(row.highest, MailboxRules.highestOf(put.records))
  if (put.hole !== undefined) row.hole = later(row.hole, put.hole)
  writePartition(writes.tables, partition, row)
  return { _tag: "Stored" }
}

export const writeAcks = ({ now, tables }: Writes, acks: ReadonlyArray<MailboxStorage.MailboxAck>): void => {
  for (const at of acks) {
    const partition = readPartition(tables, at.partition)
    const row = readClient(tables, at) ?? newClient(partition.forgotten)
    if (acknowledge(tables, at, row, at.seq)) writeClient(tables, at, row, now())
    if (at.seq > partition.highest) writePartition(tables, at.partition, { ...partition, highest: at.seq })
  }
}

/** Removes records older than `before_ms` from the beginning of a mailbox. Returns how many it removed. */
export const writeExpiry = (writes: Writes, at: MailboxStorage.MailboxAck, before_ms: number): number => {
  const row = readClient(writes.tables, at) ?? newClient()
  const acked = acknowledge(writes.tables, at, row, at.seq)
  const removed = removeOldest(writes.tables, at, row, MailboxRules.isOlderThan(before_ms))
  if (acked || removed > 0) writeClient(writes.tables, at, row, writes.now())
  return removed
}

/**
 * Forgets an empty mailbox that has not changed since `before_ms`. Returns how many it forgot, 0 or 1. A row without
 * the time of its last change counts as changed now.
 */
export const writeForget = ({ now, tables }: Writes, at: MailboxStorage.MailboxAck, before_ms: number): number => {
  const row = readClient(tables, at)
  if (row === undefined || !isIdle(row, before_ms) || at.seq > row.acked) return 0
  if (row.used_ms === undefined) {
    writeClient(tables, at, row, now())
    return 0
  }
  if (row.floor > row.acked) {
    const partition = readPartition(tables, at.partition)
    writePartition(tables, at.partition, { ...partition, forgotten: later(partition.forgotten, row.floor) })
  }
  removeClient(tables, at)
  return 1
}

export const isIdle = ({ results, used_ms = -Infinity }: ClientRow, before_ms: number): boolean =>
  results === 0 && used_ms <= before_ms

/** Records that these clients are connected. */
export const writeSeen = ({ now, tables }: Writes, clients: ReadonlyArray<Address>): void => {
  for (const at of clients) {
    const row = readClient(tables, at)
    if (row !== undefined) writeClient(tables, at, row, now())
  }
}

/** The number and size of the records of a mailbox in `(from, to]`, and the blocks that have no record above `to`. */
export const tally = (tables: MailboxTables, at: Address, from: Cursor, to: Cursor) => {
  const found = { results: 0, bytes: 0, whole: new Array<Cursor>() }
  for (const { value } of blocksOf(tables, at)) {
    const block = new Block(value)
    if (block.first > to) break
    const end = block.firstAbove(to)
    for (let i = block.firstAbove(from); i < end; i++) {
      found.results++
      found.bytes += block.lengthAt(i)
    }
    if (end === block.count) found.whole.push(block.first)
  }
  return found
}

const blocksOf = (tables: MailboxTables, at: Address) =>
  tables.blocks.range({ start: blockKey(at, start), end: blockKey(at, beyond) })

const putRecords = (writes: Writes, at: Address, records: ReadonlyArray<Kept>, ack: Cursor): void => {
  const { limits, tables } = writes
  const row = readClient(tables, at) ?? newClient(unknownBefore(tables, at, records))
  const acked = acknowledge(tables, at, row, ack)
  const added = insert(writes, at, row, above(records, later(row.acked, row.floor)))
  removeOldest(tables, at, row, MailboxRules.isOverLimits(limits))
  if (acked || added > 0) writeClient(tables, at, row, writes.now())
}

const unknownBefore = (tables: MailboxTables, { partition }: Address, [first]: ReadonlyArray<Kept>): Cursor =>
  MailboxRules.unknownBefore(readPartition(tables, partition).forgotten, first?.seq)

const above = (records: ReadonlyArray<Kept>, cursor: Cursor): ReadonlyArray<Kept> =>
  records[0] === undefined || records[0].seq > cursor ? records : records.filter(({ seq }) => seq > cursor)

/** Puts records, in order of seq and all above `acked` and `floor`. Returns how many were not there yet. */
const insert = (writes: Writes, at: Address, row: ClientRow, records: ReadonlyArray<Kept>): number => {
  let added = 0
  for (let from = 0; from < records.length;) {
    const { seq } = records[from]!
    if (seq > row.last) return added + append(writes, at, row, from === 0 ? records : records.slice(from))
    const next = firstBlock(writes.tables, { start: blockKey(at, seqUnsafe(seq + 1)), end: blockKey(at, beyond) })
    const to = next === undefined ? records.length : indexFrom(records, from, next.first)
    added += merge(writes, at, row, records.slice(from, to))
    from = to
  }
  return added
}

const indexFrom = (records: ReadonlyArray<Kept>, from: number, seq: Cursor): number => {
  let to = from
  while (to < records.length && records[to]!.seq < seq) to++
  return to
}

const firstBlock = (tables: MailboxTables, range: RangeOptions): Block | undefined => {
  for (const { value } of tables.blocks.range({ ...range, limit: 1 })) return new Block(value)
  return undefined
}

/** All records are above `last`. */
const append = (writes: Writes, at: Address, row: ClientRow, records: ReadonlyArray<Kept>): number => {
  const isSmall = row.tail_bytes > 0 && row.tail_bytes < writes.storage.merge_bytes
  const tail = isSmall ? writes.tables.blocks.get(blockKey(at, row.tail)) : undefined
  writeBlocks(writes, at, row, records, tail && new Block(tail))
  return count(row, records)
}

/** All records belong into the last block that begins before them or, if there is none, before the first block. */
const merge = (writes: Writes, at: Address, row: ClientRow, records: ReadonlyArray<Kept>): number => {
  const { seq } = records[0]!
  const before = { start: blockKey(at, seq), end: blockKey(at, start), reverse: true }
  const there = firstBlock(writes.tables, before)?.unpack() ?? []
  const seqs = new Set(there.map((record) => record.seq))
  const fresh = records.filter((record) => !seqs.has(record.seq))
  if (fresh.length > 0)
    writeBlocks(
      writes,
      at,
      row,
      [...there, ...fresh].sort((a, b) => a.seq - b.seq),
    )
  return count(row, fresh)
}

const writeBlocks = (
  { storage, tables }: Writes,
  at: Address,
  row: ClientRow,
  records: ReadonlyArray<Kept>,
  before?: Block,
): void => {
  for (const { bytes, first, last } of pack(records, storage.block_bytes, before)) {
    tables.blocks.put(blockKey(at, first), bytes)
    if (last < row.last) continue
    row.last = last
    row.tail = first
    row.tail_bytes = bytes.length
  }
}

const count = (row: ClientRow, added: ReadonlyArray<Kept>): number => {
  for (const { timestamp, value } of added) {
    row.bytes += value.length
    row.oldest_ms = Math.min(row.oldest_ms, timestamp)
  }
  row.results += added.length
  return added.length
}

/** Returns whether the ack is higher than the stored one. */
const acknowledge = (tables: MailboxTables, at: Address, row: ClientRow, seq: Cursor): boolean => {
  if (seq <= row.acked) return false
  removeTo(tables, at, row, seq)
  row.acked = seq
  return true
}

/** Removes records from the beginning while the rest exceeds the limits. Returns how many it removed. */
const removeOldest = (tables: MailboxTables, at: Address, row: ClientRow, tooMuch: MailboxRules.TooMuch): number => {
  if (row.results === 0 || !tooMuch(row)) return 0
  const { floor, results } = MailboxRules.cutOldest(row, countingOf(tables, at, row), tooMuch)
  if (results > 0) {
    removeTo(tables, at, row, floor)
    row.floor = floor
  }
  return results
}

/** The records that count, the oldest first. */
function* countingOf(tables: MailboxTables, at: Address, row: ClientRow) {
  const cursor = later(row.acked, row.floor)
  for (const { value } of blocksOf(tables, at)) {
    const block = new Block(value)
    for (let i = block.firstAbove(cursor); i < block.count; i++) {
      yield { seq: block.seqAt(i), timestamp: block.timestampAt(i), bytes: block.lengthAt(i) }
    }
  }
}

/** Subtracts everything up to `to` from the counts, and removes the blocks that have no record above it. */
const removeTo = (tables: MailboxTables, at: Address, row: ClientRow, to: Cursor): void => {
  const from = later(row.acked, row.floor)
  if (row.results === 0 || to <= from) return
  if (to >= row.last) return removeAll(tables, at, row)
  const { bytes, results, whole } = tally(tables, at, from, to)
  row.results -= results
  row.bytes -= bytes
  for (const first of whole) tables.blocks.remove(blockKey(at, first))
}

const removeAll = (tables: MailboxTables, at: Address, row: ClientRow): void => {
  const keys = Array.from(tables.blocks.keys({ start: blockKey(at, start), end: blockKey(at, beyond) }))
  for (const key of keys) tables.blocks.remove(key)
  Object.assign(row, { results: 0, bytes: 0, oldest_ms: Infinity, tail: start, tail_bytes: 0 })
}
