/** Writing to the log so that it is there for sure: in requests of bounded size, each again until acknowledged. */
import { Effect } from "effect"
import { type ChunkLimits, chunksOf, type EventLog, type LogRecord } from "@nimbus/domain"
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
  return Effect.forEach(chunksOf(records, limits.chunk), publish, { discard: true })
}
