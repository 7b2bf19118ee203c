/**
 * The event consumer (NimbusGRPC's back-office worker): from events to results, one for each partition.
 *
 * ```
 *   events topic ─ chunk ─▶ decode ─▶ handlers ─▶ encode ─▶ results topic ─▶ commit
 *                             │  (messages and barriers pass by the handlers as they are)
 *                             └─▶ quarantine topic
 * ```
 *
 * Results, messages and barriers leave in the order of the records that caused them, each with the offset of its cause
 * as its seq; that is all that recognises a repeat. One produce is under way for each partition, and while it is the
 * next chunk is handled, never more than one. The commit follows the acknowledged produce. So a crash repeats at most
 * two chunks' work, which is harmless: handlers know an event by its id, everyone further on by its seq.
 *
 * A result is encoded here, once: its bytes go unchanged to the client. What a client of NimbusWS is told of its event
 * with the result goes with it: the event's data, when it was accepted, and when the handlers of its chunk were done.
 */
import { Clock, Effect, type Latch, Layer, Result as Res } from "effect"
import {
  type AssignedPartition,
  type Chunk,
  decodeEvent,
  encodeCompleted,
  encodePlacedBarrier,
  encodeResult,
  eventBytes,
  EventLog,
  fittingResult,
  Handlers,
  isClientId,
  type LogRecord,
  partitionOf,
  type PlacedEvent,
  type Result,
  seqUnsafe,
  type StoredRecord,
  Topics,
  type Trace,
} from "@nimbus/domain"
import { type EventConsumerLimits, eventConsumerLimits } from "./Limits.ts"
import * as Metrics from "./Metrics.ts"
import { quarantine, type Refused } from "./Quarantine.ts"
import * as Behind from "./internal/Behind.ts"
import * as Committer from "./internal/Committer.ts"
import * as HandledJourney from "./internal/HandledJourney.ts"
import { publishUntilAcknowledged } from "./internal/Publish.ts"
import * as Workers from "./internal/Workers.ts"

const role = "event-consumer"

/** Handles each partition of the events topic that is ours. */
export const layer: Layer.Layer<never, never, EventLog | Topics | Handlers> = Layer.effectDiscard(
  Effect.suspend(() => run(eventConsumerLimits)),
)

/** The same with other bounds than the defaults. */
export const layerWith = (
  limits: Partial<EventConsumerLimits>,
): Layer.Layer<never, never, EventLog | Topics | Handlers> =>
  Layer.effectDiscard(run({ ...eventConsumerLimits, ...limits }))

const run = Effect.fnUntraced(function* (limits: EventConsumerLimits) {
  const topics = yield* Topics
  yield* Workers.run({
    role,
    topic: topics.events,
    limits,
    worker: (partition, stopping) => handle(partition, stopping, limits),
  })
})

const handle = Effect.fnUntraced(function* (
  assigned: AssignedPartition,
  stopping: Latch.Latch,
  limits: EventConsumerLimits,
) {
  const { partition } = assigned
  const log = yield* EventLog
  const topics = yield* Topics
  const handlers = yield* Handlers
  const journey = yield* HandledJourney.make(role, topics.events, partition)
  const committer = yield* Committer.make(assigned, limits)
  const producing = yield* Behind.make

  const produce = (chunk: Chunk, records: ReadonlyArray<LogRecord>, end: Trace.Hops["end"]) =>
    publishUntilAcknowledged(log, topics.results, partition, records, limits).pipe(
      Effect.onExit((exit) => end(exit)),
      Effect.andThen(() => {
        committer.offer(chunk.next)
        return Metrics.countOut("results", records.length)
      }),
    )

  const onChunk = Effect.fnUntraced(function* (chunk: Chunk) {
    const hops = journey.chunk()
    const sorted = sort(chunk, log.partitions)
    yield* quarantine({ topic: topics.events, partition }, sorted.refused, limits)
    const results = yield* handlers.handleChunk(sorted.events)
    const completed_ms = yield* Clock.currentTimeMillis
    yield* countFailures(results)
    yield* Metrics.countIn(role, chunk.records.length)
    const records = merge(chunk, sorted, { results, completed_ms }, hops, eventBytes(log, topics))
    yield* producing.run(produce(chunk, records, hops.end))
    return true
  })

  yield* Workers.forEachChunk(assigned.read("committed"), stopping, onChunk)
  yield* producing.settled
})

/** What a chunk holds. `outcomes` has a place for each record, in order. */
interface Sorted {
  readonly events: ReadonlyArray<PlacedEvent>
  readonly refused: ReadonlyArray<Refused>
  readonly outcomes: ReadonlyArray<Outcome>
}

/** What becomes of a record: what the handlers say, nothing, or these bytes. */
type Outcome = "handled" | "refused" | Uint8Array

const sort = (chunk: Chunk, partitions: number): Sorted => {
  const events: Array<PlacedEvent> = []
  const refused: Array<Refused> = []
  const outcomes = chunk.records.map((record): Outcome => {
    const seq = seqUnsafe(record.offset)
    const decoded = decode(record, chunk.partition, partitions)
    if (typeof decoded === "string") {
      refused.push({ record, reason: decoded })
      return "refused"
    }
    const { clientId, event } = decoded
    if (event.type === "barrier") return encodePlacedBarrier(seq, event)
    events.push({ clientId, seq, event })
    return "handled"
  })
  return { events, refused, outcomes }
}

/** Whose record it is and what it says; or why it can't be read. */
const decode = ({ key, unreadable, value }: StoredRecord, partition: number, partitions: number) => {
  if (unreadable !== undefined) return unreadable
  if (!isClientId(key)) return "the key is no client id"
  // Its seq would be compared with those of another partition.
  const home = partitionOf(key, partitions)
  if (home !== partition)
    return `the key belongs to partition ${home}: its producer has another partitioner than murmur2`
  const event = decodeEvent(value)
  return Res.isSuccess(event) ? { clientId: key, event: event.success } : event.failure.reason
}

/** What the handlers said, and when they were done. */
interface Handled {
  readonly results: ReadonlyArray<Result>
  readonly completed_ms: number
}

const merge = (
  chunk: Chunk,
  { events, outcomes }: Sorted,
  { completed_ms, results }: Handled,
  journey: HandledJourney.HandledChunk,
  most_bytes: number,
): ReadonlyArray<LogRecord> => {
  const records: Array<LogRecord> = []
  const completed_at = new Date(completed_ms).toISOString()
  let handled = 0
  for (let i = 0; i < outcomes.length; i++) {
    const outcome = outcomes[i]!
    if (outcome === "refused") continue
    const record = chunk.records[i]!
    if (outcome === "handled") {
      const result = results[handled]!
      const placed = events[handled++]
      const headers = journey.handled(record, placed, result)
      const accepted = placed?.event.accepted
      const isEcho = result.data === placed?.event.data
      const value =
        accepted === undefined
          ? encodeResult(result)
          : encodeCompleted(result, accepted, completed_at, record.value, isEcho)
      records.push(fittingResult({ key: record.key, value, headers }, result, most_bytes))
    } else records.push({ key: record.key, value: outcome, headers: journey.handled(record) })
  }
  return records
}

const countFailures = (results: ReadonlyArray<Result>): Effect.Effect<void> => {
  let byCode: Map<string, number> | undefined
  for (const { error } of results) {
    if (error === undefined) continue
    byCode ??= new Map()
    byCode.set(error.code, (byCode.get(error.code) ?? 0) + 1)
  }
  if (byCode === undefined) return Effect.void
  return Effect.forEach(byCode, ([code, n]) => Metrics.countHandlerFailure(code, n), { discard: true })
}
