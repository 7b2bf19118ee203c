/**
 * Which tasks of a partition have not ended, and which records of the events topic count for them (a core of the event consumer).
 *
 * ```
 *   events topic, in order          ledger                            outputs
 *   event of a task      ────▶ opens it                      ──▶ Opened    the task is handed to the task workers
 *   begin, of a run      ────▶ the next attempt: fences      ──▶ Began     the run may start, at this part
 *                              the runs before it
 *   part, of a run       ────▶ the latest run, next number?  ──▶ Part      to the client
 *   end, of a run        ────▶ the latest run, next number?  ──▶ Ended     to the client, and to the worker
 *   stop                 ────▶ open?                         ──▶ Ended
 *                              else                          ──▶ Ignored
 * ```
 *
 * A task is named by the seq of its event: ids may be used again. A *run* is one execution of a task by one worker, and its
 * id is used once. A worker that was replaced may still publish parts. They come behind the `begin` of its successor, or
 * behind the end, and are ignored.
 *
 * Invariants:
 * 1. A task is open from its event to its one end. Only open tasks have attempts, parts and an end, so ended ones need not
 *    be remembered.
 * 2. The parts of an attempt are numbered without a gap, and each counts once. The end comes behind all of them.
 * 3. Attempts grow, and parts come from the run of the latest alone. A task that resumes goes on counting parts where the
 *    attempt before ended; another begins at 0.
 * 4. What becomes of a record depends on the records of its own task alone, from the task's event on. A reader that starts
 *    over at a commit reads from `oldest` of that commit, and knows the same.
 *
 * Tasks are not refused here when there are too many, and not for their id, for that would depend on other tasks (4): the
 * shell publishes a `stop` for what is too much or too old, and `RepeatWindow` knows the ids that were used twice.
 *
 * Deterministic; no I/O, clock or randomness. Its state is changed in place.
 */
import type { ClientId, EventId, RunId, Seq } from "./Ids.ts"
import type { TaskLimits } from "../Limits.ts"
import { invariant } from "./internal/Invariant.ts"
import type { Failure } from "./Records.ts"

/** Why a task ends that its handler has not ended. */
export type StopReason = "client" | "operator" | "abandoned" | "expired" | "full"

/** A record of the events topic that has to do with tasks, in the order of the log. */
export type Input = {
  readonly offset: Seq
  readonly clientId: ClientId
} & (
  | {
      readonly _tag: "Event"
      readonly id: EventId
      readonly name: string
      readonly resumes: boolean
      readonly timestamp_ms: number
    }
  | { readonly _tag: "Begin"; readonly task: Seq; readonly run: RunId }
  | { readonly _tag: "Part"; readonly task: Seq; readonly run: RunId; readonly part: number }
  | {
      readonly _tag: "End"
      readonly task: Seq
      readonly run: RunId
      readonly part: number
      readonly error?: Failure | undefined
    }
  | { readonly _tag: "Stop"; readonly task: Seq; readonly by: StopReason }
  /** The same by the event's id, which names the latest open task of that id. */
  | { readonly _tag: "StopId"; readonly id: EventId; readonly by: StopReason }
)

/** A task, as it is while its output is carried out. */
export interface Task {
  readonly clientId: ClientId
  readonly id: EventId
  readonly seq: Seq
  readonly name: string
  readonly resumes: boolean
  readonly timestamp_ms: number
  /** 0: none has begun. */
  readonly attempt: number
  /** Of the next part. */
  readonly next: number
}

/** How a task has ended. `cancelled` has no error. */
export type End = { readonly end: "done" | "cancelled" } | { readonly end: "failed"; readonly error: Failure }

/** Why a record counts for nothing. */
export type Ignored =
  /** No such task is open. */
  | "unknown"
  /** Of a run that another has replaced, or of one that never began. */
  | "fenced"
  /** The part has counted, or the run has begun. */
  | "repeat"
  /** Parts before it are missing. */
  | "gap"

/** What becomes of a record: one for each input. */
export type Output =
  | { readonly _tag: "Opened"; readonly task: Task }
  | { readonly _tag: "Began"; readonly task: Task; readonly run: RunId }
  | { readonly _tag: "Part"; readonly task: Task; readonly part: number }
  | ({ readonly _tag: "Ended"; readonly task: Task; readonly part: number } & End)
  | { readonly _tag: "Ignored"; readonly why: Ignored }

interface Entry extends Task {
  attempt: number
  next: number
  run: RunId | undefined
  /** The offset of its end. */
  ended: number | undefined
}

/** What is known of the tasks of a partition. Only `step` and `committed` change it. */
export class State {
  readonly limits: Pick<TaskLimits, "task_attempts">
  /** Those that are open, and those that ended at or above the commit, in the order of their events. */
  readonly bySeq = new Map<Seq, Entry>()
  /** Of each client and id those that are open, in the order of their events: an id may be used again. */
  readonly byId = new Map<string, Array<Entry>>()
  /** Those of `bySeq` that have ended, in the order of their ends. */
  readonly ended: Array<Entry> = []

  constructor(limits: Pick<TaskLimits, "task_attempts">) {
    this.limits = limits
  }
}

/** Takes the next record and says what becomes of it. */
export const step = (state: State, input: Input, out: Array<Output> = []): ReadonlyArray<Output> => {
  out.push(verdict(state, input))
  return out
}

/**
 * The first record that a reader must read which starts over at this commit: what comes before matters to nothing behind it.
 * `undefined`: the commit itself. Commits only grow.
 */
export const oldest = (state: State, commit: number): Seq | undefined => {
  let gone = 0
  for (; gone < state.ended.length && (state.ended[gone]!.ended ?? commit) < commit; gone++)
    state.bySeq.delete(state.ended[gone]!.seq)
  state.ended.splice(0, gone)
  for (const seq of state.bySeq.keys()) return seq < commit ? seq : undefined
  return undefined
}

/** The open tasks, the oldest first. */
export function* openTasks(state: State): Generator<Task> {
  for (const task of state.bySeq.values()) if (task.ended === undefined) yield task
}

/** There is no space in a client id. */
const keyOf = (clientId: ClientId, id: EventId): string => `${clientId} ${id}`

const ignored = (why: Ignored): Output => ({ _tag: "Ignored", why })

const verdict = (state: State, input: Input): Output => {
  if (input._tag === "Event") return open(state, input)
  const task = find(state, input)
  if (task === undefined) return ignored("unknown")
  invariant(task.seq < input.offset, "TaskLedger", 1)
  switch (input._tag) {
    case "Begin":
      return begin(state, task, input)
    case "Part":
      return fence(task, input) ?? { _tag: "Part", task, part: task.next++ }
    case "End":
      return fence(task, input) ?? end(state, task, input, endOf(input.error))
    case "Stop":
    case "StopId":
      return end(state, task, input, stopped[input.by])
  }
}

type Of<Tag extends Input["_tag"]> = Input & { readonly _tag: Tag }

/** Its task, if that is open. A record can name a task of its own client alone. */
const find = (state: State, input: Exclude<Input, Of<"Event">>): Entry | undefined => {
  if (input._tag === "StopId") return state.byId.get(keyOf(input.clientId, input.id))?.at(-1)
  const task = state.bySeq.get(input.task)
  return task?.clientId === input.clientId && task.ended === undefined ? task : undefined
}

const open = (state: State, { clientId, id, name, offset: seq, resumes, timestamp_ms }: Of<"Event">): Output => {
  const fresh = { attempt: 0, next: 0, run: undefined, ended: undefined }
  const task: Entry = { clientId, id, seq, name, resumes, timestamp_ms, ...fresh }
  state.bySeq.set(seq, task)
  const key = keyOf(clientId, id)
  const ofId = state.byId.get(key)
  if (ofId === undefined) state.byId.set(key, [task])
  else ofId.push(task)
  return { _tag: "Opened", task }
}

const begin = (state: State, task: Entry, input: Of<"Begin">): Output => {
  if (task.run === input.run) return ignored("repeat")
  if (task.attempt === state.limits.task_attempts) return end(state, task, input, tooManyAttempts(task.attempt))
  task.attempt++
  task.run = input.run
  if (!task.resumes) task.next = 0
  return { _tag: "Began", task, run: input.run }
}

/** Why a part or an end does not count, if it does not. */
const fence = (task: Entry, { part, run }: { readonly run: RunId; readonly part: number }): Output | undefined => {
  if (run !== task.run) return ignored("fenced")
  if (part === task.next) return undefined
  return ignored(part < task.next ? "repeat" : "gap")
}

const end = (state: State, task: Entry, { offset }: Input, how: End): Output => {
  task.ended = offset
  const key = keyOf(task.clientId, task.id)
  const ofId = state.byId.get(key) ?? []
  if (ofId.length > 1) ofId.splice(ofId.indexOf(task), 1)
  else state.byId.delete(key)
  state.ended.push(task)
  return { _tag: "Ended", task, part: task.next, ...how }
}

const endOf = (error: Failure | undefined): End => (error === undefined ? { end: "done" } : { end: "failed", error })

const tooManyAttempts = (attempts: number): End => ({
  end: "failed",
  error: { code: "TASK_ATTEMPTS", message: `It was begun ${attempts} times, and no worker has ended it` },
})

const cancelled: End = { end: "cancelled" }

const stopped: Record<StopReason, End> = {
  client: cancelled,
  operator: cancelled,
  abandoned: cancelled,
  expired: {
    end: "failed",
    error: { code: "TASK_EXPIRED", message: "It was not done within the time that tasks are kept" },
  },
  full: { end: "failed", error: { code: "TASKS_FULL", message: "Too many tasks are open: try again later" } },
}
