/**
 * What a client was shown of its tasks, and what of that breaks the promise: each task has its parts once and in order, and
 * one end behind them, whatever was killed meanwhile.
 *
 * `count` goes on where the attempt before was: over all attempts it is shown 0, 1, 2, … once. `tell` begins again in each
 * attempt, and the last one is whole.
 */
import type { Breaches } from "./Ledger.ts"

/** How a task of the chaos answers. */
export type TaskName = "count" | "tell"

/** An item of a task, as it was shown. */
export interface TaskItem {
  readonly seq: number
  readonly attempt: number
  readonly part: number
  /** The number of the part, by its handler; of an end, `undefined`. */
  readonly data: number | undefined
  /** How it ended, if this is its end. */
  readonly end: string | undefined
}

/** One task. */
export interface TaskSeen {
  readonly name: TaskName
  /** How many its handler has. */
  readonly parts: number
  /** It is cancelled when so many parts were shown, and may end as `cancelled` from then on. */
  readonly cancelAt: number | undefined
  readonly items: Array<TaskItem>
}

export const isEnded = ({ items }: TaskSeen): boolean => items.some(({ end }) => end !== undefined)

/** Of a task that has ended, or was to. */
export const taskBreachesOf = (task: TaskSeen): Breaches => {
  let [lost, repeated, outOfOrder, foreign] = [0, 0, 0, 0]
  // 0: none has begun, and it was cancelled before.
  let [attempt, next, seq] = [0, 0, -1]
  let end: TaskItem | undefined
  for (const item of task.items) {
    if (end !== undefined) foreign++
    if (item.seq <= seq || item.attempt < attempt) outOfOrder++
    if (item.attempt > attempt && task.name === "tell") next = 0
    if (item.part < next) repeated++
    lost += Math.max(0, item.part - next)
    if (item.end === undefined && item.data !== item.part) foreign++
    next = item.end === undefined ? item.part + 1 : item.part
    attempt = Math.max(attempt, item.attempt)
    seq = Math.max(seq, item.seq)
    if (item.end !== undefined) end ??= item
  }
  if (end === undefined) lost++
  else if (end.end === "done") lost += Math.abs(task.parts - end.part)
  else if (!(task.cancelAt !== undefined && end.end === "cancelled")) foreign++
  return { lost, repeated, outOfOrder, foreign }
}

/** What is needed to find out about a breach. */
export const taskDetailsOf = (id: string, { cancelAt, items, name, parts }: TaskSeen): string => {
  const told = items.map((item) => `${item.seq}: ${item.attempt}.${item.part} ${item.end ?? item.data}`)
  const cancelled = cancelAt === undefined ? "" : `, cancelled at part ${cancelAt}`
  const what = `${name} of ${parts} parts${cancelled}`
  return `task ${id}, ${what}: ${told.length > 40 ? [...told.slice(0, 20), "…", ...told.slice(-20)].join(", ") : told.join(", ")}`
}
