/**
 * From what a partition answered to a fetch to chunks, whatever its producers have written.
 *
 * | in the log | in the chunks |
 * | --- | --- |
 * | a batch of records, compressed or not | its records |
 * | a batch of an aborted transaction | nothing |
 * | a control batch, which ends a transaction | nothing |
 * | a batch some or all of whose records compaction has removed | the records that are left |
 * | a batch that can't be read | one record that is `unreadable`, and says why |
 * | a batch that the end of the answer cuts off | nothing yet: it comes whole in the next answer |
 *
 * 1. A wrong checksum is believed the second time. The first time the bytes may have been changed on their way here.
 * 2. How far a batch with a wrong checksum reaches is believed where its two numbers for that agree. Where they don't, one
 *    offset is passed. Nothing that follows is read from the same answer: the batch might have ended a transaction.
 * 3. What is uncompressed for one answer takes up `decoded_bytes`, and at most one batch more. The rest comes in the next.
 */
import { crc32c } from "@node-rs/crc32"
import type { ChunkLimits } from "@nimbus/domain/limits"
import { recordBytes, type StoredRecord } from "@nimbus/domain/protocol"
import type { Chunk } from "@nimbus/domain/services"
import { header_bytes, readInt64, readRecords, toTime } from "./RecordBatch.ts"

/** What a partition answered: batches, and which transactions in them were aborted. */
export interface Batches {
  readonly batches: Buffer
  readonly aborted: ReadonlyArray<Aborted>
}

export interface Aborted {
  readonly producerId: number
  readonly firstOffset: number
}

export interface BatchLimits extends ChunkLimits {
  readonly decoded_bytes: number
  readonly unreadable_bytes: number
}

export interface Read {
  readonly chunks: ReadonlyArray<Chunk>
  /** The batch at this offset has a wrong checksum. It is to be fetched again, and read with `doubted`. */
  readonly doubted?: number
}

/** Reads from offset `next` on. The first batch may begin before. */
export const readChunks = (
  partition: number,
  { aborted, batches }: Batches,
  next: number,
  limits: BatchLimits,
  doubted?: number,
): Read => {
  const chunks = new Chunks(partition, next, limits)
  const transactions = new Transactions(aborted)
  let left_bytes = limits.decoded_bytes
  for (let at = 0; left_bytes > 0;) {
    const end = endOf(batches, at)
    if (end === undefined) break
    const refuse = (reason: string, after: number) => {
      const isBelieved = after > chunks.next
      const offset = isBelieved ? Math.max(chunks.next, offsetOf(batches, at)) : chunks.next
      chunks.add(markerOf(batches.subarray(at, end), offset, reason, limits))
      chunks.pass(isBelieved ? after : offset + 1)
    }
    const version = batches.readInt8(at + 16)
    if (version === 2 && !hasRightSum(batches, at, end)) {
      if (doubted !== chunks.next) return { chunks: chunks.end(), doubted: chunks.next }
      refuse("its checksum is wrong", agreedAfter(batches, at, end))
      break
    } else if (version !== 2) {
      refuse(`it has the format ${version}, of producers from before Kafka 0.11`, offsetOf(batches, at) + 1)
    } else if (afterOf(batches, at) > chunks.next) {
      const after = afterOf(batches, at)
      if (transactions.isReadable(batches, at)) {
        try {
          const { decoded_bytes, records } = readRecords(batches, at, end, chunks.next, limits.decoded_bytes)
          left_bytes -= decoded_bytes
          for (const record of records) chunks.add(record)
          chunks.pass(after)
        } catch (error) {
          refuse(error instanceof Error ? error.message : String(error), after)
        }
      } else chunks.pass(after)
    }
    at = end
  }
  return { chunks: chunks.end() }
}

/** Where what begins at `at` ends: `undefined` where it is cut off, or there is nothing more. */
const endOf = (batches: Buffer, at: number): number | undefined => {
  if (at + leastEntry_bytes > batches.length) return undefined
  const end = at + 12 + batches.readInt32BE(at + 8)
  return end >= at + leastEntry_bytes && end <= batches.length ? end : undefined
}

/** A message of the oldest format, with nothing in it. */
const leastEntry_bytes = 26

/** And so has the offset, which the checksum does not cover, as far as one can tell. */
const hasRightSum = (batches: Buffer, at: number, end: number): boolean =>
  end - at >= header_bytes &&
  offsetOf(batches, at) >= 0 &&
  batches.readInt32BE(at + 23) >= 0 &&
  crc32c(batches.subarray(at + 21, end)) === batches.readUInt32BE(at + 17)

/** -1: it is none. */
const offsetOf = (batches: Buffer, at: number): number => {
  const offset = readInt64(batches, at)
  return offset <= highestOffset ? Math.max(-1, offset) : -1
}

/** So that what is counted from it is exact. */
const highestOffset = 2 ** 52

const afterOf = (batches: Buffer, at: number): number => offsetOf(batches, at) + batches.readInt32BE(at + 23) + 1

/** Invariant 2. Where it is not believed: 0. */
const agreedAfter = (batches: Buffer, at: number, end: number): number => {
  if (end - at < header_bytes) return 0
  return batches.readInt32BE(at + 57) === batches.readInt32BE(at + 23) + 1 ? afterOf(batches, at) : 0
}

/** A copy: to keep it is not to keep the answer. */
const markerOf = (batch: Buffer, offset: number, reason: string, { unreadable_bytes }: BatchLimits): StoredRecord => {
  const isCut = batch.length > unreadable_bytes
  return {
    key: "",
    value: Buffer.from(batch.subarray(0, unreadable_bytes)),
    offset,
    timestamp: batch.length < header_bytes ? 0 : toTime(readInt64(batch, 35)),
    unreadable: `a batch that can't be read: ${reason}${isCut ? `; these are the first of its ${batch.length} bytes` : ""}`,
  }
}

/** Which batches of an answer were written by transactions that were aborted. */
class Transactions {
  readonly #ahead: Array<Aborted>
  /** Producers whose transaction here was aborted. */
  readonly #aborted = new Set<number>()

  constructor(aborted: ReadonlyArray<Aborted>) {
    this.#ahead = aborted.toSorted((a, b) => b.firstOffset - a.firstOffset)
  }

  /** Of each batch in turn: whether its records are there for readers. */
  isReadable(batches: Buffer, at: number): boolean {
    const attributes = batches.readInt16BE(at + 21)
    if ((attributes & (isTransactional | isControl)) === 0) return true
    const producerId = readInt64(batches, at + 43)
    for (let next = this.#ahead.at(-1); next !== undefined; next = this.#ahead.at(-1)) {
      if (next.firstOffset >= afterOf(batches, at)) break
      this.#aborted.add(next.producerId)
      this.#ahead.pop()
    }
    if ((attributes & isControl) === 0) return !this.#aborted.has(producerId)
    this.#aborted.delete(producerId)
    return false
  }
}

const isTransactional = 0x10
const isControl = 0x20

/** Chunks within their limits, that join. */
class Chunks {
  /** All offsets below are passed. */
  next: number
  readonly #partition: number
  readonly #limits: ChunkLimits
  readonly #chunks: Array<Chunk> = []
  #from: number
  #records: Array<StoredRecord> = []
  #bytes = 0

  constructor(partition: number, from: number, limits: ChunkLimits) {
    this.#partition = partition
    this.#limits = limits
    this.#from = this.next = from
  }

  add(record: StoredRecord): void {
    const size = recordBytes(record)
    const { chunk_bytes, chunk_records } = this.#limits
    if (this.#records.length > 0 && (this.#records.length >= chunk_records || this.#bytes + size > chunk_bytes)) {
      this.#push(record.offset)
    }
    this.#records.push(record)
    this.#bytes += size
  }

  pass(next: number): void {
    this.next = next
  }

  end(): ReadonlyArray<Chunk> {
    if (this.next > this.#from) this.#push(this.next)
    return this.#chunks
  }

  #push(next: number): void {
    this.#chunks.push({ partition: this.#partition, from: this.#from, next, records: this.#records })
    this.#from = next
    this.#records = []
    this.#bytes = 0
  }
}
