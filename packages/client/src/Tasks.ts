/**
 * Which parts of streamed tasks are kept, which wait for their reader, and which are forgotten. A part of the core
 * (`Core.ts`): deterministic; no I/O, clock or randomness.
 *
 * ```
 *   item of a task ──▶ there is room, or its reader has read all ──▶ kept: remembered, then acknowledged
 *                  └─▶ else                                      ──▶ held: not acknowledged ──Read──▶ kept
 * ```
 *
 * What is kept counts against `task_chars`. Room is made by what can be spared, in this order: tasks that have ended and that
 * nobody reads, the oldest first; parts that their reader has read; parts of tasks that nobody reads. The parts that a reader
 * has still to read are never forgotten. If they fill all room, further ones are held, and the window of the gateway fills.
 * A reader that has read everything gets the next part in any case, so the bound is exceeded by at most one part of each task.
 *
 * A task that was forgotten is unknown: what still comes of it is delivered with the results. It is therefore forgotten only
 * when it has ended and everything of it is acknowledged, unless more than `tasks` are kept.
 */
import type { Cursor, EventId, Frames } from "@nimbus/domain/protocol"
import type { Schema } from "effect"
import { invariant } from "./Invariant.ts"
import * as KeptTasks from "./KeptTasks.ts"
import type { ClientLimits } from "./Limits.ts"
import { apply, type Change, type Ledger, type TaskEnd } from "./Memory.ts"

/** What the newest reader of a task has read: everything before part `next` of the attempt `began`. */
export interface Reader {
  readonly reader: number
  readonly began: number
  readonly next: number
}

/** A part, or the end, of a task. */
export type Item = {
  readonly seq: Cursor
  readonly attempt: number
  readonly part: number
} & ({ readonly data: Schema.Json } | { readonly end: TaskEnd })

/** The part of the core's state that is used here. */
export interface State {
  readonly limits: ClientLimits
  readonly ledger: Ledger
  readonly readers: Map<EventId, Reader>
  /** Of each task the items that are received and not kept, in order. */
  readonly held: Map<EventId, Array<Item>>
  /** Deliveries that are not done, with those that are held. */
  waiting: number
}

export type Output =
  | { readonly _tag: "Remember"; readonly change: Change }
  /** For its readers: there is more, or it has ended. */
  | { readonly _tag: "TaskChanged"; readonly id: EventId }

interface Outputs {
  push(output: Output): unknown
}

/** Applies a change, and has it stored. */
export const remember = ({ ledger }: { readonly ledger: Ledger }, change: Change, out: Outputs): void => {
  apply(ledger, change)
  out.push({ _tag: "Remember", change })
}

/** The items that an item of a frame stands for. What no task has made answers its event in one part. */
export const itemsOf = (task: KeptTasks.Task, item: Frames.ResultItem): ReadonlyArray<Item> => {
  const { attempt = 1, end, error, part = 0, seq } = item
  if (end !== undefined) return [{ seq, attempt, part, end: endOf(end, error) }]
  if (item.of !== undefined) return [{ seq, attempt, part, data: item.data ?? null }]
  const { attempt: at, part: next } = KeptTasks.placeBehind(task)
  if (error !== undefined) return [{ seq, attempt: at, part: next, end: { as: "failed", error } }]
  return [
    { seq, attempt: at, part: next, data: item.data ?? null },
    { seq, attempt: at, part: next + 1, end: { as: "done" } },
  ]
}

const endOf = (as: "done" | "failed" | "cancelled", error: TaskEnd["error"]): TaskEnd =>
  error === undefined ? { as } : { as, error }

/** Takes an item of a task that has not ended. `false`: it is a repeat. */
export const take = (state: State, task: KeptTasks.Task, item: Item, out: Outputs): boolean => {
  const held = state.held.get(task.id)
  const last = held?.at(-1)
  const place = KeptTasks.placeOf(
    last === undefined ? KeptTasks.placeBehind(task) : { attempt: last.attempt, part: last.part + 1 },
    item,
  )
  if (place === "repeat") return false
  if (place === "gap") finish(state, task, item.seq, { as: "lost" }, out)
  else {
    // What is held is void too, and what is kept makes room.
    if (place === "restart") release(state, task.id)
    if (place === "restart" || (!state.held.has(task.id) && hasRoom(state, task, item, out)))
      keep(state, task, item, out)
    else hold(state, task, item)
  }
  return true
}

/** Ends a task that its items do not end. What is held of it is void. */
export const finish = (state: State, task: KeptTasks.Task, seq: Cursor, end: TaskEnd, out: Outputs): void => {
  release(state, task.id)
  keep(state, task, { seq, ...KeptTasks.placeBehind(task), end }, out)
}

/** Those that are open, and of which `isGone`: nothing more will come of them. */
export const finishAll = (state: State, isGone: (id: EventId) => boolean, out: Outputs): void => {
  for (const task of state.ledger.tasks.values()) {
    if (task.end === undefined && isGone(task.id)) finish(state, task, task.seq, { as: "lost" }, out)
  }
}

/** The client streams the task of this event from now on. */
export const start = (state: State, id: EventId, name: string, since: Cursor, out: Outputs): void => {
  remember(state, { _tag: "Started", id, name, since }, out)
  const unread = [...state.ledger.tasks.values()].filter((task) => task.id !== id && !state.readers.has(task.id))
  for (const task of [...unread.filter((task) => isOver(state, task)), ...unread]) {
    if (state.ledger.tasks.size <= state.limits.tasks) return
    discard(state, task, out)
  }
}

/** Its reader has read what the input says. */
export const read = (state: State, id: EventId, reader: Reader, out: Outputs): void => {
  const task = state.ledger.tasks.get(id)
  if (task === undefined) return
  state.readers.set(id, reader)
  admit(state, task, out)
}

/** It has no reader any more, if this was the newest one. */
export const left = (state: State, id: EventId, reader: number, out: Outputs): void => {
  const task = state.ledger.tasks.get(id)
  if (task === undefined || state.readers.get(id)?.reader !== reader) return
  state.readers.delete(id)
  admit(state, task, out)
}

/** The lowest seq that is held. */
export const firstHeld = (state: State): Cursor | undefined => {
  let first: Cursor | undefined
  for (const [item] of state.held.values())
    if (item !== undefined && (first === undefined || item.seq < first)) first = item.seq
  return first
}

/** Keeps what is held, as far as there is room. */
const admit = (state: State, task: KeptTasks.Task, out: Outputs): void => {
  const held = state.held.get(task.id) ?? []
  let admitted = 0
  for (; admitted < held.length; admitted++) {
    if (!hasRoom(state, task, held[admitted]!, out)) break
    keep(state, task, held[admitted]!, out)
  }
  held.splice(0, admitted)
  state.waiting -= admitted
  if (held.length === 0) state.held.delete(task.id)
}

const keep = (state: State, task: KeptTasks.Task, item: Item, out: Outputs): void => {
  const { id } = task
  const { attempt, part, seq } = item
  const place = KeptTasks.placeOf(KeptTasks.placeBehind(task), item)
  invariant(task.end === undefined && (place === "next" || place === "restart"), 6)
  if ("end" in item) remember(state, { _tag: "Ended", id, seq, attempt, part, end: item.end }, out)
  else remember(state, { _tag: "Part", id, seq, attempt, part, data: item.data }, out)
  out.push({ _tag: "TaskChanged", id })
}

const hold = (state: State, task: KeptTasks.Task, item: Item): void => {
  const held = state.held.get(task.id)
  if (held === undefined) state.held.set(task.id, [item])
  else held.push(item)
  state.waiting += 1
}

const release = (state: State, id: EventId): void => {
  state.waiting -= state.held.get(id)?.length ?? 0
  state.held.delete(id)
}

const discard = (state: State, task: KeptTasks.Task, out: Outputs): void => {
  release(state, task.id)
  if (state.ledger.tasks.has(task.id)) remember(state, { _tag: "Discarded", ids: [task.id] }, out)
}

/** Whether nothing of it will come again: it has ended, and all of it is acknowledged. */
const isOver = (state: State, task: KeptTasks.Task): boolean => task.end !== undefined && task.seq <= state.ledger.last

/** Makes room for an item, and says whether there is some now, or its reader waits for it, or it has no reader to wait for. */
const hasRoom = (state: State, task: KeptTasks.Task, item: Item, out: Outputs): boolean => {
  if (!("data" in item)) return true
  const reader = state.readers.get(task.id)
  const isMade = makeRoom(state, task, KeptTasks.charsOf(item.data), out)
  return isMade || reader === undefined || readOf(task, reader) >= KeptTasks.nextOf(task)
}

/** How far it is read. A reader that knows only what is void has read nothing. */
const readOf = (task: KeptTasks.Task, reader: Reader): number =>
  reader.began === task.began ? reader.next : task.first

/** Somewhat more than is needed, so that the next part need not make room again. */
const spare = 8

const makeRoom = (state: State, current: KeptTasks.Task, chars: number, out: Outputs): boolean => {
  const { limits } = state
  const tasks = [...state.ledger.tasks.values()]
  let excess = tasks.reduce((sum, task) => sum + task.chars, chars) - limits.task_chars
  if (excess <= 0) return true
  const wanted = excess + limits.task_chars / spare
  let freed = 0
  for (const task of tasks) {
    if (freed >= wanted) break
    if (task === current || state.readers.has(task.id) || !isOver(state, task)) continue
    freed += task.chars
    discard(state, task, out)
  }
  // First what was read, then what nobody reads.
  for (const isRead of [true, false]) {
    for (const task of tasks) {
      const reader = state.readers.get(task.id)
      if (freed >= wanted || isRead !== (reader !== undefined) || !state.ledger.tasks.has(task.id)) continue
      freed += trim(
        state,
        task,
        reader === undefined ? KeptTasks.nextOf(task) : readOf(task, reader),
        wanted - freed,
        out,
      )
    }
  }
  excess -= freed
  return excess <= 0
}

/** Forgets its oldest parts before part `end`, until `wanted` chars are free; answers how many are. */
const trim = (state: State, task: KeptTasks.Task, end: number, wanted: number, out: Outputs): number => {
  let freed = 0
  let first = task.first
  for (; first < end && freed < wanted; first++) freed += KeptTasks.charsOf(task.parts[first - task.first]!)
  if (first > task.first) remember(state, { _tag: "Trimmed", id: task.id, first }, out)
  return freed
}
