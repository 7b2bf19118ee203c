/**
 * A block: several records of one mailbox in one stored value, so that a backlog is read a block at a time and not
 * a record at a time. Numbers are little-endian.
 *
 * ```
 *  0  seq of the first record                                   f64
 *  8  timestamp of the first record                             f64
 * 16  count of records                                          u32
 * 20  bytes of all values                                       u32
 * 24  for each record: its seq less the first                   u32
 *                      its timestamp less the first             i32
 *                      the length of its value                  u32
 *                      the end of its body, from the beginning  u32
 *     for each record its body: the value, then its headers as JSON; nothing where it has none
 * ```
 */
import { type Cursor, type Headers, type Item, type Seq, seqUnsafe } from "@nimbus/domain"
import { Schema } from "effect"

/** What a mailbox keeps of a record. */
export interface Kept extends Item {
  readonly timestamp: number
}

export interface Packed {
  readonly first: Seq
  readonly last: Seq
  readonly bytes: Uint8Array
}

/** Packs records in order of seq into as few blocks of up to `block_bytes` as they fit. A larger record has its own. */
export const pack = (records: ReadonlyArray<Kept>, block_bytes: number): ReadonlyArray<Packed> => {
  const headers = records.map(encodeHeaders)
  const blocks: Array<Packed> = []
  for (let from = 0; from < records.length;) {
    const { bytes, to } = extent(records, headers, from, block_bytes)
    blocks.push(packOne(records, headers, from, to, bytes))
    from = to
  }
  return blocks
}

/** Reads a block. Items share its bytes. */
export class Block {
  readonly count: number
  /** Of all values. */
  readonly valueBytes: number
  readonly first: Seq
  private readonly bytes: Uint8Array
  private readonly view: DataView

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.first = seqUnsafe(this.view.getFloat64(0, true))
    this.count = this.view.getUint32(16, true)
    this.valueBytes = this.view.getUint32(20, true)
  }

  get last(): Seq {
    return this.seqAt(this.count - 1)
  }

  seqAt(index: number): Seq {
    return seqUnsafe(this.first + this.view.getUint32(HEAD + index * ROW, true))
  }

  timestampAt(index: number): number {
    return this.view.getFloat64(8, true) + this.view.getInt32(HEAD + index * ROW + 4, true)
  }

  /** Of the value at `index`. */
  lengthAt(index: number): number {
    return this.view.getUint32(HEAD + index * ROW + 8, true)
  }

  itemAt(index: number): Item {
    const from = this.bodyAt(index)
    const length = this.lengthAt(index)
    const value = new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + from, length)
    const end = this.endAt(index)
    const seq = this.seqAt(index)
    return from + length === end ? { seq, value } : { seq, value, headers: this.headers(from + length, end) }
  }

  /** All records, to be packed again. */
  unpack(): ReadonlyArray<Kept> {
    return Array.from({ length: this.count }, (_, i) => ({ ...this.itemAt(i), timestamp: this.timestampAt(i) }))
  }

  /** The index of the first record above `cursor`: `count` if there is none. */
  firstAbove(cursor: Cursor): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.seqAt(middle) > cursor) high = middle
      else low = middle + 1
    }
    return low
  }

  private bodyAt(index: number): number {
    return index === 0 ? HEAD + this.count * ROW : this.endAt(index - 1)
  }

  private endAt(index: number): number {
    return this.view.getUint32(HEAD + index * ROW + 12, true)
  }

  private headers(from: number, end: number): Headers {
    return decodeHeaders(decoder.decode(this.bytes.subarray(from, end)))
  }
}

const HEAD = 24
const ROW = 16
const MAX_SEQ_DISTANCE = 0xffff_ffff
const MAX_TIME_DISTANCE_MS = 0x7fff_ffff

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const decodeHeaders = Schema.decodeSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.String)))
const none = new Uint8Array(0)

const encodeHeaders = ({ headers }: Item): Uint8Array =>
  headers === undefined ? none : encoder.encode(JSON.stringify(headers))

/** Where the block that starts at `from` ends, and its size. */
const extent = (
  records: ReadonlyArray<Kept>,
  headers: ReadonlyArray<Uint8Array>,
  from: number,
  block_bytes: number,
): { readonly to: number; readonly bytes: number } => {
  const first = records[from]!
  let bytes = HEAD
  let to = from
  for (; to < records.length; to++) {
    const record = records[to]!
    const more = ROW + record.value.length + headers[to]!.length
    if (to > from && (bytes + more > block_bytes || isFar(first, record))) break
    bytes += more
  }
  return { to, bytes }
}

/** Too far from the first record for its row. */
const isFar = (first: Kept, record: Kept): boolean =>
  record.seq - first.seq > MAX_SEQ_DISTANCE || Math.abs(record.timestamp - first.timestamp) > MAX_TIME_DISTANCE_MS

const packOne = (
  records: ReadonlyArray<Kept>,
  headers: ReadonlyArray<Uint8Array>,
  from: number,
  to: number,
  size: number,
): Packed => {
  const first = records[from]!
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  let row = HEAD
  let end = HEAD + (to - from) * ROW
  let valueBytes = 0
  for (let i = from; i < to; i++, row += ROW) {
    const { seq, timestamp, value } = records[i]!
    bytes.set(value, end)
    bytes.set(headers[i]!, end + value.length)
    end += value.length + headers[i]!.length
    valueBytes += value.length
    view.setUint32(row, seq - first.seq, true)
    view.setInt32(row + 4, timestamp - first.timestamp, true)
    view.setUint32(row + 8, value.length, true)
    view.setUint32(row + 12, end, true)
  }
  view.setFloat64(0, first.seq, true)
  view.setFloat64(8, first.timestamp, true)
  view.setUint32(16, to - from, true)
  view.setUint32(20, valueBytes, true)
  return { first: first.seq, last: records[to - 1]!.seq, bytes }
}
