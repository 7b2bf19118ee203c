/**
 * One worker for each partition that is ours, as long as it is ours.
 *
 * ```
 *   subscribe(topic, group) ──▶ partition 0 ──▶ worker, again with back-off when it fails
 *                           ──▶ partition 1 ──▶ worker
 * ```
 *
 * A partition never has two workers here: a new one waits until the one before has ended. A revoked partition's worker
 * is interrupted wherever it is, which is the same to the protocol as a crash. When the scope closes, workers are told
 * to stop, finish what they have in hand, and only then the group is left; a scope closed with a defect interrupts them.
 */
import { Cause, Effect, Exit, FiberMap, Latch, Predicate, Pull, type Scope, Stream } from "effect"
import {
  type AssignedPartition,
  type Chunk,
  committedBy,
  EventLog,
  groupOf,
  type Role,
  Topics,
  failureReporter,
} from "@nimbus/domain/services"
import type { ConsumerLimits } from "../Limits.ts"
import { countRestart } from "../Metrics.ts"
import { wait_ms } from "./Backoff.ts"
import * as Progress from "./Progress.ts"

export interface Workers<E, R> {
  readonly role: Role
  readonly topic: string
  readonly limits: ConsumerLimits
  /**
   * Called once per assignment; what it answers is run, and run again after a failure, with a fresh scope each time.
   * It ends soon after `stopping` has opened.
   */
  readonly worker: (partition: AssignedPartition, stopping: Latch.Latch) => Effect.Effect<void, E, R>
}

/** Joins the role's group and keeps a worker on each partition, until the scope closes. */
export const run = Effect.fnUntraced(function* <E, R>(
  options: Workers<E, R>,
): Effect.fn.Return<void, never, EventLog | Topics | Scope.Scope | Exclude<R, Scope.Scope>> {
  const { limits, role, topic } = options
  const log = yield* EventLog
  const topics = yield* Topics
  const group = groupOf(role, topics)
  const stopping = Latch.makeUnsafe()
  const workers = yield* FiberMap.make<number, void, never>()

  const start = (partition: AssignedPartition) =>
    Effect.gen(function* () {
      yield* FiberMap.remove(workers, partition.partition)
      if (stopping.isOpen()) return
      const worker = Effect.gen(function* () {
        const progress = yield* Progress.make(`${role} of ${topic}/${partition.partition}`, limits)
        const watched = Progress.watch(partition, progress)
        const work = Effect.andThen(
          takeOver(watched.partition, role, topics),
          options.worker(watched.partition, stopping),
        )
        yield* again(work, role, limits, stopping, (error) => progress.failed(error, watched.place()))
      }).pipe(
        Effect.scoped,
        Effect.raceFirst(partition.revoked),
        Effect.annotateLogs({ partition: partition.partition }),
      )
      yield* FiberMap.run(workers, partition.partition, worker)
    })

  const joining = yield* Progress.make(`${role} of ${topic}`, limits)
  const subscription = Stream.runForEach(log.subscribe(topic, group), (partition) =>
    Effect.andThen(joining.moved, start(partition)),
  )
  yield* again(subscription, role, limits, stopping, (error) => joining.failed(error, "in its group")).pipe(
    Effect.annotateLogs({ service: role, topic }),
    Effect.forkScoped({ startImmediately: true }),
  )
  yield* Effect.addFinalizer((exit) => (Exit.hasDies(exit) ? stopping.open : stop(role, workers, stopping, limits)))
})

/** A group that has committed nothing yet goes on where it was under the name that installations once shared. */
const takeOver = Effect.fnUntraced(function* (assigned: AssignedPartition, role: Role, topics: Topics["Service"]) {
  if ((yield* assigned.committed) !== undefined) return
  const found = yield* committedBy(yield* EventLog, role, topics, assigned.partition)
  if (found !== undefined) yield* assigned.commit(found.next, found.metadata)
})

/** Reads until `f` returns `false`, the partition is revoked, or `stopping` opens while nothing is in hand. */
export const forEachChunk = <E, E2, R2>(
  chunks: Stream.Stream<Chunk, E>,
  stopping: Latch.Latch,
  f: (chunk: Chunk) => Effect.Effect<boolean, E2, R2>,
): Effect.Effect<void, E | E2, R2> =>
  Effect.scoped(
    Effect.gen(function* () {
      const pull = yield* Stream.toPull(chunks)
      const next = Effect.raceFirst(pull, Effect.andThen(stopping.await, Cause.done()))
      while (!stopping.isOpen()) {
        for (const chunk of yield* next) {
          if (!(yield* f(chunk))) return
        }
      }
    }).pipe(Pull.catchDone(() => Effect.void)),
  )

/**
 * Starts over whenever it fails, a bug included: one partition that silently stands still is the worst of all. It counts
 * as working again once it has run for the longest wait. Of a bug all is told that is known, the first time. Whether it
 * makes progress is for `failed` to tell.
 */
const again = <E, R>(
  effect: Effect.Effect<void, E, R>,
  role: Role,
  limits: ConsumerLimits,
  stopping: Latch.Latch,
  failed: (error: unknown) => Effect.Effect<void>,
): Effect.Effect<void, never, Exclude<R, Scope.Scope>> =>
  Effect.gen(function* () {
    let failures = 0
    const outage = yield* failureReporter(role)
    const recovered = Effect.sleep(limits.backoff_max_ms).pipe(
      Effect.andThen(() => {
        failures = 0
        return outage.worked
      }),
      Effect.forkScoped,
      Effect.when(Effect.sync(() => failures > 0)),
    )
    while (!stopping.isOpen()) {
      const exit = yield* Effect.exit(Effect.scoped(Effect.andThen(recovered, effect)))
      if (Exit.isSuccess(exit)) return
      const error = Cause.squash(exit.cause)
      yield* countRestart(role, 1)
      if (Cause.hasDies(exit.cause) && failures === 0) yield* Effect.logError(`${role} has a bug`, exit.cause)
      // No failure: another owner goes on, and we are about to be told.
      if (!Predicate.isTagged(error, "PartitionRevoked")) {
        yield* outage.failed(error)
        yield* failed(error)
      }
      yield* Effect.raceFirst(Effect.sleep(wait_ms(failures++, limits)), stopping.await)
    }
  }).pipe(Effect.scoped)

const stop = (
  role: Role,
  workers: FiberMap.FiberMap<number, void, never>,
  stopping: Latch.Latch,
  limits: ConsumerLimits,
): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* stopping.open
    const finished = yield* FiberMap.awaitEmpty(workers).pipe(
      Effect.interruptible,
      Effect.timeoutOption(limits.shutdown_timeout_ms),
    )
    if (finished._tag === "None") yield* Effect.logWarning(`${role} leaves before it was done with what it had in hand`)
  })
