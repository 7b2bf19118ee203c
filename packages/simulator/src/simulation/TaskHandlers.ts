/** The tasks of a run as an application declares them: what `TaskPlan` says, part by part, each after a random pause. */
import { Handlers, type Task, type TaskContext } from "@nimbus/domain/services"
import type { Dice } from "@nimbus/domain/testing/dice"
import { Effect, Schedule, Schema, Stream } from "effect"
import type { Process } from "./Process.ts"
import type { TaskChecks } from "./TaskChecks.ts"
import { lastPause_ms, max_retries, planOf, taskKinds, type TaskName, taskNames, task_timeout_ms } from "./TaskPlan.ts"

class TaskFailed extends Schema.TaggedError<TaskFailed>()("TaskFailed", { isFinal: Schema.Boolean }) {}

export interface TaskHandlersOptions {
  readonly seed: number
  readonly process: Process
  /** For pauses. */
  readonly dice: Dice
  readonly checks: TaskChecks
}

/** Of one process. */
export const taskHandlers = (options: TaskHandlersOptions): ReadonlyArray<Task<never>> =>
  taskNames.map((name) => {
    const { resumes } = taskKinds[name]
    return Handlers.task(name, {
      input: Schema.Int,
      part: Schema.Array(Schema.Int),
      handler: (n, context) => Stream.unwrap(attempt(options, name, n, context)),
      resumes,
      timeout: task_timeout_ms,
      retry: Schedule.upTo(Schedule.spaced(100), { times: max_retries }),
      final: (failure) => failure instanceof TaskFailed && failure.isFinal,
      ...(resumes ? { combine: "arrays" as const } : {}),
    })
  })

type Pieces = ReadonlyArray<number>

const attempt = Effect.fnUntraced(function* (
  { checks, dice, process, seed }: TaskHandlersOptions,
  name: TaskName,
  n: number,
  context: TaskContext<Pieces>,
) {
  const { attempt, clientId, published, seq } = context
  const { isEndless, resumes } = taskKinds[name]
  const told = resumes ? (yield* read(published)).flat() : []
  const started = Effect.sync(() => checks.started(process.name, clientId, seq, attempt, told))
  yield* Effect.acquireRelease(started, (left) => Effect.sync(left))
  const plan = planOf(seed, clientId, n)
  const failsAt = attempt <= plan.failures ? Math.max(plan.failsAt, told.length) : Infinity
  const pause = (ms: number) => (ms === 0 ? Effect.void : Effect.suspend(() => Effect.sleep(dice.upTo(ms))))
  const fail = Effect.fail(new TaskFailed({ isFinal: plan.isFinal }))
  const part = (i: number) => Effect.andThen(pause(plan.pause_ms), i >= failsAt ? fail : Effect.succeed<Pieces>([i]))
  const end = Effect.andThen(Effect.sleep(lastPause_ms(plan)), plan.parts >= failsAt ? fail : Effect.void)
  return Stream.range(told.length, plan.parts - 1).pipe(
    Stream.mapEffect(part),
    Stream.concat(Stream.drain(Stream.fromEffect(end))),
    Stream.concat(isEndless ? Stream.never : Stream.empty),
  )
})

/** As an application does while the log is away. */
const read = <A, E>(published: Stream.Stream<A, E>): Effect.Effect<ReadonlyArray<A>> =>
  Stream.runCollect(published).pipe(Effect.retry(Schedule.spaced(200)), Effect.orDie)
