/**
 * A block: what one append puts behind a partition's end and the log keeps, reads and drops as one. At most one chunk
 * in size, so that a read is some whole blocks.
 */
import type { ChunkLimits } from "../../Limits.ts"
import type { StoredRecord } from "../../protocol/Records.ts"
import type { Fifo } from "./Fifo.ts"

/** Records at the offsets `[from, next)`, without a hole, at least one. */
export interface Block {
  readonly from: number
  readonly next: number
  /** The sum of `recordBytes`. */
  readonly bytes: number
  readonly records: ReadonlyArray<StoredRecord>
}

/**
 * The same records, with values that hold no more than twice their bytes in memory. A value that was cut out of a larger
 * buffer, as what a client sends is out of what its socket read, would keep the whole of it for as long as the log does:
 * such values move into a buffer of their own, all of a block into one.
 */
export const compact = (records: ReadonlyArray<StoredRecord>): ReadonlyArray<StoredRecord> => {
  let bytes = 0
  let held_bytes = 0
  let before: ArrayBufferLike | undefined = undefined
  for (const { value } of records) {
    bytes += value.length
    // What came together stands together. A buffer that is met again is counted again: then values move in vain.
    if (value.buffer !== before) held_bytes += value.buffer.byteLength
    before = value.buffer
  }
  return held_bytes <= 2 * bytes ? records : moved(records, new Uint8Array(bytes))
}

const moved = (records: ReadonlyArray<StoredRecord>, into: Uint8Array): ReadonlyArray<StoredRecord> => {
  let at = 0
  return records.map((record) => {
    into.set(record.value, at)
    const value = into.subarray(at, at + record.value.length)
    at += value.length
    return { ...record, value }
  })
}

/** The records of consecutive blocks from offset `from` on. A single whole block is given as it is, without a copy. */
export const recordsOf = (blocks: ReadonlyArray<Block>, from: number): ReadonlyArray<StoredRecord> => {
  const first = blocks[0]
  if (first === undefined) return []
  if (blocks.length === 1) return from <= first.from ? first.records : first.records.slice(from - first.from)
  const records: Array<StoredRecord> = []
  for (const block of blocks) {
    for (let i = Math.max(0, from - block.from); i < block.records.length; i++) records.push(block.records[i]!)
  }
  return records
}

/** The index of the first block that ends after `offset`, or the length where there is none. */
export const indexOf = (blocks: Fifo<Block>, offset: number): number => {
  let low = 0
  let high = blocks.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (blocks.at(middle).next > offset) high = middle
    else low = middle + 1
  }
  return low
}

/** Some whole blocks from the one that holds `offset` on: one read. */
export const slice = (blocks: Fifo<Block>, offset: number, limits: ChunkLimits): ReadonlyArray<Block> => {
  const start = indexOf(blocks, offset)
  const taken: Array<Block> = []
  let bytes = 0
  for (let i = start; i < blocks.length; i++) {
    const block = blocks.at(i)
    bytes += block.bytes
    if (taken.length > 0 && (bytes > limits.chunk_bytes || block.next - offset > limits.chunk_records)) break
    taken.push(block)
  }
  return taken
}
