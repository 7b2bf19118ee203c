/**
 * Where records go that cannot be decoded: the quarantine topic, with their bytes as they were and beside them what is
 * wrong and where they stood (`Quarantined`), so that nothing is lost and nothing else stops. Of a record that is larger
 * than the topic takes, only so much is kept as it does take: the whole record is still where it stood.
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
