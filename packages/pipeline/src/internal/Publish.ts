/** Writing to the log so that it is there for sure: in requests of bounded size, each again until acknowledged. */
import { Effect } from "effect"
import type { ChunkLimits, EventLog, LogRecord } from "@nimbus/domain"
import type { ConsumerLimits } from "../Limits.ts"
import { untilDone } from "./Backoff.ts"

type Log = EventLog["Service"]

/**
 * Publishes in order, one request in flight, and is done when the log has acknowledged all of them. A request that
 * failed may have been appended, so records may repeat.
 */
export const publishUntilAcknowledged = (
  log: Log,
  topic: string,
  partition: number,
  records: ReadonlyArray<LogRecord>,
  limits: Pick<ConsumerLimits, "backoff_min_ms" | "backoff_max_ms"> & { readonly chunk: ChunkLimits },
): Effect.Effect<void> => {
  const publish = (part: ReadonlyArray<LogRecord>) =>
    untilDone(log.publish(topic, partition, part), `publish ${topic}`, limits)
  const ends = splitAt(records, limits.chunk)
  if (ends.length <= 1) return records.length === 0 ? Effect.void : Effect.asVoid(publish(records))
  return Effect.forEach(ends, (end, i) => publish(records.slice(ends[i - 1] ?? 0, end)), { discard: true })
}

/** Where each request ends, so that none is over the limits; a record that is too large by itself goes alone. */
export const splitAt = (records: ReadonlyArray<LogRecord>, limits: ChunkLimits): ReadonlyArray<number> => {
  const ends: Array<number> = []
  let begin = 0
  let bytes = 0
  for (let i = 0; i < records.length; i++) {
    const size = records[i]!.value.length
    if (i > begin && (i - begin >= limits.chunk_records || bytes + size > limits.chunk_bytes)) {
      ends.push(i)
      begin = i
      bytes = 0
    }
    bytes += size
  }
  if (records.length > 0) ends.push(records.length)
  return ends
}
