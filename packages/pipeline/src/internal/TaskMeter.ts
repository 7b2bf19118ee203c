/**
 * What is counted of the tasks of a partition: those that were opened, those that ended and how, and records that count for
 * nothing. By the name of a declared task, so that nobody's events make new series.
 */
import { Effect } from "effect"
import * as Metrics from "../Metrics.ts"
import type { TaskVerdict } from "./Tasks.ts"

/** Takes each verdict on a record that is read for the first time. */
export type TaskMeter = (verdict: TaskVerdict) => void

export const make: Effect.Effect<TaskMeter> = Effect.gen(function* () {
  const context = yield* Effect.context()
  const series = new Map<string, Metrics.TaskCounter>()
  const count = (key: string, make: () => Metrics.TaskCounter): void => {
    const known = series.get(key) ?? make()
    series.set(key, known)
    known.updateUnsafe(1, context)
  }
  return (verdict) => {
    switch (verdict._tag) {
      case "Opened": {
        const { name } = verdict.task
        return count(`opened ${name}`, () => Metrics.tasksOpened(name))
      }
      case "Ended": {
        const { name } = verdict.task
        const outcome = outcomeOf(verdict)
        return count(`${outcome} ${name}`, () => Metrics.tasksEnded(name, outcome))
      }
      case "Ignored":
        return count(verdict.why, () => Metrics.taskRecordsIgnored(verdict.why))
      default:
    }
  }
})

/** The pipeline's own reasons by their names; failures of handlers have codes of their own. */
const outcomeOf = (verdict: TaskVerdict & { readonly _tag: "Ended" }): Metrics.TaskEnd => {
  if (verdict.end !== "failed") return verdict.end
  switch (verdict.error.code) {
    case "TASK_EXPIRED":
      return "expired"
    case "TASKS_FULL":
      return "full"
    case "TASK_ATTEMPTS":
      return "attempts"
    default:
      return "failed"
  }
}
