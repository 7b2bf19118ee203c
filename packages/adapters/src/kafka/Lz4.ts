/**
 * Decodes the frames of LZ4 that producers of Kafka write. The library decodes the blocks. It can decode whole frames
 * too, but without a bound for their output.
 *
 * ```
 *   magic 4 · flags 1 · block size 1 · (content size 8) · (dictionary 4) · checksum 1
 *   · (length 4, its highest bit: stored as it is · block · (checksum 4))… · 0 4 · (checksum 4)          (numbers: little-endian)
 * ```
 *
 * The checksums are not verified: the batch has its own checksum, and those of old producers are wrong.
 */
import { uncompressSync } from "lz4-napi"
import { TooManyBytes } from "./TooManyBytes.ts"

/** Throws if the bytes are not a frame, or the output exceeds `most_bytes`. */
export const readLz4 = (bytes: Buffer, most_bytes: number): Buffer => {
  const flags = bytes.readUInt8(4)
  const block_bytes = blockSizes[(bytes.readUInt8(5) >>> 4) & 7]
  if (bytes.readUInt32LE(0) !== magic || flags >>> 6 !== 1 || block_bytes === undefined) {
    throw new Error("its records are no frame of LZ4")
  }
  if ((flags & 0x20) === 0) throw new Error("its blocks of LZ4 need each other, which Kafka does not allow")
  const checksum_bytes = (flags & 0x10) === 0 ? 0 : 4
  const blocks: Array<Buffer> = []
  let left_bytes = most_bytes
  let at = 7 + ((flags & 0x08) === 0 ? 0 : 8) + ((flags & 0x01) === 0 ? 0 : 4)
  for (let head = bytes.readUInt32LE(at); head !== 0; head = bytes.readUInt32LE(at)) {
    const length = head & 0x7fff_ffff
    if (at + 4 + length > bytes.length) throw new Error("a block of LZ4 is cut off")
    const block = bytes.subarray(at + 4, at + 4 + length)
    const read = head >>> 31 === 1 ? block : readBlock(block, Math.min(block_bytes, 16 + 255 * length))
    left_bytes -= read.length
    if (left_bytes < 0) throw new TooManyBytes(most_bytes)
    blocks.push(read)
    at += 4 + length + checksum_bytes
  }
  return Buffer.concat(blocks)
}

const magic = 0x184d2204
/** The block sizes, by their number in the header of the frame. */
const blockSizes = [undefined, undefined, undefined, undefined, 64 * 1024, 256 * 1024, 1024 * 1024, 4 * 1024 * 1024]

/** The library allocates as much as the number before the block says: at most what its bytes can expand to. */
const readBlock = (block: Buffer, most_bytes: number): Buffer => {
  const input = Buffer.allocUnsafe(4 + block.length)
  input.writeUInt32LE(most_bytes, 0)
  block.copy(input, 4)
  return uncompressSync(input)
}
