/**
 * The runs whose begin is on its way: published, but the event consumer has not answered yet.
 *
 * ```
 *   published ─▶ in the log ─▶ `begun` or `ended` is read ─▶ forgotten here
 *                     └─▶ nothing for `begun_wait_ms` ─▶ alarm
 *                     └─▶ the event consumer is past it, and its answers were read ─▶ lost: another run
 * ```
 *
 * An event consumer that is away is waited for: each begin that it finds later counts as an attempt.
 */
import { Clock, Effect } from "effect"
import type { LogError } from "@nimbus/domain/errors"
import { type RunId, type Seq, TaskRecords } from "@nimbus/domain/protocol"
import { Alarms, committedBy, EventLog, Topics } from "@nimbus/domain/services"
import type { TaskQueue } from "@nimbus/domain/protocol"
import type { TaskWorkerLimits } from "../Limits.ts"
import type { TaskSender, TaskWriter } from "./TaskWriter.ts"

/** A run that begins. */
class Begin implements TaskSender {
  readonly seq: Seq
  readonly run: RunId
  readonly at_ms: number
  isClosed = false
  isWritten = false
  /** Ends of the topics: once its begin was in the one, and once the consumer was past it. */
  events: number | undefined
  tasks: number | undefined

  constructor(seq: Seq, run: RunId, at_ms: number) {
    this.seq = seq
    this.run = run
    this.at_ms = at_ms
  }

  settled(): void {
    this.isWritten = !this.isClosed
  }
}

export interface TaskBegins {
  add(task: TaskQueue.QueuedTask, run: RunId): void
  /** It has begun, or never will. */
  delete(run: RunId): void
  clear(): void
  /** Looks after those that take long; `read`: how far the tasks topic was read. Returns what was lost. */
  look(read: number): Effect.Effect<ReadonlyArray<{ readonly seq: Seq; readonly run: RunId }>, LogError>
}

const code = "TASKS_NOT_BEGUN"

export const make = Effect.fnUntraced(function* (partition: number, limits: TaskWorkerLimits, writer: TaskWriter) {
  const log = yield* EventLog
  const topics = yield* Topics
  const alarms = yield* Alarms
  const clock = yield* Clock.Clock
  const begins = new Map<RunId, Begin>()
  const subject = `tasks of partition ${partition}`
  let isRaised = false
  yield* Effect.addFinalizer(() => alarms.clear(subject, code))

  const lateOnes = (): ReadonlyArray<Begin> => {
    const before_ms = clock.currentTimeMillisUnsafe() - limits.begun_wait_ms
    return [...begins.values()].filter(({ at_ms, isWritten }) => isWritten && at_ms <= before_ms)
  }
  const consumed = Effect.gen(function* () {
    return (yield* committedBy(log, "event-consumer", topics, partition))?.next ?? 0
  })
  const tell = (late: number): Effect.Effect<void> => {
    if (late === 0) {
      if (!isRaised) return Effect.void
      isRaised = false
      return alarms.clear(subject, code)
    }
    isRaised = true
    const message = `${late} ${subject} wait for the event consumer to answer: is one running, and does it keep up?`
    return alarms.raise(subject, { code, message }, { blocks: false })
  }
  const begun: TaskBegins = {
    add: ({ clientId: key, seq }, run) => {
      const begin = new Begin(seq, run, clock.currentTimeMillisUnsafe())
      begins.set(run, begin)
      writer.add(begin, { key, value: TaskRecords.encodeTask({ task: seq, do: "begin", run }) })
    },
    delete: (run) => {
      const begin = begins.get(run)
      if (begin === undefined) return
      begin.isClosed = true
      begins.delete(run)
    },
    clear: () => {
      for (const begin of begins.values()) begin.isClosed = true
      begins.clear()
    },
    look: Effect.fnUntraced(function* (read: number) {
      const late = lateOnes()
      yield* tell(late.length)
      if (late.length === 0) return []
      const lost = late.filter(({ tasks }) => tasks !== undefined && tasks <= read)
      const ends = yield* Effect.all({
        consumed,
        events: log.end(topics.events, partition),
        tasks: log.end(topics.tasks, partition),
      })
      for (const begin of late) {
        if (begin.events === undefined) begin.events = ends.events
        else if (begin.tasks === undefined && ends.consumed >= begin.events) begin.tasks = ends.tasks
      }
      return lost
    }),
  }
  return begun
})
