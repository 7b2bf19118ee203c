/** What is measured of the tasks of a partition, by the name of a declared one. Parts are counted, and told at intervals. */
import { Effect } from "effect"
import * as Metrics from "../Metrics.ts"

/** What has become of an attempt, as far as this worker knows. */
export type TaskOutcome = keyof Metrics.OfTask["ended"]

export interface TaskRunMeter {
  started(name: string): void
  /** It has left its handler, after so many seconds. */
  left(name: string, seconds: number, outcome: TaskOutcome): void
  part(name: string): void
  /** Tells how many parts there were. */
  tell(): void
}

export const make = Effect.fnUntraced(function* () {
  const context = yield* Effect.context()
  const series = new Map<string, { readonly metrics: Metrics.OfTask; parts: number }>()
  const of = (name: string) => {
    const known = series.get(name)
    if (known !== undefined) return known
    const made = { metrics: Metrics.ofTask(name), parts: 0 }
    series.set(name, made)
    return made
  }
  const meter: TaskRunMeter = {
    started: (name) => {
      const { metrics } = of(name)
      metrics.attempts.updateUnsafe(1, context)
      metrics.running.modifyUnsafe(1, context)
    },
    left: (name, seconds, outcome) => {
      const { metrics } = of(name)
      metrics.seconds.updateUnsafe(seconds, context)
      metrics.running.modifyUnsafe(-1, context)
      metrics.ended[outcome].updateUnsafe(1, context)
    },
    part: (name) => void of(name).parts++,
    tell: () => {
      for (const one of series.values()) {
        if (one.parts > 0) one.metrics.parts.updateUnsafe(one.parts, context)
        one.parts = 0
      }
    },
  }
  yield* Effect.addFinalizer(() => Effect.sync(meter.tell))
  return meter
})
