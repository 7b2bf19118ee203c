/**
 * The runs of a partition that are in their handlers.
 *
 * ```
 *   Start ─▶ handler ─ parts ─▶ TaskParts ─▶ end ─▶ in the log: Done
 *               ├─ fails, and may be retried ─▶ waits ─▶ Again
 *               ├─ fails, or takes too long  ─▶ end, with the error
 *   Interrupt ──┴─▶ gone; nothing more of it is written
 * ```
 *
 * The attempts of a task that this worker makes share their retries.
 */
import { Cause, Clock, Effect, Exit, Fiber, type Schema, type Scope, Stream } from "effect"
import type { Caller } from "@nimbus/domain/access"
import type { Failure, RunId, Seq, TaskQueue } from "@nimbus/domain/protocol"
import type { Handlers, Task, TaskContext, TaskWork } from "@nimbus/domain/services"
import type { TaskWorkerLimits } from "../Limits.ts"
import type { TaskInputs } from "./TaskInputs.ts"
import type { TaskRunMeter, TaskOutcome } from "./TaskRunMeter.ts"
import { TaskParts } from "./TaskParts.ts"
import type { TaskWriter } from "./TaskWriter.ts"

/** What a queue wants to be started. */
export type TaskStart = TaskQueue.Output & { readonly _tag: "Start" }

export interface TaskRuns {
  start(start: TaskStart): void
  interrupt(task: TaskQueue.QueuedTask, run: RunId): void
  /** There may be room for parts. */
  look(): void
  /** Those that wait for their next attempt are given up. */
  readonly stop: () => void
  readonly size: number
}

export interface TaskRunsOptions {
  readonly tasks: Handlers["Service"]["tasks"]
  readonly limits: TaskWorkerLimits
  readonly join_bytes: number
  readonly most_bytes: number
  readonly inputs: TaskInputs
  readonly writer: TaskWriter
  readonly meter: TaskRunMeter
  readonly onJoining: (parts: TaskParts) => void
  /** The end of a run is in the log, or it wants to be tried again. */
  readonly onLeft: (left: TaskQueue.Input & { readonly _tag: "Done" | "Again" }) => void
}

/** The attempts of a task, and for whom they are. */
interface Work extends TaskWork<never> {
  readonly caller: Caller | undefined
}

interface Run {
  readonly start: TaskStart
  readonly parts: TaskParts
  fiber: Fiber.Fiber<void> | undefined
  started_ms: number
  /** It is in its handler. */
  isInside: boolean
}

export const make = Effect.fnUntraced(function* (
  options: TaskRunsOptions,
): Effect.fn.Return<TaskRuns, never, Scope.Scope> {
  const { inputs, join_bytes, limits, meter, most_bytes, onJoining, onLeft, tasks, writer } = options
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context())
  const runs = new Map<RunId, Run>()
  const works = new Map<Seq, Work>()
  const now_ms = () => clock.currentTimeMillisUnsafe()
  let stopped = false

  const remove = (run: Run): void => {
    runs.delete(run.start.run)
    leave(run, "interrupted")
  }
  const leave = (run: Run, outcome: TaskOutcome): void => {
    if (!run.isInside) return
    run.isInside = false
    meter.left(run.start.task.name, (now_ms() - run.started_ms) / 1_000, outcome)
  }
  const settled = (run: Run): void => {
    const { run: id, task } = run.start
    if (!run.parts.isDone || runs.get(id) !== run) return
    runs.delete(id)
    works.delete(task.seq)
    onLeft({ _tag: "Done", seq: task.seq, run: id })
  }
  const partsOf = ({ next, run, task }: TaskStart, { combine, join_ms, name }: Task<never>, of: () => Run): TaskParts =>
    new TaskParts({
      clientId: task.clientId,
      task: task.seq,
      run,
      next,
      combine,
      join_ms,
      join_bytes,
      buffer_parts: limits.task_buffer_parts,
      buffer_bytes: limits.task_buffer_bytes,
      all_bytes: limits.buffer_bytes,
      most_bytes,
      writer,
      now_ms,
      onJoining,
      onSettled: () => settled(of()),
      onPart: () => meter.part(name),
    })

  const begin = Effect.fnUntraced(function* (task: TaskQueue.QueuedTask, declared: Task<never>) {
    const input = yield* inputs.take(task)
    if (input === undefined) return yield* Effect.fail(expired)
    inputs.drop(task.seq)
    const work: Work = { ...declared.begin(input.data), caller: input.caller }
    works.set(task.seq, work)
    return work
  })
  const attempt = Effect.fnUntraced(function* (run: Run, declared: Task<never>) {
    const { start } = run
    const work = works.get(start.task.seq) ?? (yield* begin(start.task, declared))
    return yield* Stream.runForEachArray(work.attempt(contextOf(start, work, inputs)), (texts) =>
      run.parts.offer(texts),
    ).pipe(
      Effect.timeoutOrElse({
        duration: declared.timeout_ms,
        orElse: () => Effect.fail<Failure>(tooLate(declared.timeout_ms)),
      }),
    )
  })
  /** The failure is the end, or another attempt follows. */
  const failed = Effect.fnUntraced(function* (run: Run, error: Failure) {
    const { run: id, task } = run.start
    const wait_ms = yield* works.get(task.seq)?.retry_ms ?? Effect.succeed(undefined)
    if (wait_ms === undefined) {
      leave(run, "failed")
      return run.parts.end(shortened(error, limits.failure_message_chars))
    }
    leave(run, "retried")
    run.parts.flush()
    if (stopped) return
    yield* Effect.sleep(wait_ms)
    run.parts.close()
    runs.delete(id)
    onLeft({ _tag: "Again", seq: task.seq, run: id })
  })
  const whole = (run: Run, declared: Task<never>): Effect.Effect<void> =>
    Effect.exit(attempt(run, declared)).pipe(
      Effect.flatMap((exit) => {
        if (Exit.isSuccess(exit)) {
          leave(run, "done")
          return Effect.sync(() => run.parts.end(undefined))
        }
        // Its partition is given up while its input is read: another worker goes on with the task.
        if (Cause.hasInterruptsOnly(exit.cause))
          return Effect.sync(() => (leave(run, "interrupted"), run.parts.close()))
        const error = Cause.findErrorOption(exit.cause)
        return error._tag === "Some" ? failed(run, error.value) : died(run, exit.cause)
      }),
    )
  const died = (run: Run, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
    const { clientId, id: eventId, name: task, seq } = run.start.task
    return Effect.logError("A task died", cause).pipe(
      Effect.annotateLogs({ task, clientId, eventId, seq }),
      Effect.andThen(Effect.sync(() => (leave(run, "failed"), run.parts.end(unexpected)))),
    )
  }

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      const inside = [...runs.values()]
      for (const run of inside) {
        run.parts.close()
        remove(run)
      }
      return Fiber.interruptAll(inside.flatMap(({ fiber }) => fiber ?? []))
    }),
  )
  return {
    start: (start) => {
      const declared = tasks.get(start.task.name)
      if (declared === undefined || stopped) return
      const run: Run = {
        start,
        parts: partsOf(start, declared, () => run),
        fiber: undefined,
        started_ms: now_ms(),
        isInside: true,
      }
      runs.set(start.run, run)
      meter.started(declared.name)
      run.fiber = fork(whole(run, declared))
    },
    interrupt: ({ seq }, id) => {
      works.delete(seq)
      inputs.drop(seq)
      const run = runs.get(id)
      if (run === undefined) return
      run.parts.close()
      remove(run)
      run.fiber?.interruptUnsafe()
    },
    look: () => {
      for (const { parts } of runs.values()) parts.look()
    },
    stop: () => {
      stopped = true
      for (const run of runs.values()) {
        // The others wait for their next attempt, which another worker begins.
        if (run.isInside || run.parts.isEnding) continue
        runs.delete(run.start.run)
        run.fiber?.interruptUnsafe()
      }
    },
    get size() {
      return runs.size
    },
  }
})

const contextOf = (
  { attempt, before, next, task }: TaskStart,
  { caller }: Work,
  inputs: TaskInputs,
): TaskContext<Schema.Json> => ({
  clientId: task.clientId,
  eventId: task.id,
  seq: task.seq,
  attempt,
  caller,
  published: inputs.published(task, next, before),
})

const expired: Failure = { code: "TASK_EXPIRED", message: "The log does not have its event any more" }
const unexpected: Failure = { code: "HANDLER_FAILED", message: "The handler failed unexpectedly" }
const tooLate = (timeout_ms: number): Failure => ({
  code: "HANDLER_TIMEOUT",
  message: `Not done within ${timeout_ms} ms`,
})

const shortened = ({ code, message }: Failure, chars: number): Failure => ({
  code,
  message: message.length <= chars ? message : `${message.slice(0, chars - 1)}…`,
})
