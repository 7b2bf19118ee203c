/**
 * A block of the log as bytes: one LMDB value.
 *
 * ```
 *   block   version u8, 3 bytes 0, count u32, timestamp f64 (the lowest, ms since 1970), record…
 *   record  value length u32, timestamp above the block's u32, key length × 4 + flags u32,
 *           key, value, [headers length u32, headers as JSON]
 * ```
 *
 * Numbers are little-endian. Flag 1: the key is ASCII; flag 2: there are headers. Offsets are not stored: the records
 * of a block have consecutive offsets, from the offset in its key on.
 */
import type { Headers, LogRecord, StoredRecord } from "@nimbus/domain/protocol"
import type { LocalLog } from "@nimbus/domain/services"

/** Encodes blocks into one buffer, which it keeps: the bytes that `encode` returns are valid until the next call. */
export class BlockEncoder {
  #bytes = new Uint8Array(64 * 1024)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  encode({ records }: LocalLog.Block): Uint8Array {
    const timestamp = lowestTimestamp(records)
    this.#at = 0
    this.#reserve(headerBytes)
    this.#view.setUint32(0, version, true)
    this.#view.setUint32(4, records.length, true)
    this.#view.setFloat64(8, timestamp, true)
    this.#at = headerBytes
    for (const record of records) this.#record(record, record.timestamp - timestamp)
    return this.#bytes.subarray(0, this.#at)
  }

  #record({ headers, key, value }: LogRecord, timestamp: number): void {
    const head = this.#at
    // UTF-8 takes at most three bytes for a UTF-16 unit.
    this.#reserve(recordHeadBytes + key.length * 3 + value.length)
    this.#at += recordHeadBytes
    let flags = 0
    if (this.#ascii(key)) flags |= flagAscii
    else this.#at += encoder.encodeInto(key, this.#bytes.subarray(this.#at)).written
    const keyLength = this.#at - head - recordHeadBytes
    this.#bytes.set(value, this.#at)
    this.#at += value.length
    if (headers !== undefined) {
      flags |= flagHeaders
      this.#headers(headers)
    }
    this.#view.setUint32(head, value.length, true)
    this.#view.setUint32(head + 4, Math.min(timestamp, 0xffff_ffff), true)
    this.#view.setUint32(head + 8, keyLength * 4 + flags, true)
  }

  /** Writes the key if it is ASCII, and otherwise nothing. */
  #ascii(key: string): boolean {
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i)
      if (code > 127) return false
      this.#bytes[this.#at + i] = code
    }
    this.#at += key.length
    return true
  }

  #headers(headers: Headers): void {
    const json = bytesOf(headers)
    this.#reserve(4 + json.length)
    this.#view.setUint32(this.#at, json.length, true)
    this.#bytes.set(json, this.#at + 4)
    this.#at += 4 + json.length
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    larger.set(this.#bytes)
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

/** All events of one session have the same headers, the caller's, and nobody changes them: they are written once. */
const encoded = new WeakMap<Headers, Uint8Array>()

const bytesOf = (headers: Headers): Uint8Array => {
  const known = encoded.get(headers)
  if (known !== undefined) return known
  const bytes = encoder.encode(JSON.stringify(headers))
  encoded.set(headers, bytes)
  return bytes
}

/**
 * Returns the records from offset `from` on of a block that begins at offset `first`. Their values are views of
 * `bytes`, which must not change. Throws if the bytes are not a block.
 */
export const decodeBlock = (bytes: Uint8Array, first: number, from: number): ReadonlyArray<StoredRecord> => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.readUInt32LE(0) !== version) throw new Error(`a block of unknown version ${buffer.readUInt32LE(0)}`)
  const count = buffer.readUInt32LE(4)
  const timestamp = buffer.readDoubleLE(8)
  const records: Array<StoredRecord> = []
  let at = headerBytes
  for (let i = 0; i < count; i++) {
    const valueLength = buffer.readUInt32LE(at)
    const keyWord = buffer.readUInt32LE(at + 8)
    const keyAt = at + recordHeadBytes
    const valueAt = keyAt + (keyWord >>> 2)
    const end = valueAt + valueLength
    const headersLength = keyWord & flagHeaders ? buffer.readUInt32LE(end) : undefined
    if (first + i >= from) {
      records.push({
        key: buffer.toString(keyWord & flagAscii ? "latin1" : "utf8", keyAt, valueAt),
        value: new Uint8Array(buffer.buffer, buffer.byteOffset + valueAt, valueLength),
        headers: headersLength === undefined ? undefined : decodeHeaders(buffer, end + 4, headersLength),
        offset: first + i,
        timestamp: timestamp + buffer.readUInt32LE(at + 4),
      })
    }
    at = headersLength === undefined ? end : end + 4 + headersLength
  }
  return records
}

/** Only `encode` writes these headers, into a store of this process. They are therefore not checked. */
const decodeHeaders = (buffer: Buffer, at: number, length: number): Headers =>
  JSON.parse(buffer.toString("utf8", at, at + length))

const version = 1
const headerBytes = 16
const recordHeadBytes = 12
const flagAscii = 1
const flagHeaders = 2
const encoder = new TextEncoder()

const lowestTimestamp = (records: ReadonlyArray<StoredRecord>): number => {
  let lowest = Infinity
  for (const { timestamp } of records) if (timestamp < lowest) lowest = timestamp
  return lowest
}
