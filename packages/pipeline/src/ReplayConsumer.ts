/**
 * The replay consumer (NimbusGRPC's mail carrier): it moves records from the backlog into the mailboxes, and sends
 * hints to the gateways of their clients.
 *
 * ```
 *   backlog topic ─ chunk ─▶ put (expected, next) ──▶ Mailbox
 *       ▲                  │ Differs: go on from the stored offset, or from the earliest
 *       └──────────────────┤
 *                          └ Stored ─▶ Mail to the pods that the Registry names (behind: a hint may be lost)
 * ```
 *
 * It reads from the stored offset of the Mailbox, never from the commit of the group, which only shows lag. The Mailbox
 * compares and advances its offset in one step, so that a store that rolled back gets again what it lost. While there
 * are no new records the consumer reads that offset periodically, because a lost record may be the last that its client
 * waits for.
 *
 * If the backlog no longer holds the stored offset, there is a *hole*. It is counted, and the clients of the partition
 * are sent `lost`. The records in it could have any seq below the end of the events topic (a diverted record comes
 * after younger ones), so that end is the upper bound of the hole.
 */
import { Clock, Effect, type Latch, Layer, Metric, Result } from "effect"
import type { MailboxUnavailable } from "@nimbus/domain/errors"
import { chunkLimits } from "@nimbus/domain/limits"
import { Elapsed, type JourneyRecorder } from "@nimbus/domain/observability"
import {
  type ClientId,
  decodePlacedBarrier,
  isBarrier,
  isClientId,
  peekSeq,
  type PodId,
  type Seq,
  seqUnsafe,
} from "@nimbus/domain/protocol"
import {
  type AssignedPartition,
  type Chunk,
  claimMailboxes,
  EventLog,
  Mailbox,
  type MailboxRecord,
  PodChannel,
  type PutOutcome,
  Registry,
  Topics,
} from "@nimbus/domain/services"
import { type ReplayConsumerLimits, replayConsumerLimits } from "./Limits.ts"
import * as Metrics from "./Metrics.ts"
import { quarantine, type Refused } from "./Quarantine.ts"
import { reportFailure, untilDone } from "./internal/Backoff.ts"
import * as PipelinedWriter from "./internal/PipelinedWriter.ts"
import * as Committer from "./internal/Committer.ts"
import * as PutJourney from "./internal/PutJourney.ts"
import * as Workers from "./internal/Workers.ts"

const role = "replay-consumer"

/** Binds the mailboxes to this log, then carries each partition that is ours. Refuses a store of another log. */
export const layer = Layer.effectDiscard(Effect.suspend(() => run(replayConsumerLimits)))

/** The same with other bounds than the defaults. */
export const layerWith = (limits: Partial<ReplayConsumerLimits>) =>
  Layer.effectDiscard(run({ ...replayConsumerLimits, ...limits }))

const run = Effect.fnUntraced(function* (limits: ReplayConsumerLimits) {
  const topics = yield* Topics
  yield* claimMailboxes
  yield* Effect.forkScoped(expire(limits))
  yield* Workers.run({
    role,
    topic: topics.dlq,
    limits,
    worker: (partition, stopping) => carry(partition, stopping, limits),
  })
})

/** The age limit of all mailboxes, periodically. */
const expire = (limits: ReplayConsumerLimits) =>
  Effect.gen(function* () {
    const mailbox = yield* Mailbox
    const removed = yield* mailbox.expire(yield* Clock.currentTimeMillis)
    yield* Metric.update(Metrics.expired, removed)
  }).pipe(
    Effect.catch((error) => reportFailure("expire", error)),
    Effect.andThen(Effect.sleep(limits.expire_every_ms)),
    Effect.forever,
  )

/** One partition: reads from the stored offset, and again from wherever a put says that the store is now. */
const carry = Effect.fnUntraced(function* (
  assigned: AssignedPartition,
  stopping: Latch.Latch,
  limits: ReplayConsumerLimits,
) {
  const { partition } = assigned
  const log = yield* EventLog
  const topics = yield* Topics
  const mailbox = yield* Mailbox
  const journey = yield* PutJourney.make(role, topics.dlq, partition)
  const committer = yield* Committer.make(assigned, limits)
  const telling = yield* PipelinedWriter.make
  let stored = yield* mailbox.offset(partition)

  let inHand = false

  const onChunk = (throttle: Throttle) => (chunk: Chunk) =>
    Effect.suspend(() => {
      inHand = true
      const steps = journey.chunk()
      const sorted = sort(chunk, steps)
      return putChunk(throttle, chunk, sorted, steps.end).pipe(
        // The next owner of the partition continues from here and sends no hints for this chunk. A hint too many is harmless.
        Effect.onInterrupt(() => tellLast(sorted.clients, limits)),
        Effect.ensuring(Effect.sync(() => void (inHand = false))),
      )
    })
  const goOnFrom = Effect.fnUntraced(function* (offset: number | undefined) {
    yield* Metric.update(Metrics.rewinds, 1)
    yield* Effect.logWarning("goes on from where the mailboxes are", { expected: stored, stored: offset })
    stored = offset
  })
  /** Done once the store has another offset than expected though nothing was put. */
  const rolledBack = Effect.gen(function* () {
    while (true) {
      yield* Effect.sleep(limits.look_every_ms)
      const before = stored
      const unknown = (error: MailboxUnavailable) =>
        Effect.as(reportFailure("look at the stored offset", error), before)
      const now = yield* Effect.catch(mailbox.offset(partition), unknown)
      if (!inHand && stored === before && now !== before) return yield* goOnFrom(now)
    }
  })
  const putChunk = Effect.fnUntraced(function* (
    throttle: Throttle,
    chunk: Chunk,
    { clients, records, refused }: Sorted,
    end: JourneyRecorder.ChunkRecorder["end"],
  ) {
    yield* quarantine({ topic: topics.dlq, partition }, refused, { ...limits, chunk: chunkLimits })
    const hole = chunk.from > (stored ?? 0) ? seqUnsafe(yield* log.end(topics.events, partition)) : undefined
    if (hole !== undefined) yield* tellHole(stored, chunk, hole)
    const put = mailbox.put(partition, { expected: stored, next: chunk.next, records, hole })
    const outcome = yield* untilDone(put, "put", limits).pipe(Effect.onExit((exit) => end(exit)))
    if (!isStored(outcome, chunk)) {
      yield* goOnFrom(outcome.stored)
      return false
    }
    stored = chunk.next
    committer.offer(chunk.next)
    yield* Metrics.countIn(role, chunk.records.length)
    yield* Metrics.countOut("mailbox", records.length)
    yield* telling.run(Effect.onInterrupt(tell(clients, limits), () => tellLast(clients, limits)))
    yield* throttle(chunk)
    return true
  })

  while (!stopping.isOpen()) {
    const throttle = yield* makeThrottle((yield* assigned.committed)?.next ?? 0, stopping, limits)
    const reading = Workers.forEachChunk(assigned.read(stored ?? "earliest"), stopping, onChunk(throttle))
    yield* Effect.raceFirst(reading, rolledBack)
  }
  yield* telling.settled
})

/** A put that was taken though its answer got lost is found stored when it is made again. */
const isStored = (outcome: PutOutcome, chunk: Chunk): outcome is Extract<PutOutcome, { _tag: "Stored" }> =>
  outcome._tag === "Stored" || outcome.stored === chunk.next

/** What a chunk holds: records to put and whose they are, and records that can't be decoded. */
interface Sorted {
  readonly records: ReadonlyArray<MailboxRecord>
  readonly clients: ReadonlySet<ClientId>
  readonly refused: ReadonlyArray<Refused>
}

const sort = (chunk: Chunk, journey: PutJourney.PutChunk): Sorted => {
  const records: Array<MailboxRecord> = []
  const refused: Array<Refused> = []
  const clients = new Set<ClientId>()
  for (const record of chunk.records) {
    const { key, timestamp, unreadable, value } = record
    const seq = peekSeq(value)
    if (seq === undefined) {
      refused.push({ record, reason: unreadable ?? "no seq at the start of the record" })
      continue
    }
    if (!isClientId(key)) {
      refused.push({ record, reason: "the key is no client id" })
      continue
    }
    const placed = isBarrier(value) ? decodePlacedBarrier(value) : undefined
    if (placed !== undefined && Result.isFailure(placed)) {
      refused.push({ record, reason: placed.failure.reason })
      continue
    }
    clients.add(key)
    records.push({ clientId: key, seq, value, headers: journey.put(record), timestamp })
  }
  return { records, refused, clients }
}

const tellHole = (stored: number | undefined, chunk: Chunk, hole: Seq): Effect.Effect<void> =>
  Metric.update(Metrics.holes, 1).pipe(
    Effect.andThen(
      Effect.logError("the backlog has lost records before they were put: their clients are sent `lost`", {
        stored,
        earliest: chunk.from,
        below_seq: hole,
      }),
    ),
  )

/**
 * One question to the registry for the clients of a chunk, one publish for each pod. Only a hint: failures are counted.
 */
const tell = (clients: ReadonlySet<ClientId>, limits: ReplayConsumerLimits) =>
  Effect.gen(function* () {
    if (clients.size === 0) return
    const registry = yield* Registry
    const channel = yield* PodChannel
    const asked = [...clients]
    const pods = yield* registry.pods(asked)
    const byPod = new Map<PodId, Array<{ readonly _tag: "Mail"; readonly clientId: ClientId }>>()
    asked.forEach((clientId, i) => {
      const pod = pods[i]
      if (pod === undefined) return
      const mail = byPod.get(pod)
      if (mail === undefined) byPod.set(pod, [{ _tag: "Mail", clientId }])
      else mail.push({ _tag: "Mail", clientId })
    })
    yield* Effect.forEach(
      byPod,
      ([pod, mail]) => Effect.andThen(channel.publish(pod, mail), Metrics.countOut("mail", mail.length)),
      { concurrency: limits.pods_at_once, discard: true },
    )
  }).pipe(Effect.catch((error) => reportFailure("tell of mail", error)))

/** The same for a partition that is being lost: once, and not for long. */
const tellLast = (clients: ReadonlySet<ClientId>, limits: ReplayConsumerLimits) =>
  Effect.timeoutOption(Effect.interruptible(tell(clients, limits)), limits.commit_timeout_ms)

/** Waits after a chunk. */
type Throttle = (chunk: Chunk) => Effect.Effect<void>

/** Holds back below the offset that had been put once before: that far, the store is being rebuilt. */
const makeThrottle = (
  rebuildTo: number,
  stopping: Latch.Latch,
  limits: ReplayConsumerLimits,
): Effect.Effect<Throttle> =>
  Clock.clockWith((clock) =>
    Effect.sync(() => {
      const now_ms = () => Elapsed.msUnsafe(clock)
      let due_ms = now_ms()
      return (chunk) =>
        Effect.suspend(() => {
          if (chunk.next > rebuildTo) return Effect.void
          due_ms += (chunk.records.length * 1000) / limits.rebuild_records_per_second
          const wait_ms = due_ms - now_ms()
          return wait_ms < 1 ? Effect.void : Effect.raceFirst(Effect.sleep(wait_ms), stopping.await)
        })
    }),
  )
