/**
 * How the records of a batch may be compressed, by its producer or by the broker where the topic has a
 * `compression.type`. We write without; all of Kafka's codecs are read.
 *
 * No more than `most_bytes` ever come out: a few bytes can stand for a great many.
 */
import { gunzipSync, zstdDecompressSync } from "node:zlib"
import { readLz4 } from "./Lz4.ts"
import { readSnappy } from "./Snappy.ts"
import { TooManyBytes } from "./TooManyBytes.ts"

/** `codec`: its number in a batch's attributes. Throws where the bytes are none of it, or too many come out. */
export const uncompress = (codec: number, bytes: Buffer, most_bytes: number): Buffer => {
  const uncompressed = codecs[codec]
  if (uncompressed === undefined) throw new Error(`its compression has the number ${codec}, which Kafka does not know`)
  return uncompressed(bytes, most_bytes)
}

type Codec = (bytes: Buffer, most_bytes: number) => Buffer

/** Where too much comes out, Node speaks of the largest buffer. */
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
