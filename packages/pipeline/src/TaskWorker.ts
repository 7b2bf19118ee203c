/**
 * The task worker: runs the tasks of each partition of the tasks topic that is ours, many at once.
 *
 * ```
 *   tasks topic ─ read ─▶ TaskSession: queue, runs ─ begin, parts, end ─▶ events topic ─▶ event consumer
 *        ▲                      │                                                             │
 *        │                      └─▶ commit                                                    │
 *        └────────────── open, begun, progress, ended ◀───────────────────────────────────────┘
 * ```
 *
 * `TaskQueue` decides which tasks run, and the event consumer decides by the log what counts of what runs (`TaskLedger`).
 *
 * 1. A partition is read to its end, as it was at assignment, before anything begins: what has ended does not run again.
 * 2. A handler starts after its run has begun by the log. It is interrupted when another run has, or the task has ended.
 * 3. The commit is the oldest task that has not ended. A crash repeats no task that has ended.
 * 4. When it is stopped, it begins nothing more, and what runs may end within `shutdown_timeout_ms`; the next owner begins
 *    the next attempt of the rest. When a partition is revoked, what runs may go on for `revoked_wait_ms`.
 */
import { Cause, type Config, Effect, Exit, type Latch, Layer, Scope, Semaphore, Stream } from "effect"
import { Slots, SubjectShares } from "@nimbus/domain/protocol"
import {
  type AssignedPartition,
  type Chunk,
  type EventLog,
  Handlers,
  RandomIds,
  type Registry,
  Topics,
} from "@nimbus/domain/services"
import { Instance } from "./Instance.ts"
import { taskWorkerConfig, type TaskWorkerLimits, taskWorkerLimits } from "./Limits.ts"
import * as Metrics from "./Metrics.ts"
import { quarantine } from "./Quarantine.ts"
import { reportFailure } from "./internal/Backoff.ts"
import * as Committer from "./internal/Committer.ts"
import * as TaskSession from "./internal/TaskSession.ts"
import * as Workers from "./internal/Workers.ts"

const role = "task-worker"

/** The bounds, with what operators choose. */
export const config: Config.Config<TaskWorkerLimits> = taskWorkerConfig

/** Runs the tasks of each partition of the tasks topic that is ours. */
export const layer: Layer.Layer<never, Config.ConfigError, EventLog | Topics | Handlers | Registry> =
  Layer.effectDiscard(Effect.flatMap(config, (limits) => run(limits)))

/** The same with other bounds than the defaults. */
export const layerWith = (
  limits: Partial<TaskWorkerLimits>,
): Layer.Layer<never, never, EventLog | Topics | Handlers | Registry> =>
  Layer.effectDiscard(run({ ...taskWorkerLimits, ...limits }))

const run = Effect.fnUntraced(function* (limits: TaskWorkerLimits) {
  const topics = yield* Topics
  const { tasks } = yield* Handlers
  const pool = makePool(limits, (name) => {
    const task = tasks.get(name)
    return task === undefined ? 0 : (task.at_once ?? Infinity)
  })
  const sessions = yield* makeSessions(limits, pool)
  yield* Workers.run({
    role,
    topic: topics.tasks,
    limits,
    worker: (partition, stopping) => work(partition, stopping, sessions, limits),
  })
})

const makePool = (limits: TaskWorkerLimits, ofName: (name: string) => number): TaskSession.TaskPool => {
  const sessions = new Set<TaskSession.TaskSession>()
  return {
    slots: new Slots(limits.queue.at_once, ofName),
    shares: new SubjectShares(limits.queue.subject_share),
    readers: Semaphore.makeUnsafe(limits.readers_at_once),
    sessions,
    pump: () => {
      for (const session of Array.from(sessions)) {
        if (!session.pump()) continue
        sessions.delete(session)
        sessions.add(session)
      }
    },
  }
}

/** The sessions by partition; those of partitions that were revoked wait for them to come back. */
interface Sessions {
  /** The one that waits, or a new one. */
  open(
    assigned: AssignedPartition,
  ): Effect.Effect<
    TaskSession.TaskSession,
    Effect.Error<AssignedPartition["committed"]>,
    EventLog | Topics | Handlers | Registry
  >
  /** The partition is not ours any more, for now; or it is, and the session has failed or is done. */
  leave(partition: number, isRevoked: boolean): Effect.Effect<void>
}

const makeSessions = Effect.fnUntraced(function* (
  limits: TaskWorkerLimits,
  pool: TaskSession.TaskPool,
): Effect.fn.Return<Sessions, never, Scope.Scope> {
  // Made before the workers: they end first.
  const parent = yield* Scope.fork(yield* Effect.scope)
  const process = (yield* Instance).replaceAll(/[^A-Za-z0-9._:-]/g, "_").slice(0, 64)
  // A role may be switched off and on within a process.
  const life = (yield* RandomIds).uuid().slice(0, 8)
  const opened = new Map<number, Opened>()
  let made = 0
  const close = (partition: number, one: Opened): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (opened.get(partition) !== one) return Effect.void
      opened.delete(partition)
      return Scope.close(one.scope, Exit.void)
    })
  return {
    open: Effect.fnUntraced(function* (assigned) {
      const known = opened.get(assigned.partition)
      if (known !== undefined) {
        known.leaves++
        known.session.own(true)
        return known.session
      }
      const scope = yield* Scope.fork(parent)
      const session = yield* TaskSession.make({ assigned, limits, pool, worker: `${process}:${life}:${++made}` }).pipe(
        Scope.provide(scope),
        Effect.onError(() => Scope.close(scope, Exit.void)),
      )
      opened.set(assigned.partition, { session, scope, leaves: 0 })
      return session
    }),
    leave: Effect.fnUntraced(function* (partition, isRevoked) {
      const one = opened.get(partition)
      if (one === undefined) return
      if (!isRevoked) return yield* close(partition, one)
      one.session.own(false)
      const left = ++one.leaves
      const giveUp = Effect.suspend(() => (one.leaves === left ? close(partition, one) : Effect.void))
      yield* Effect.forkIn(Effect.andThen(Effect.sleep(limits.revoked_wait_ms), giveUp), parent)
    }),
  }
})

interface Opened {
  readonly session: TaskSession.TaskSession
  readonly scope: Scope.Closeable
  /** Counts up whenever the partition goes or comes. */
  leaves: number
}

const work = Effect.fnUntraced(function* (
  assigned: AssignedPartition,
  stopping: Latch.Latch,
  sessions: Sessions,
  limits: TaskWorkerLimits,
) {
  const session = yield* sessions.open(assigned)
  yield* Effect.addFinalizer((exit) =>
    sessions.leave(assigned.partition, Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)),
  )
  const committer = yield* Committer.make(assigned, limits)
  // Of a partition that has come back it may know more than was committed meanwhile, and nothing more may come.
  committer.due(session.commit)
  yield* Effect.raceAllFirst([
    reading(session, assigned, committer, limits),
    untilStopped(session, stopping),
    ticking(session, limits),
    measuring(session, limits),
    abandoning(session, limits),
    session.failed,
  ])
})

/** Until the partition is revoked. */
const reading = Effect.fnUntraced(function* (
  session: TaskSession.TaskSession,
  assigned: AssignedPartition,
  committer: Committer.Committer,
  limits: TaskWorkerLimits,
) {
  const { partition, topic } = assigned
  const onChunk = Effect.fnUntraced(function* (chunk: Chunk) {
    const { records, refused } = session.notesIn(chunk.records)
    yield* quarantine({ topic, partition }, refused, limits)
    if (session.take(records, chunk.next)) committer.due(session.commit)
    yield* Metrics.countIn(role, chunk.records.length)
  })
  yield* Stream.runForEach(assigned.read(session.read), onChunk)
  return yield* Effect.never
})

/** Until what runs when it is told to stop has ended. */
const untilStopped = Effect.fnUntraced(function* (session: TaskSession.TaskSession, stopping: Latch.Latch) {
  const until = session.changed.waiter()
  yield* stopping.await
  session.stop()
  yield* until(() => session.isIdle)
})

const ticking = (session: TaskSession.TaskSession, limits: TaskWorkerLimits) =>
  Effect.sleep(limits.tick_ms).pipe(Effect.andThen(Effect.sync(() => session.tick())), Effect.forever)

/** Those whose clients are away. */
const abandoning = (session: TaskSession.TaskSession, limits: TaskWorkerLimits) =>
  Effect.sleep(limits.abandon_look_ms).pipe(
    Effect.andThen(Effect.catch(session.abandon, (error) => reportFailure("look for clients", error))),
    Effect.forever,
  )

/** How many wait, and whether one waits too long for its beginning. */
const measuring = (session: TaskSession.TaskSession, limits: TaskWorkerLimits) =>
  session.measure.pipe(
    Effect.andThen(Effect.catch(session.look, (error) => reportFailure("look after begins", error))),
    Effect.andThen(Effect.sleep(limits.measure_every_ms)),
    Effect.forever,
  )
