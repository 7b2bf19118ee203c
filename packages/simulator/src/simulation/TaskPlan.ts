/**
 * What the tasks of a run do: how many parts a task answers with, how long it takes, and how it fails. It depends on the
 * task alone, so that every attempt of it, wherever it runs, wants to publish the same parts: `[0]`, `[1]`, `[2]`, …
 */
import { Dice } from "@nimbus/domain/testing/dice"

/** The kinds of tasks, by their names. */
export const taskKinds = {
  /** Begins again with each attempt. */
  recite: { resumes: false, isEndless: false },
  /** Goes on behind what earlier attempts have published; its parts are joined. */
  continue: { resumes: true, isEndless: false },
  /** Goes on as well, and does not end before somebody cancels it. */
  listen: { resumes: true, isEndless: true },
} as const

export type TaskName = keyof typeof taskKinds

export const taskNames: ReadonlyArray<TaskName> = ["recite", "continue", "listen"]

export const isTaskName = (name: string): name is TaskName => Object.hasOwn(taskKinds, name)

/** How often a handler that failed is begun again by the worker that has it. */
export const max_retries = 2
/** How long an attempt may take. */
export const task_timeout_ms = 40_000
/** How long a slow one waits: beyond its time. */
const too_long_ms = 100_000

export interface TaskPlan {
  readonly parts: number
  /** The longest pause before a part. */
  readonly pause_ms: number
  /** So many attempts fail, each behind the part at which it has got to `failsAt`. */
  readonly failures: number
  readonly failsAt: number
  /** It fails for good. */
  readonly isFinal: boolean
  /** It waits longer than its time before its last part. */
  readonly isTooSlow: boolean
}

/** `n`: the number of its event among those of its client. */
export const planOf = (seed: number, clientId: string, n: number): TaskPlan => {
  const dice = new Dice(seed * 48_271 + n * 7_919 + Number(clientId.slice(1)) * 104_729)
  dice.next()
  const parts = dice.below(8)
  return {
    parts,
    pause_ms: dice.oneOf([0, 10, 100, 500, 1_500]),
    failures: dice.oneIn(3) ? dice.upTo(4) : 0,
    failsAt: dice.below(parts + 1),
    isFinal: dice.oneIn(6),
    isTooSlow: dice.oneIn(25),
  }
}

export const lastPause_ms = ({ isTooSlow }: TaskPlan): number => (isTooSlow ? too_long_ms : 0)

/** Whether a task may end with this error of its handler. */
export const mayFailWith = ({ failures, isFinal, isTooSlow }: TaskPlan, code: string): boolean =>
  code === "HANDLER_FAILED"
    ? failures > max_retries || (failures > 0 && isFinal)
    : code === "HANDLER_TIMEOUT" && isTooSlow
