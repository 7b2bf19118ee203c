/**
 * The way into a topic: records from all connections of this gateway, batched per partition. Events, cancels and barriers
 * come this way, and chat messages.
 *
 * One publish per partition is under way at a time, so a client's events reach the log in the order in which it sent
 * them; what arrives meanwhile makes up the next batch. While `intake_bytes` of a partition wait, its sockets are not
 * read: beyond the bound each that was open before has one event, and each client one barrier, the latest.
 *
 * What is more than the topic takes at once goes in several publishes. A publish that the log refuses for its size goes
 * in halves; a single record that is refused is an alarm, and counts as failed.
 *
 * A publish that fails may have been made. Only the client can send its events again and know that they may come twice
 * (docs/protocol.md, *Resent events*), so its connection is closed, and what else of it waited here goes with it, for
 * no event may overtake another. Barriers are published again by their sessions.
 */
import { type LogError, LogUnavailable } from "@nimbus/domain/errors"
import { chunkLimits } from "@nimbus/domain/limits"
import { registerSize, type Trace } from "@nimbus/domain/observability"
import { type EventId, type LogRecord, partitionOf, roomOf } from "@nimbus/domain/protocol"
import { Alarms, EventLog, type FailureReporter, failureReporter } from "@nimbus/domain/services"
import { Clock, Effect, Exit, Latch, type Scope } from "effect"
import type { Counts } from "../Metrics.ts"

/** Told what became of its events. */
export interface Sender<Id extends string = EventId> {
  /** The log has these, and its cancels of those, all of them at these offsets. */
  accepted(ids: ReadonlyArray<Id>, offsets: ReadonlyArray<number>, cancels: ReadonlyArray<Id>): void
  /** The log may or may not have what was not accepted until now. */
  unavailable(): void
  pause(): void
  resume(): void
}

interface Entry<Id extends string> {
  record: LogRecord
  /** Who is told, and about which record; nobody for a barrier. */
  readonly from: From<Id> | undefined
}

interface From<Id extends string> {
  readonly sender: Sender<Id>
  readonly id: Id
  /** It does not bring the event of this id, but cancels its task. */
  readonly isCancel?: boolean
  /** Of a sampled event: until the log has it. */
  readonly hop?: Trace.Hop | undefined
}

interface PartitionQueue<Id extends string> {
  readonly partition: number
  entries: Array<Entry<Id>>
  /** Of those entries the barriers, by client. */
  readonly barriers: Map<string, Entry<Id>>
  bytes: number
  /** Since when the oldest of the entries has waited, about. */
  since_ms: number
  publishing: boolean
  paused: Set<Sender<Id>>
  readonly work: Latch.Latch
}

export interface Intake<Id extends string = EventId> {
  /** Takes a record for the log. A sender whose queue is full is paused, and resumed when there is room. */
  put(record: LogRecord, from: From<Id>): void
  /** Takes a barrier for the log, instead of one of the same client that still waits here. */
  putBarrier(record: LogRecord): void
  /** A sender of records with this key is there: paused at once where its queue is full. */
  join(key: string, sender: Sender<Id>): void
  /** It is gone, and is not to be resumed. */
  leave(key: string, sender: Sender<Id>): void
  /** Done once the log has everything that was put. */
  readonly idle: Effect.Effect<void>
}

export interface IntakeOptions {
  readonly topic: string
  /** Among how many partitions keys are distributed. */
  readonly partitions: number
  readonly intake_bytes: number
  readonly counts: Counts
  /** What the log has taken is counted as this, and what it has not as failed to publish this. */
  readonly counted: { readonly accepted: "accepted" | "chatMessages"; readonly failed: "events" | "chat messages" }
}

export const makeIntake = <Id extends string = EventId>({
  counted,
  counts,
  intake_bytes,
  partitions,
  topic,
}: IntakeOptions): Effect.Effect<Intake<Id>, never, EventLog | Scope.Scope> =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const queues = Array.from({ length: partitions }, (_, partition): PartitionQueue<Id> => {
      const work = Latch.makeUnsafe(false)
      const empty = { entries: [], barriers: new Map(), bytes: 0, since_ms: 0 }
      return { partition, ...empty, publishing: false, paused: new Set(), work }
    })

    const queueOf = (key: string): PartitionQueue<Id> => queues[partitionOf(key, queues.length)]!

    const add = (queue: PartitionQueue<Id>, entry: Entry<Id>): void => {
      if (queue.entries.length === 0) queue.since_ms = now()
      queue.entries.push(entry)
      queue.bytes += entry.record.value.length
      queue.work.openUnsafe()
    }

    const pauseIfFull = (queue: PartitionQueue<Id>, sender: Sender<Id>): void => {
      if (queue.bytes <= intake_bytes || queue.paused.has(sender)) return
      queue.paused.add(sender)
      sender.pause()
    }

    const alarms = yield* Alarms
    const publish = (queue: PartitionQueue<Id>, batch: ReadonlyArray<Entry<Id>>) => {
      const records = batch.map(({ record }) => record)
      return log.publish(topic, queue.partition, records).pipe(
        Effect.catchTag("LogRefused", (cause) =>
          // Whatever else is refused is an alarm already.
          Effect.when(
            alarms.raise(topic, cause, { blocks: true, lasts_ms: refusal_ms }),
            Effect.sync(() => cause.reason === "too-large" && batch.length === 1),
          ).pipe(Effect.andThen(Effect.fail(cause))),
        ),
      )
    }

    /** In order. What the log has is told at once, whatever becomes of the rest. */
    const write = (
      queue: PartitionQueue<Id>,
      batch: ReadonlyArray<Entry<Id>>,
      since_ms: number,
    ): Effect.Effect<void, LogError> =>
      Effect.matchEffect(publish(queue, batch), {
        onSuccess: (first) =>
          Effect.sync(() => {
            const { cancels, events } = tellAccepted(batch, first)
            counts.add(counted.accepted, events)
            counts.add("cancels", cancels)
            if (counted.accepted === "accepted") counts.observe("accept", now() - since_ms)
          }),
        onFailure: (error) => {
          if (error._tag === "LogRefused" && error.reason === "too-large" && batch.length > 1) {
            const half = Math.ceil(batch.length / 2)
            return Effect.andThen(
              write(queue, batch.slice(0, half), since_ms),
              write(queue, batch.slice(half), since_ms),
            )
          }
          giveUp(queue, batch)
          const failure =
            error._tag === "LogRefused" ? new LogUnavailable({ topic, operation: "publish", cause: error }) : error
          return Effect.fail(failure)
        },
      })

    const turn = (queue: PartitionQueue<Id>, outage: FailureReporter) =>
      Effect.gen(function* () {
        yield* queue.work.await
        // What else this turn of the event loop brings is to come along.
        yield* Effect.yieldNow
        const { since_ms } = queue
        const batch = takeBatch(queue, log.facts(topic).publish_bytes)
        queue.since_ms = now()
        yield* write(queue, batch, since_ms).pipe(
          Effect.andThen(outage.worked),
          Effect.catchTag("LogUnavailable", (error) => {
            counts.addTo("failed", `publish ${counted.failed}`)
            return outage.failed(error)
          }),
        )
        settle(queue, intake_bytes)
      })

    // An unknown topic is a fault of the set-up, found at the first event: a defect that ends the gateway.
    for (const queue of queues) {
      yield* registerSize("intake", {
        get size() {
          return sizeOf(queue)
        },
      })
      const outage = yield* failureReporter(`publish ${counted.failed}`)
      yield* Effect.forkScoped(Effect.orDie(Effect.forever(turn(queue, outage))))
    }

    return {
      put(record, from) {
        const queue = queueOf(record.key)
        add(queue, { record, from })
        pauseIfFull(queue, from.sender)
      },
      putBarrier(record) {
        const queue = queueOf(record.key)
        const waiting = queue.barriers.get(record.key)
        if (waiting !== undefined) {
          queue.bytes += record.value.length - waiting.record.value.length
          waiting.record = record
          return
        }
        const entry: Entry<Id> = { record, from: undefined }
        queue.barriers.set(record.key, entry)
        add(queue, entry)
      },
      join: (key, sender) => pauseIfFull(queueOf(key), sender),
      leave: (key, sender) => void queueOf(key).paused.delete(sender),
      idle: Effect.suspend(() =>
        queues.every((queue) => queue.entries.length === 0 && !queue.publishing)
          ? Effect.succeed(true)
          : Effect.as(Effect.sleep("5 millis"), false),
      ).pipe(Effect.repeat({ until: (isIdle) => isIdle }), Effect.asVoid),
    }
  })

/** How long a record that was refused keeps this gateway from being ready: clients go to others, and may come back. */
const refusal_ms = 60_000

/** What waits, from how many, how many barriers are among it, and how many senders wait for room. */
const sizeOf = <Id extends string>({ bytes, entries, paused }: PartitionQueue<Id>) => {
  const senders = new Set(entries.flatMap(({ from }) => (from === undefined ? [] : [from.sender])))
  const barriers = entries.filter(({ from }) => from === undefined).length
  return { bytes, senders: senders.size, barriers, paused: paused.size }
}

/** At most one chunk, but one record at least; a larger backlog goes in several. */
const takeBatch = <Id extends string>(queue: PartitionQueue<Id>, publish_bytes: number): ReadonlyArray<Entry<Id>> => {
  const all = queue.entries
  let bytes = 0
  let room = 0
  let count = 0
  while (count < all.length && count < chunkLimits.chunk_records) {
    const { from, record } = all[count]!
    const isFull = bytes + record.value.length > chunkLimits.chunk_bytes || room + roomOf(record) > publish_bytes
    if (count > 0 && isFull) break
    bytes += record.value.length
    room += roomOf(record)
    if (from === undefined) queue.barriers.delete(record.key)
    count++
  }
  queue.entries = count === all.length ? [] : all.slice(count)
  queue.bytes -= bytes
  queue.publishing = true
  return count === all.length ? all : all.slice(0, count)
}

const settle = <Id extends string>(queue: PartitionQueue<Id>, intake_bytes: number): void => {
  queue.publishing = false
  if (queue.entries.length === 0) queue.work.closeUnsafe()
  if (queue.bytes > intake_bytes / 2) return
  const paused = queue.paused
  queue.paused = new Set()
  for (const sender of paused) sender.resume()
}

interface Told<Id extends string> {
  readonly ids: Array<Id>
  readonly offsets: Array<number>
  readonly cancels: Array<Id>
}

/** `first`: the offset of the first. Returns how many were accepted. */
const tellAccepted = <Id extends string>(batch: ReadonlyArray<Entry<Id>>, first: number) => {
  const bySender = new Map<Sender<Id>, Told<Id>>()
  const accepted = { events: 0, cancels: 0 }
  for (const [i, { from }] of batch.entries()) {
    if (from === undefined) continue
    const { hop, id, isCancel, sender } = from
    hop?.end()
    let told = bySender.get(sender)
    if (told === undefined) bySender.set(sender, (told = { ids: [], offsets: [], cancels: [] }))
    ;(isCancel === true ? told.cancels : told.ids).push(id)
    told.offsets.push(first + i)
    accepted[isCancel === true ? "cancels" : "events"]++
  }
  for (const [sender, { cancels, ids, offsets }] of bySender) sender.accepted(ids, offsets, cancels)
  return accepted
}

const notAccepted = Exit.fail("the log does not answer")

const giveUp = <Id extends string>(queue: PartitionQueue<Id>, batch: ReadonlyArray<Entry<Id>>): void => {
  const senders = new Set(batch.flatMap(({ from }) => (from === undefined ? [] : [from.sender])))
  for (const { from } of [...batch, ...queue.entries]) {
    if (from !== undefined && senders.has(from.sender)) from.hop?.end(notAccepted)
  }
  queue.entries = queue.entries.filter(({ from }) => from === undefined || !senders.has(from.sender))
  queue.bytes = queue.entries.reduce((sum, { record }) => sum + record.value.length, 0)
  for (const sender of senders) sender.unavailable()
}
