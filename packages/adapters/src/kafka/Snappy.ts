/**
 * Snappy, in both of the ways in which Kafka's producers write it:
 *
 * ```
 *   most:    one raw block
 *   Java's:  0x82, the word SNAPPY, 0 · version 4 · compatible 4 · (length 4 · raw block)…
 *
 *   raw block: its length uncompressed, a varint · the rest
 * ```
 */
import { uncompressSync } from "snappy"
import { TooManyBytes } from "./TooManyBytes.ts"

/** Throws where the bytes are no Snappy, or more than `most_bytes` come out. */
export const readSnappy = (bytes: Buffer, most_bytes: number): Buffer => {
  if (!bytes.subarray(0, magic.length).equals(magic)) return readBlock(bytes, most_bytes, most_bytes)
  const blocks: Array<Buffer> = []
  let left_bytes = most_bytes
  for (let at = magic.length + 8; at < bytes.length;) {
    const length = bytes.readUInt32BE(at)
    const block = readBlock(bytes.subarray(at + 4, at + 4 + length), left_bytes, most_bytes)
    left_bytes -= block.length
    blocks.push(block)
    at += 4 + length
  }
  return Buffer.concat(blocks)
}

const magic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])

/** The library makes room for as much as a block says that it has: so that is looked at first. */
const readBlock = (block: Buffer, left_bytes: number, most_bytes: number): Buffer => {
  if (lengthOf(block) > left_bytes) throw new TooManyBytes(most_bytes)
  const uncompressed = uncompressSync(block, { asBuffer: true })
  if (typeof uncompressed === "string") throw new TypeError("snappy gave text")
  return uncompressed
}

const lengthOf = (block: Buffer): number => {
  let length = 0
  for (let i = 0, scale = 1; i < 5 && i < block.length; i++, scale *= 0x80) {
    length += (block[i]! & 0x7f) * scale
    if (block[i]! < 0x80) break
  }
  return length
}
