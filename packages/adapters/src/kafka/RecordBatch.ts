/**
 * Kafka's record batch, version 2: what is written in one piece, stored as it is, and given to readers as it is.
 *
 * ```
 *   base offset 8 · length 4 · leader epoch 4 · magic 1 · crc 4 │ attributes 2 · last offset delta 4 · base timestamp 8
 *   · max timestamp 8 · producer id 8 · producer epoch 2 · base sequence 4 · count 4 · records       (crc: of all after │)
 *
 *   record: length · attributes 1 · timestamp delta · offset delta · key length · key · value length · value
 *           · header count · (name length · name · value length · value)…                   (lengths and deltas: zigzag
 *           varints)
 * ```
 *
 * In one pass, into and out of one buffer: kafkajs makes several objects and a buffer for each record, on the two paths
 * that everything takes. Bytes that were read are not copied: a record that is kept keeps the response it came in.
 */
import { crc32c } from "@node-rs/crc32"
import { type Headers, type LogRecord, roomOf, type StoredRecord } from "@nimbus/domain/protocol"
import { uncompress } from "./Codecs.ts"

/** Whose batch it is, and which: for Kafka to know it again. */
export interface BatchId {
  readonly producerId: number
  readonly producerEpoch: number
  /** Of the first record. */
  readonly sequence: number
}

/** The most that a batch of these may take up. */
export const batchRoom = (records: ReadonlyArray<LogRecord>): number => {
  let room = header_bytes
  for (const record of records) room += roomOf(record)
  return room
}

/** Writes a batch at `at`, where there is `batchRoom`; returns where it ends. */
export const writeBatch = (
  buffer: Buffer,
  at: number,
  records: ReadonlyArray<LogRecord>,
  { producerEpoch, producerId, sequence }: BatchId,
  now_ms: number,
): number => {
  let end = at + header_bytes
  for (let i = 0; i < records.length; i++) end = writeRecord(buffer, end, records[i]!, i)
  writeInt64(buffer, at, 0)
  buffer.writeInt32BE(end - at - 12, at + 8)
  buffer.writeInt32BE(-1, at + 12)
  buffer[at + 16] = 2
  buffer.writeInt16BE(0, at + 21)
  buffer.writeInt32BE(records.length - 1, at + 23)
  writeInt64(buffer, at + 27, now_ms)
  writeInt64(buffer, at + 35, now_ms)
  writeInt64(buffer, at + 43, producerId)
  buffer.writeInt16BE(producerEpoch, at + 51)
  buffer.writeInt32BE(sequence, at + 53)
  buffer.writeInt32BE(records.length, at + 57)
  buffer.writeUInt32BE(crc32c(buffer.subarray(at + 21, end)), at + 17)
  return end
}

/** A record's decoded form takes up about this beside its bytes. */
const record_bytes = 64

/** Records, and what they take up with everything that they came in. */
export interface Decoded {
  readonly records: ReadonlyArray<StoredRecord>
  readonly decoded_bytes: number
}

/**
 * The records of the batch `batches[at, end)` at offsets from `from` on. All of them or none: it throws where anything
 * in it is not as it should be, and where it would take up more than `most_bytes`.
 */
export const readRecords = (batches: Buffer, at: number, end: number, from: number, most_bytes: number): Decoded => {
  const attributes = batches.readInt16BE(at + 21)
  const count = batches.readInt32BE(at + 57)
  const room_bytes = most_bytes - count * record_bytes
  if (count < 0 || room_bytes <= 0) throw new Error(`it says that it has ${count} records`)
  const bytes = uncompress(attributes & codecBits, batches.subarray(at + header_bytes, end), room_bytes)
  const input = new Input(bytes)
  const baseOffset = readInt64(batches, at)
  const lastDelta = batches.readInt32BE(at + 23)
  const baseTimestamp = readInt64(batches, at + 27)
  const appendTime = (attributes & isLogAppendTime) === 0 ? undefined : readInt64(batches, at + 35)
  const records: Array<StoredRecord> = []
  let before = -1
  for (let i = 0; i < count; i++) {
    const end = input.recordEnd()
    input.at += 1
    const timestamp = baseTimestamp + input.varint()
    const delta = input.varint()
    // Compaction leaves holes.
    if (!(delta > before && delta <= lastDelta)) throw new Error("its offsets are not in order")
    before = delta
    if (baseOffset + delta >= from) {
      records.push(input.record(baseOffset + delta, toTime(appendTime ?? timestamp), end))
      if (input.at !== end) throw new Error("a record does not end where it says")
    }
    input.at = end
  }
  if (!input.isAtEnd) throw new Error("it has more than its records")
  return { records, decoded_bytes: bytes.length + count * record_bytes }
}

/** A producer may say any time, or none (-1): the nearest that there is. */
export const toTime = (timestamp: number): number => Math.min(Math.max(timestamp, 0), lastTime_ms)

/** The last that a `Date` can have. */
const lastTime_ms = 8.64e15

export const header_bytes = 61
const codecBits = 0x07
const isLogAppendTime = 0x08
const none = Buffer.alloc(0)

/** Reads along a buffer. Behind its end there is no number: a reader that continues finds out at `recordEnd`. */
class Input {
  readonly #buffer: Buffer
  at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  get isAtEnd(): boolean {
    return this.at === this.#buffer.length
  }

  /** Zigzag. Exact up to 2^53, by arithmetic where bits end. */
  varint(): number {
    const buffer = this.#buffer
    let byte = buffer[this.at++]!
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let value = byte & 0x7f
    let scale = 0x80
    do {
      byte = buffer[this.at++]!
      value += (byte & 0x7f) * scale
      scale *= 0x80
      if (scale > 2 ** 70) throw new Error("a number of more than 64 bits")
    } while (byte >= 0x80)
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** Where the record that begins here ends, which is within the buffer. */
  recordEnd(): number {
    const length = this.varint()
    const end = this.at + length
    if (length >= leastRecord_bytes && end <= this.#buffer.length) return end
    throw new Error("a record is longer than what there is")
  }

  /** From its key on. */
  record(offset: number, timestamp: number, end: number): StoredRecord {
    return { key: this.text() ?? "", value: this.bytes() ?? none, headers: this.headers(end), offset, timestamp }
  }

  bytes(): Buffer | undefined {
    const length = this.varint()
    return length < 0 ? undefined : this.#buffer.subarray(this.at, (this.at += length))
  }

  text(): string | undefined {
    const length = this.varint()
    return length < 0 ? undefined : this.#buffer.toString("utf8", this.at, (this.at += length))
  }

  headers(end: number): Headers | undefined {
    const count = this.varint()
    if (count === 0) return undefined
    // Whatever the names are: none of them means anything to it.
    const headers: Record<string, string> = Object.create(null)
    for (let i = 0; i < count; i++) {
      if (!(this.at < end)) throw new Error("a record does not end where it says")
      headers[this.text() ?? ""] = this.text() ?? ""
    }
    return headers
  }
}

/** Attributes, two deltas, two lengths and a count. */
const leastRecord_bytes = 6

const writeRecord = (buffer: Buffer, at: number, { headers, key, value }: LogRecord, offsetDelta: number): number => {
  const key_bytes = Buffer.byteLength(key)
  const names = headers === undefined ? [] : Object.keys(headers)
  let length =
    2 +
    varintSize(offsetDelta) +
    varintSize(key_bytes) +
    key_bytes +
    varintSize(value.length) +
    value.length +
    varintSize(names.length)
  for (const name of names) length += textSize(name) + textSize(headers?.[name] ?? "")
  at = writeVarint(buffer, at, length)
  buffer[at++] = 0
  buffer[at++] = 0
  at = writeVarint(buffer, at, offsetDelta)
  at = writeText(buffer, at, key, key_bytes)
  at = writeVarint(buffer, at, value.length)
  buffer.set(value, at)
  at = writeVarint(buffer, at + value.length, names.length)
  for (const name of names) {
    const text = headers?.[name] ?? ""
    at = writeText(buffer, at, name, Buffer.byteLength(name))
    at = writeText(buffer, at, text, Buffer.byteLength(text))
  }
  return at
}

const textSize = (text: string): number => {
  const bytes = Buffer.byteLength(text)
  return varintSize(bytes) + bytes
}

const writeText = (buffer: Buffer, at: number, text: string, bytes: number): number => {
  at = writeVarint(buffer, at, bytes)
  // Short ones of one byte to a character, as nearly all are: quicker than to call for it.
  if (bytes !== text.length || bytes > 48) return at + buffer.write(text, at)
  for (let i = 0; i < bytes; i++) buffer[at++] = text.charCodeAt(i)
  return at
}

/** Of numbers that are not negative, below 2^30: lengths and counts of what fits into a buffer. */
const varintSize = (value: number): number => {
  let bytes = 1
  for (let rest = value * 2; rest >= 0x80; rest >>>= 7) bytes++
  return bytes
}

const writeVarint = (buffer: Buffer, at: number, value: number): number => {
  let rest = value * 2
  for (; rest >= 0x80; rest >>>= 7) buffer[at++] = (rest & 0x7f) | 0x80
  buffer[at++] = rest
  return at
}

const two_32 = 0x1_0000_0000

/** Of numbers up to 2^53. */
export const writeInt64 = (buffer: Buffer, at: number, value: number): number => {
  buffer.writeInt32BE(Math.floor(value / two_32), at)
  return buffer.writeUInt32BE(((value % two_32) + two_32) % two_32, at + 4)
}

export const readInt64 = (buffer: Buffer, at: number): number =>
  buffer.readInt32BE(at) * two_32 + buffer.readUInt32BE(at + 4)
