/**
 * What the topics of an installation take: an event goes through all three that seqs travel through, or to the task
 * workers, and becomes larger on its way, by its seq and by the steps of its journey.
 */
import type { EventLog } from "./EventLog.ts"
import { encodeResult, type LogRecord, type Result, roomOf } from "../protocol/Records.ts"
import type { Topics } from "./Topics.ts"

/** How much larger a record may be further on. Steps of a journey that take more are left out. */
const growth_bytes = 16 * 1024

/** The most that one event may take up, as `roomOf` counts it. */
export const eventBytes = (log: Pick<EventLog["Service"], "facts">, topics: Topics["Service"]): number =>
  Math.min(
    ...[topics.events, topics.results, topics.dlq, topics.tasks].map((topic) => log.facts(topic).publish_bytes),
  ) - growth_bytes

/**
 * The record of a result, if it takes up no more than `most_bytes` beside its headers. Otherwise an error in its place:
 * its client learns of it, and nobody's results wait behind what can't be written.
 */
export const fittingResult = (record: LogRecord, { id, name, seq }: Result, most_bytes: number): LogRecord => {
  const { headers, key, value } = record
  const bytes = headers === undefined ? roomOf(record) : roomOf({ key, value })
  if (bytes <= most_bytes) return record
  const message = `the result takes up ${bytes} bytes, and the log takes ${most_bytes}`
  return { key, value: encodeResult({ seq, id, name, error: { code: "RESULT_TOO_BIG", message } }), headers }
}
