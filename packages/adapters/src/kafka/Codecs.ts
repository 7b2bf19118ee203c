/**
 * Decompresses the records of a batch, which its producer may have compressed, or the broker if the topic has a
 * `compression.type`. Nimbus writes uncompressed batches, and reads all codecs of Kafka.
 *
 * The output has at most `most_bytes`, because a few bytes can expand to very many.
 */
import { gunzipSync, zstdDecompressSync } from "node:zlib"
import { readLz4 } from "./Lz4.ts"
import { readSnappy } from "./Snappy.ts"
import { TooManyBytes } from "./TooManyBytes.ts"

/** `codec` is its number in the attributes of a batch. Throws if the bytes are invalid, or the output is too large. */
export const uncompress = (codec: number, bytes: Buffer, most_bytes: number): Buffer => {
  const uncompressed = codecs[codec]
  if (uncompressed === undefined) throw new Error(`its compression has the number ${codec}, which Kafka does not know`)
  return uncompressed(bytes, most_bytes)
}

type Codec = (bytes: Buffer, most_bytes: number) => Buffer

/** The error of Node for an output that is too large names the largest buffer. */
const ofNode =
  (uncompressed: (bytes: Buffer, options: { readonly maxOutputLength: number }) => Buffer): Codec =>
  (bytes, most_bytes) => {
    try {
      return uncompressed(bytes, { maxOutputLength: most_bytes })
    } catch (error) {
      throw error instanceof RangeError ? new TooManyBytes(most_bytes) : error
    }
  }

const asTheyAre: Codec = (bytes, most_bytes) => {
  if (bytes.length > most_bytes) throw new TooManyBytes(most_bytes)
  return bytes
}

const codecs: ReadonlyArray<Codec> = [asTheyAre, ofNode(gunzipSync), readSnappy, readLz4, ofNode(zstdDecompressSync)]
