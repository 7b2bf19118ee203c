/**
 * The tasks of a partition, from when it is assigned until it is given up for good.
 *
 * ```
 *   tasks topic ─ read ─▶ TaskQueue ─ Begin ─────▶ TaskBegins ─┐
 *                             │ ▲   ─ Start ─────▶ TaskRuns ───┴▶ TaskWriter ─▶ events topic
 *                             │ └──── Done, Again ────┘
 *                             └─ commit
 * ```
 *
 * It outlives a revocation for a while: a group that has another member takes all partitions away and gives most of them
 * back. Nothing new begins meanwhile, and what runs goes on. Whatever another worker did in between stands in the topic,
 * which is read on.
 */
import { Effect, type Scope, type Semaphore } from "effect"
import type { RegistryUnavailable } from "@nimbus/domain/errors"
import { taskDefaultLimits } from "@nimbus/domain/limits"
import { registerSize } from "@nimbus/domain/observability"
import {
  type Committed,
  finishedAbove,
  recordBytes,
  type Slots,
  type StoredRecord,
  type SubjectShares,
  TaskQueue,
} from "@nimbus/domain/protocol"
import { type AssignedPartition, eventBytes, EventLog, Handlers, type Registry, Topics } from "@nimbus/domain/services"
import type { TaskWorkerLimits } from "../Limits.ts"
import * as Metrics from "../Metrics.ts"
import { Callers } from "./Callers.ts"
import { Changed } from "./Changed.ts"
import * as TaskAbandon from "./TaskAbandon.ts"
import * as TaskBegins from "./TaskBegins.ts"
import * as TaskInputs from "./TaskInputs.ts"
import { TaskJoiner } from "./TaskJoiner.ts"
import * as TaskRunMeter from "./TaskRunMeter.ts"
import { notesIn, type TaskNotes } from "./TaskNotes.ts"
import * as TaskRuns from "./TaskRuns.ts"
import * as TaskStrangers from "./TaskStrangers.ts"
import * as TaskWriter from "./TaskWriter.ts"

/** What the partitions of a process share. */
export interface TaskPool {
  readonly slots: Slots
  readonly shares: SubjectShares
  readonly readers: Semaphore.Semaphore
  readonly sessions: Set<TaskSession>
  /** Slots may be free: the partition that has got one last is asked last. */
  readonly pump: () => void
}

export interface TaskSessionOptions {
  readonly assigned: AssignedPartition
  readonly limits: TaskWorkerLimits
  readonly pool: TaskPool
  /** Used once. */
  readonly worker: string
}

export interface TaskSession {
  /** How far the topic was read. */
  readonly read: number
  /** What is to be committed. */
  readonly commit: () => Committed
  readonly changed: Changed
  /** Nothing runs, and nothing is on its way. */
  readonly isIdle: boolean
  /** Takes notes up to `next`: all that stand there. Returns whether a commit would say something new. */
  readonly take: (notes: ReadonlyArray<TaskQueue.TaskRecord>, next: number) => boolean
  /** Reads them first. What is no note must be in quarantine before they are taken. */
  readonly notesIn: (records: ReadonlyArray<StoredRecord>) => TaskNotes
  readonly tick: () => void
  /** Whether more was begun. */
  readonly pump: () => boolean
  /** The partition is ours, or not for now. */
  readonly own: (isOurs: boolean) => void
  /** Nothing more begins. */
  readonly stop: () => void
  readonly look: Effect.Effect<void, Effect.Error<ReturnType<TaskBegins.TaskBegins["look"]>>>
  readonly measure: Effect.Effect<void>
  /** Looks for clients that are away for too long. */
  readonly abandon: Effect.Effect<void, RegistryUnavailable>
  /** It has a bug. */
  readonly failed: Effect.Effect<never>
}

export const make = Effect.fnUntraced(function* ({
  assigned,
  limits,
  pool,
  worker,
}: TaskSessionOptions): Effect.fn.Return<
  TaskSession,
  Effect.Error<AssignedPartition["committed"]>,
  EventLog | Topics | Handlers | Registry | Scope.Scope
> {
  const { partition, topic } = assigned
  const { shares, slots } = pool
  const log = yield* EventLog
  const topics = yield* Topics
  const { tasks } = yield* Handlers
  const committed = yield* assigned.committed
  const next = committed?.next ?? (yield* log.earliest(topic, partition))
  const queue = new TaskQueue.State({
    ...limits.queue,
    slots,
    shares,
    limitOfClient: (name) => tasks.get(name)?.client_at_once,
    worker,
    next,
    above: committed && finishedAbove(committed, log.incarnation),
    end: yield* log.end(topic, partition),
  })
  const changed = new Changed()
  const callers = new Callers()
  const joiner = new TaskJoiner(limits.join_look_ms)
  const meter = yield* TaskRunMeter.make()
  const inputs = yield* TaskInputs.make({ topic, partition, limits, readers: pool.readers })
  const writer = yield* TaskWriter.make(partition, limits, () => {
    runs.look()
    changed.tell()
  })
  const begins = yield* TaskBegins.make(partition, limits, writer)
  const most_bytes = Math.min(eventBytes(log, topics), log.facts(topic).publish_bytes)
  let isOurs = true
  /** What came while the partition was not ours. */
  const deferred: Array<TaskQueue.Input> = []

  const step = (input: TaskQueue.Input): number => {
    const outputs = TaskQueue.step(queue, input)
    for (const output of outputs) carryOut(output)
    if (outputs.length > 0) changed.tell()
    return outputs.length
  }
  const carryOut = (output: TaskQueue.Output): void => {
    const { run, task } = output
    if (output._tag === "Begin") {
      inputs.prepare(task)
      return begins.add(task, run)
    }
    begins.delete(run)
    if (output._tag === "Start") runs.start(output)
    else runs.interrupt(task, run)
  }
  const runs = yield* TaskRuns.make({
    tasks,
    limits,
    join_bytes: taskDefaultLimits.join_bytes,
    most_bytes,
    inputs,
    writer,
    meter,
    onJoining: (parts) => joiner.add(parts),
    onLeft: (left) => {
      if (left._tag === "Again" && !isOurs) deferred.push(left)
      else step(left)
      pool.pump()
      changed.tell()
    },
  })
  yield* Effect.forkScoped(joiner.run)
  yield* registerSize("task session", {
    get size() {
      return { tasks: queue.tasks.size, running: runs.size, bytes: writer.bytes }
    },
  })
  const names = [...tasks.keys()]
  const abandon = yield* TaskAbandon.make({ tasks, queue, writer })
  const strangers = yield* TaskStrangers.make(partition, tasks)
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      pool.sessions.delete(session)
      TaskQueue.abandon(queue)
      pool.pump()
      return Effect.forEach(names, (name) => Metrics.setTasksWaiting(name, partition, 0), { discard: true })
    }),
  )

  const session: TaskSession = {
    get read() {
      return queue.finished.end
    },
    commit: () => queue.finished.committed(log.incarnation),
    changed,
    get isIdle() {
      return runs.size === 0 && writer.isIdle
    },
    notesIn: (records) =>
      notesIn(records, ({ data, task }, record) => {
        if (queue.finished.has(record.offset)) return undefined
        const caller = callers.read(record.headers)
        inputs.keep(task, { data, caller }, recordBytes(record))
        return caller && callers.subjectOf(caller)
      }),
    take: (records, next) => {
      const { finished } = queue
      const [lowest, above] = [finished.next, finished.finishedAbove]
      step({ _tag: "Chunk", records, next })
      pool.pump()
      return finished.next !== lowest || finished.finishedAbove !== above
    },
    tick: () => {
      step({ _tag: "Tick" })
      pool.pump()
    },
    pump: () => isOurs && TaskQueue.hasTurns(queue) && step({ _tag: "Freed" }) > 0,
    own: (ours) => {
      isOurs = ours
      if (!ours) return
      for (const input of deferred.splice(0)) step(input)
      pool.pump()
    },
    stop: () => {
      step({ _tag: "Stop" })
      begins.clear()
      runs.stop()
      changed.tell()
    },
    look: Effect.map(
      Effect.suspend(() => begins.look(queue.finished.end)),
      (lost) => {
        for (const { run, seq } of lost) {
          begins.delete(run)
          step({ _tag: "Again", seq, run })
        }
      },
    ),
    measure: Effect.gen(function* () {
      meter.tell()
      yield* strangers(queue.waiting)
      for (const name of names) yield* Metrics.setTasksWaiting(name, partition, TaskQueue.waitingOf(queue, name))
    }),
    abandon,
    failed: writer.failed,
  }
  pool.sessions.add(session)
  return session
})
