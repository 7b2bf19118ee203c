/**
 * The tables of the mailboxes in LMDB.
 *
 * | table | key | value |
 * | --- | --- | --- |
 * | mailbox-blocks | partition, client id, 0, first seq | a block of records, see `MailboxBlock.ts` |
 * | mailbox-clients | partition, client id | a `ClientRow` |
 * | mailbox-partitions | partition | a `PartitionRow` |
 * | mailbox-log | "log" | which log the store is bound to, as JSON |
 *
 * Keys sort like their parts: numbers are big-endian, and a client id, which is ASCII, has no byte as low as the 0
 * after it. A mailbox is therefore one range of blocks, in order.
 */
import { ClientId, type Cursor, Incarnation, seqUnsafe, start } from "@nimbus/domain/protocol"
import { MailboxRules, type MailboxStorage } from "@nimbus/domain/services"
import { Effect, Schema } from "effect"
import type { StorageUnavailable } from "../Errors.ts"
import type { LmdbStore, Table } from "./Store.ts"

export interface MailboxTables {
  readonly blocks: Table
  readonly clients: Table
  readonly partitions: Table
  readonly log: Table
}

export const openTables = (store: LmdbStore["Service"]): Effect.Effect<MailboxTables, StorageUnavailable> =>
  Effect.all({
    blocks: store.table("mailbox-blocks"),
    clients: store.table("mailbox-clients"),
    partitions: store.table("mailbox-partitions"),
    log: store.table("mailbox-log"),
  })

/**
 * One mailbox. Each of its blocks has at least one record above `acked` and `floor`. Records below these no longer
 * count.
 */
export interface ClientRow {
  acked: Cursor
  floor: Cursor
  /** The highest seq that was ever put. The record is there unless it is at or below `acked` or `floor`. */
  last: Cursor
  results: number
  /** The size of all values that count. */
  bytes: number
  /** The time of the oldest record that counts, or an earlier one. Infinity: there are no records. */
  oldest_ms: number
  /** The block that has `last`: its first seq and its size. 0: there is none. */
  tail: Cursor
  tail_bytes: number
  /**
   * The `forgotten` of the partition when this row was created. An earlier row of this client may have been forgotten.
   */
  unknown: Cursor
  /** The time of its last change. `undefined`: unknown, because an older version wrote the row. */
  used_ms: number | undefined
}

export interface PartitionRow {
  /** The next offset of the backlog to put. */
  offset: number | undefined
  hole: Cursor
  /** The highest seq that was ever put or acknowledged. */
  highest: Cursor
  /** The highest `floor` of a row that was forgotten before the client had acknowledged it. */
  forgotten: Cursor
}

/** `format` is the version of all the tables. */
const LogRow = Schema.Struct({ format: Schema.Literal(1), incarnation: Incarnation, partitions: Schema.Int })
export type LogRow = typeof LogRow.Type

export const clientKey = ({ clientId, partition }: MailboxStorage.Address): Buffer => {
  const key = Buffer.allocUnsafe(2 + clientId.length)
  key.writeUInt16BE(partition, 0)
  key.write(clientId, 2, "latin1")
  return key
}

export const addressOf = (key: Uint8Array): MailboxStorage.Address => {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  return { partition: bytes.readUInt16BE(0), clientId: ClientId.make(bytes.toString("latin1", 2)) }
}

/** The key of the block that begins with `seq`. -1 is before all blocks of the client. */
export const blockKey = ({ clientId, partition }: MailboxStorage.Address, seq: Cursor): Buffer => {
  const at = 2 + clientId.length
  const key = Buffer.allocUnsafe(seq < 0 ? at + 1 : at + 9)
  key.writeUInt16BE(partition, 0)
  key.write(clientId, 2, "latin1")
  key[at] = 0
  if (seq >= 0) {
    key.writeUInt32BE(Math.floor(seq / 0x1_0000_0000), at + 1)
    key.writeUInt32BE(seq >>> 0, at + 5)
  }
  return key
}

/** A key after all blocks of any client. */
export const beyond: Cursor = seqUnsafe(Number.MAX_SAFE_INTEGER)

const partitionKey = (partition: number): Buffer => {
  const key = Buffer.allocUnsafe(2)
  key.writeUInt16BE(partition, 0)
  return key
}

export const readClient = (tables: MailboxTables, at: MailboxStorage.Address): ClientRow | undefined => {
  const value = tables.clients.get(clientKey(at))
  return value === undefined ? undefined : decodeClient(value)
}

export const decodeClient = (value: Uint8Array): ClientRow => {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  return {
    acked: cursorAt(view, 0),
    floor: cursorAt(view, 8),
    last: cursorAt(view, 16),
    results: view.getFloat64(24, true),
    bytes: view.getFloat64(32, true),
    oldest_ms: view.getFloat64(40, true),
    tail: cursorAt(view, 48),
    tail_bytes: view.getFloat64(56, true),
    unknown: cursorAt(view, 64),
    used_ms: value.byteLength < 80 ? undefined : view.getFloat64(72, true),
  }
}

export const newClient = (unknown = start): ClientRow => ({
  acked: start,
  floor: start,
  last: start,
  results: 0,
  bytes: 0,
  oldest_ms: Infinity,
  tail: start,
  tail_bytes: 0,
  unknown,
  used_ms: undefined,
})

/** Records that the mailbox has changed now. */
export const writeClient = (
  tables: MailboxTables,
  at: MailboxStorage.Address,
  row: ClientRow,
  now_ms: number,
): void => {
  const { acked, bytes, floor, last, oldest_ms, results, tail, tail_bytes, unknown } = row
  tables.clients.put(
    clientKey(at),
    floats([acked, floor, last, results, bytes, oldest_ms, tail, tail_bytes, unknown, now_ms]),
  )
}

export const removeClient = (tables: MailboxTables, at: MailboxStorage.Address): void =>
  tables.clients.remove(clientKey(at))

export const readPartition = (tables: MailboxTables, partition: number): PartitionRow => {
  const value = tables.partitions.get(partitionKey(partition))
  if (value === undefined) return { offset: undefined, hole: start, highest: start, forgotten: start }
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  const offset = view.getFloat64(0, true)
  return {
    offset: offset < 0 ? undefined : offset,
    hole: cursorAt(view, 8),
    highest: cursorAt(view, 16),
    forgotten: cursorAt(view, 24),
  }
}

export const writePartition = (tables: MailboxTables, partition: number, row: PartitionRow): void =>
  tables.partitions.put(partitionKey(partition), floats([row.offset ?? -1, row.hole, row.highest, row.forgotten]))

const logKey = Buffer.from("log")
const decodeLog = Schema.decodeUnknownSync(Schema.fromJsonString(LogRow))
const encodeLog = Schema.encodeSync(Schema.fromJsonString(LogRow))

export const readLog = (tables: MailboxTables): LogRow | undefined => {
  const value = tables.log.get(logKey)
  return value === undefined ? undefined : decodeLog(Buffer.from(value).toString())
}

export const writeLog = (tables: MailboxTables, row: LogRow): void =>
  tables.log.put(logKey, Buffer.from(encodeLog(row)))

/** -1 if an older version wrote the value. */
const cursorAt = (view: DataView, at: number): Cursor => {
  if (at >= view.byteLength) return start
  return MailboxRules.toCursor(view.getFloat64(at, true))
}

const floats = (numbers: ReadonlyArray<number>): Uint8Array => {
  const view = new DataView(new ArrayBuffer(numbers.length * 8))
  for (let i = 0; i < numbers.length; i++) view.setFloat64(i * 8, numbers[i]!, true)
  return new Uint8Array(view.buffer)
}
