/**
 * Writes what the tasks of a partition have to say to the events topic: one request under way, never two, and while it is
 * what else comes makes the next. So the order of each task is kept, and a part leaves in the turn in which it is there.
 * What is under way ends with the scope.
 */
import { Deferred, Effect, Exit, Fiber, type Scope } from "effect"
import { type LogRecord, recordBytes } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import type { TaskWorkerLimits } from "../Limits.ts"
import * as Metrics from "../Metrics.ts"
import { publishUntilAcknowledged } from "./Publish.ts"
import * as TaskPace from "./TaskPace.ts"

/** Whose records they are. */
export interface TaskSender {
  /** Nothing of it is to be written any more. */
  readonly isClosed: boolean
  /** So many of its records, with so many bytes, are in the log, or will never be. */
  settled(records: number, bytes: number): void
}

export interface TaskWriter {
  add(sender: TaskSender, record: LogRecord): void
  /** Of what is not in the log yet. */
  readonly bytes: number
  readonly isIdle: boolean
  /** It has a bug. */
  readonly failed: Effect.Effect<never>
}

interface Waiting {
  readonly sender: TaskSender
  readonly record: LogRecord
  readonly bytes: number
}

/** `settled`: after each request. */
export const make = Effect.fnUntraced(function* (
  partition: number,
  limits: TaskWorkerLimits,
  settled: () => void,
): Effect.fn.Return<TaskWriter, never, EventLog | Topics | Scope.Scope> {
  const { events } = yield* Topics
  const log = yield* EventLog
  const pace = yield* TaskPace.make(partition, limits)
  const fork = Effect.runForkWith(yield* Effect.context())
  const failure = yield* Deferred.make<never>()
  let waiting: Array<Waiting> = []
  let bytes = 0
  let under_way: Fiber.Fiber<void> | undefined = undefined
  let closing = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closing = true
      return under_way === undefined ? Effect.void : Fiber.interrupt(under_way)
    }),
  )

  const settle = (all: ReadonlyArray<Waiting>): void => {
    for (const one of all) {
      bytes -= one.bytes
      one.sender.settled(1, one.bytes)
    }
    if (all.length > 0) settled()
  }
  /** Up to a chunk of those that are still wanted. */
  const take = (): ReadonlyArray<Waiting> => {
    const { chunk_bytes, chunk_records } = limits.chunk
    let count = 0
    let size = 0
    for (const one of waiting) {
      size += one.bytes
      if (count > 0 && (size > chunk_bytes || count >= chunk_records)) break
      count++
    }
    const all = count === waiting.length ? waiting : waiting.slice(0, count)
    waiting = count === waiting.length ? [] : waiting.slice(count)
    const [closed, wanted] = [all.filter(({ sender }) => sender.isClosed), all.filter(({ sender }) => !sender.isClosed)]
    settle(closed)
    return wanted
  }
  const drain: Effect.Effect<void> = Effect.suspend(() => {
    if (waiting.length === 0) return Effect.void
    const batch = take()
    if (batch.length === 0) return drain
    const records = batch.map(({ record }) => record)
    return pace(batch.length).pipe(
      Effect.andThen(publishUntilAcknowledged(log, events, partition, records, limits)),
      Effect.andThen(() => {
        settle(batch)
        return Metrics.countOut("events", batch.length)
      }),
      Effect.andThen(drain),
    )
  })
  const ended = (exit: Exit.Exit<void>): void => {
    under_way = undefined
    settled()
    if (Exit.isFailure(exit) && !closing) Deferred.doneUnsafe(failure, Exit.failCause(exit.cause))
  }
  return {
    add: (sender, record) => {
      const one = { sender, record, bytes: recordBytes(record) }
      waiting.push(one)
      bytes += one.bytes
      if (under_way !== undefined || closing) return
      const fiber = fork(drain)
      under_way = fiber
      fiber.addObserver(ended)
    },
    get bytes() {
      return bytes
    },
    get isIdle() {
      return under_way === undefined && waiting.length === 0
    },
    failed: Deferred.await(failure),
  }
})
