/** Records in parts of which none is larger than one request to the log may be. */
import type { ChunkLimits } from "../Limits.ts"
import { type LogRecord, recordBytes, roomOf } from "./Records.ts"

/**
 * In their order. A record that is too large on its own goes alone; what fits as a whole is given back as it is.
 * `publish_bytes`: what the topic takes at once, see `EventLog.facts`.
 */
export const chunksOf = <R extends LogRecord>(
  records: ReadonlyArray<R>,
  { chunk_bytes, chunk_records }: ChunkLimits,
  publish_bytes = Infinity,
): ReadonlyArray<ReadonlyArray<R>> => {
  const chunks: Array<ReadonlyArray<R>> = []
  let begin = 0
  let bytes = 0
  let room = 0
  for (let i = 0; i < records.length; i++) {
    const record = records[i]!
    const size = recordBytes(record)
    const itsRoom = roomOf(record)
    const isFull = i - begin >= chunk_records || bytes + size > chunk_bytes || room + itsRoom > publish_bytes
    if (i > begin && isFull) {
      chunks.push(records.slice(begin, i))
      begin = i
      bytes = 0
      room = 0
    }
    bytes += size
    room += itsRoom
  }
  if (begin === 0) return records.length === 0 ? [] : [records]
  chunks.push(records.slice(begin))
  return chunks
}
