/**
 * Writes records that can't be decoded to the quarantine topic, with their original bytes, the reason, and their position
 * (`Quarantined`), so that nothing is lost and no other record is blocked. A record that is larger than the topic accepts
 * is truncated to what it accepts. The whole record is still at its original position.
 */
import { Clock, Effect, Metric } from "effect"
import type { ChunkLimits } from "@nimbus/domain/limits"
import { type LogRecord, Quarantined, roomOf, type StoredRecord } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import type { ConsumerLimits } from "./Limits.ts"
import * as Metrics from "./Metrics.ts"
import { publishUntilAcknowledged } from "./internal/Publish.ts"

/** A record and what is wrong with it. */
export interface Refused {
  readonly record: StoredRecord
  readonly reason: string
}

/** The headers of a record in the quarantine topic. */
export const headers = Quarantined.headers

/** Done once the quarantine topic has acknowledged all of them; until then it is tried again. */
export const quarantine = Effect.fnUntraced(function* (
  from: { readonly topic: string; readonly partition: number },
  refused: ReadonlyArray<Refused>,
  limits: ConsumerLimits & { readonly chunk: ChunkLimits },
): Effect.fn.Return<void, never, EventLog | Topics> {
  if (refused.length === 0) return
  const log = yield* EventLog
  const topics = yield* Topics
  const time = yield* Clock.currentTimeMillis
  yield* Effect.logWarning(`quarantines ${refused.length} records`, {
    ...from,
    first: { offset: refused[0]!.record.offset, reason: refused[0]!.reason },
  })
  const { partitions, publish_bytes } = log.facts(topics.quarantine)
  const records = refused.map((one) => cut(labelled(one, from, time), publish_bytes))
  yield* publishUntilAcknowledged(log, topics.quarantine, from.partition % partitions, records, limits)
  yield* Metric.update(Metrics.quarantined, refused.length)
})

const cut = (record: LogRecord, publish_bytes: number): LogRecord => {
  const excess = roomOf(record) - publish_bytes
  return excess > 0 ? { ...record, value: record.value.subarray(0, -excess) } : record
}

const labelled = (
  { reason, record }: Refused,
  from: { readonly topic: string; readonly partition: number },
  time: number,
): LogRecord => ({
  key: record.key,
  value: record.value,
  headers: { ...record.headers, ...Quarantined.encode({ reason, from: { ...from, offset: record.offset }, time }) },
})
