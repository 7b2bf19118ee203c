/**
 * The way in: events and barriers from all connections of this gateway, batched per partition into the events topic.
 *
 * One publish per partition is under way at a time, so a client's events reach the log in the order in which it sent
 * them; what arrives meanwhile makes up the next batch. A publish that fails is made again until the log takes it,
 * which may write a batch twice (docs/protocol.md, *Resent events*). While `intake_bytes` of a partition wait, its
 * sockets are not read.
 */
import { chunkLimits, type EventId, EventLog, type LogError, type LogRecord, partitionOf, Topics } from "@nimbus/domain"
import { Effect, Latch, Schedule, type Scope } from "effect"
import type { Counts } from "../Metrics.ts"

/** Told when the log has its records. */
export interface Sender {
  accepted(ids: ReadonlyArray<EventId>): void
  pause(): void
  resume(): void
}

interface Entry {
  readonly record: LogRecord
  /** Who is told, and about which event; nobody for a barrier. */
  readonly from: { readonly sender: Sender; readonly id: EventId } | undefined
}

interface Lane {
  readonly partition: number
  entries: Array<Entry>
  bytes: number
  publishing: boolean
  paused: Set<Sender>
  readonly work: Latch.Latch
}

export interface Intake {
  /** Takes a record for the log. A sender whose lane is full is paused, and resumed when there is room. */
  put(record: LogRecord, from?: { readonly sender: Sender; readonly id: EventId }): void
  /** Done once the log has everything that was put. */
  readonly idle: Effect.Effect<void>
}

/** Backs off from 50 ms to 5 s, for as long as the log is away: what was put is still here. */
const untilTheLogIsBack = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered,
)

export const makeIntake = (
  intake_bytes: number,
  counts: Counts,
): Effect.Effect<Intake, never, EventLog | Topics | Scope.Scope> =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const topic = (yield* Topics).events
    const lanes = Array.from({ length: log.partitions }, (_, partition): Lane => {
      return { partition, entries: [], bytes: 0, publishing: false, paused: new Set(), work: Latch.makeUnsafe(false) }
    })

    const publish = (lane: Lane, batch: ReadonlyArray<Entry>): Effect.Effect<void, LogError> =>
      log
        .publish(
          topic,
          lane.partition,
          batch.map(({ record }) => record),
        )
        .pipe(
          Effect.tapError((error) => {
            counts.addTo("failed", "publish events")
            return Effect.logWarning("events wait for the log", error)
          }),
          Effect.retry({ schedule: untilTheLogIsBack, while: (error) => error._tag === "LogUnavailable" }),
          Effect.asVoid,
        )

    const turn = (lane: Lane) =>
      Effect.gen(function* () {
        yield* lane.work.await
        // What else this turn of the event loop brings is to come along.
        yield* Effect.yieldNow
        const batch = takeBatch(lane)
        yield* publish(lane, batch)
        lane.publishing = false
        if (lane.entries.length === 0) lane.work.closeUnsafe()
        tellAccepted(batch)
        if (lane.bytes <= intake_bytes / 2) resumeAll(lane)
        counts.add("accepted", batch.length)
      })

    // An unknown topic is a fault of the set-up, found at the first event: a defect that ends the gateway.
    for (const lane of lanes) yield* Effect.forkScoped(Effect.orDie(Effect.forever(turn(lane))))

    return {
      put(record, from) {
        const lane = lanes[partitionOf(record.key, lanes.length)]!
        lane.entries.push({ record, from })
        lane.bytes += record.value.length
        lane.work.openUnsafe()
        if (lane.bytes > intake_bytes && from !== undefined && !lane.paused.has(from.sender)) {
          lane.paused.add(from.sender)
          from.sender.pause()
        }
      },
      idle: Effect.suspend(() =>
        lanes.every((lane) => lane.entries.length === 0 && !lane.publishing)
          ? Effect.succeed(true)
          : Effect.as(Effect.sleep("5 millis"), false),
      ).pipe(Effect.repeat({ until: (isIdle) => isIdle }), Effect.asVoid),
    }
  })

/** At most one chunk; a larger backlog goes in several. */
const takeBatch = (lane: Lane): ReadonlyArray<Entry> => {
  const all = lane.entries
  const batch = all.length <= chunkLimits.chunk_records ? all : all.slice(0, chunkLimits.chunk_records)
  lane.entries = batch === all ? [] : all.slice(batch.length)
  for (const { record } of batch) lane.bytes -= record.value.length
  lane.publishing = true
  return batch
}

const tellAccepted = (batch: ReadonlyArray<Entry>): void => {
  const bySender = new Map<Sender, Array<EventId>>()
  for (const { from } of batch) {
    if (from === undefined) continue
    const { id, sender } = from
    const ids = bySender.get(sender)
    if (ids === undefined) bySender.set(sender, [id])
    else ids.push(id)
  }
  for (const [sender, ids] of bySender) sender.accepted(ids)
}

const resumeAll = (lane: Lane): void => {
  const paused = lane.paused
  lane.paused = new Set()
  for (const sender of paused) sender.resume()
}
