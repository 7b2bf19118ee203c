/** Records in parts of which none is larger than one request to the log may be. */
import type { ChunkLimits } from "./Limits.ts"
import { type LogRecord, recordBytes } from "./Records.ts"

/** In their order. A record that is too large by itself goes alone; what fits as a whole is given back as it is. */
export const chunksOf = <R extends LogRecord>(
  records: ReadonlyArray<R>,
  { chunk_bytes, chunk_records }: ChunkLimits,
): ReadonlyArray<ReadonlyArray<R>> => {
  const chunks: Array<ReadonlyArray<R>> = []
  let begin = 0
  let bytes = 0
  for (let i = 0; i < records.length; i++) {
    const size = recordBytes(records[i]!)
    if (i > begin && (i - begin >= chunk_records || bytes + size > chunk_bytes)) {
      chunks.push(records.slice(begin, i))
      begin = i
      bytes = 0
    }
    bytes += size
  }
  if (begin === 0) return records.length === 0 ? [] : [records]
  chunks.push(records.slice(begin))
  return chunks
}
