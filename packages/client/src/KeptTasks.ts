/**
 * The tasks that a client streams, with the parts of their answers, as its memory keeps them.
 *
 * ```
 *   Started ──▶ open ──Part, Part, …──▶ open ──Ended──▶ ended ──Discarded──▶ gone
 *                 ▲                       │
 *                 └──Part 0 of a later attempt: the parts before it are void
 * ```
 *
 * Parts are numbered without a gap. An attempt that goes on where the one before was goes on with its numbers too; one that
 * starts again starts at 0 (`TaskLedger` of the domain). What is kept may begin behind part 0: the oldest parts are trimmed
 * beyond a bound (`Tasks.ts`).
 */
import { type Cursor, type EventId, Guards } from "@nimbus/domain/protocol"
import type { Schema } from "effect"
import type { Change, KeptTask, TaskEnd } from "./MemorySchemas.ts"

/** One of them, to be changed in place: `MemorySchemas.ts` says what the fields are. */
export interface Task {
  readonly id: EventId
  readonly name: string
  since: Cursor
  seq: Cursor
  attempt: number
  began: number
  first: number
  readonly parts: Array<Schema.Json>
  end: TaskEnd | undefined
  /** What `parts` have as JSON, in UTF-16 code units. */
  chars: number
}

/** In the order in which they were started. */
export type KeptTasks = Map<EventId, Task>

/** The number of the part that comes next. */
export const nextOf = (task: Task): number => task.first + task.parts.length

/** How much a part counts for. */
export const charsOf = (data: Schema.Json): number =>
  typeof data === "string" ? data.length + 2 : JSON.stringify(data).length

interface Numbered {
  readonly attempt: number
  readonly part: number
}

/**
 * How an item stands to what came before it, which ends in front of `part` of `attempt`. `restart`: it is the first of an
 * attempt that starts again.
 */
export const placeOf = (before: Numbered, item: Numbered): "next" | "restart" | "repeat" | "gap" => {
  if (item.attempt < before.attempt) return "repeat"
  if (item.part === before.part) return "next"
  if (item.attempt > before.attempt) return item.part === 0 ? "restart" : "gap"
  return item.part < before.part ? "repeat" : "gap"
}

/** The place in front of its next part. */
export const placeBehind = (task: Task): Numbered => ({ attempt: task.attempt, part: nextOf(task) })

export const fromKept = ({ end, parts, ...kept }: KeptTask): Task => ({
  ...kept,
  parts: [...parts],
  end,
  chars: parts.reduce<number>((sum, part) => sum + charsOf(part), 0),
})

export const toKept = ({ attempt, began, end, first, id, name, parts, seq, since }: Task): KeptTask => ({
  id,
  name,
  since,
  seq,
  attempt,
  began,
  first,
  parts: [...parts],
  ...(end === undefined ? {} : { end }),
})

/** Whether a value from a store is one of them, as the schema has it. */
export const isKept = (u: unknown): u is KeptTask =>
  Guards.isObject(u) &&
  Guards.isEventId(u["id"]) &&
  Guards.isEventName(u["name"]) &&
  Guards.isCursor(u["since"]) &&
  Guards.isCursor(u["seq"]) &&
  isCount(u["attempt"]) &&
  isCount(u["began"]) &&
  isCount(u["first"]) &&
  Array.isArray(u["parts"]) &&
  (u["end"] === undefined || isEnd(u["end"]))

const isCount: (u: unknown) => boolean = Guards.isSeq

const ends: ReadonlySet<unknown> = new Set(["done", "failed", "cancelled", "refused", "lost", "repeated"])

const isEnd = (u: unknown): boolean =>
  Guards.isObject(u) &&
  ends.has(u["as"]) &&
  (u["error"] === undefined || isFailure(u["error"])) &&
  (u["first"] === undefined || Guards.isCursor(u["first"]))

const isFailure = (u: unknown): boolean => Guards.isObject(u) && Guards.isText(u["code"]) && Guards.isText(u["message"])

/** The changes that concern them. */
export type TaskChange = Extract<Change, { readonly _tag: "Started" | "Part" | "Ended" | "Trimmed" | "Discarded" }>

/** Applies one change. Idempotent. */
export const applyTo = (tasks: KeptTasks, change: TaskChange): void => {
  if (change._tag === "Discarded") {
    for (const id of change.ids) tasks.delete(id)
    return
  }
  const task = tasks.get(change.id)
  if (change._tag === "Started") {
    if (task === undefined) tasks.set(change.id, started(change))
  } else if (task === undefined) return
  else if (change._tag === "Trimmed") trim(task, change.first - task.first)
  else if (task.end === undefined) take(task, change)
}

const started = ({ id, name, since }: Extract<TaskChange, { _tag: "Started" }>): Task => ({
  id,
  name,
  since,
  seq: since,
  attempt: 0,
  began: 0,
  first: 0,
  parts: [],
  end: undefined,
  chars: 0,
})

const take = (task: Task, change: Extract<TaskChange, { _tag: "Part" | "Ended" }>): void => {
  const place = placeOf(placeBehind(task), change)
  if (change._tag === "Part" && place !== "next" && place !== "restart") return
  if (place === "restart") {
    trim(task, task.parts.length)
    task.first = 0
  }
  if (nextOf(task) === 0) task.began = change.attempt
  task.attempt = Math.max(task.attempt, change.attempt)
  task.seq = change.seq
  if (change._tag === "Ended") task.end = change.end
  else {
    task.parts.push(change.data)
    task.chars += charsOf(change.data)
  }
}

const trim = (task: Task, count: number): void => {
  for (const part of task.parts.splice(0, Math.max(0, count))) {
    task.first++
    task.chars -= charsOf(part)
  }
}

/** In another log: seqs restart, and none of them says anything of an earlier event any more. */
export const enterLog = (tasks: KeptTasks, last: Cursor): void => {
  for (const task of tasks.values()) {
    task.seq = Guards.beginning
    task.since = last
  }
}

/** What comes of a task, before its end. */
export type TaskEvent =
  /** `part`: its number, from 0. `attempt`: the one that part 0 is of. */
  | { readonly type: "part"; readonly attempt: number; readonly part: number; readonly data: Schema.Json }
  /** The task began again with this attempt: all parts before are void. A text starts empty again. */
  | { readonly type: "restart"; readonly attempt: number }
  /**
   * So many parts are not kept any longer (`task_chars`), and come no more. Only where a stream is resumed, and to a reader that
   * another reader of the same task has overtaken.
   */
  | { readonly type: "gap"; readonly parts: number }

/** Where a reader is: in front of part `next` of the attempt `began`. */
export interface Place {
  began: number
  next: number
}

/** What is kept behind the place of the reader, which moves behind it. A notice stands before all parts. */
export const look = (task: Task, reader: Place): ReadonlyArray<TaskEvent> => {
  const events: Array<TaskEvent> = []
  const { began: attempt, first } = task
  if (attempt !== reader.began) {
    if (reader.next > 0) events.push({ type: "restart", attempt })
    reader.began = attempt
    reader.next = 0
  }
  if (first > reader.next) {
    events.push({ type: "gap", parts: first - reader.next })
    reader.next = first
  }
  for (; reader.next < nextOf(task); reader.next++) {
    events.push({ type: "part", attempt, part: reader.next, data: task.parts[reader.next - first]! })
  }
  return events
}
