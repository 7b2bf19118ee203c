/**
 * Which tasks of a partition of the tasks topic run, and which wait (the core of the task worker).
 *
 * ```
 *   tasks topic (in order)      a task                                        outputs
 *   task              ────▶  ┌─ waiting ───┐  a slot is free          ──▶ Begin   published to the events topic
 *                            │  beginning  │
 *   began, of its run ────▶  │  running    │                          ──▶ Start   the handler
 *   began, of another ────▶  │  fenced     │  waits some ticks        ──▶ Interrupt
 *   Done              ────▶  │  leaving    │  its end is in the log, the slot is free
 *   Again             ────▶  │  beginning  │  the same slot            ──▶ Begin   with another run
 *   ended             ────▶  └─ finished ──┘                          ──▶ Interrupt, if it runs
 * ```
 *
 * A run of another worker may begin here late, because that worker did not know yet that the partition had moved. It will
 * not end the task, so this one begins again after `fenced_ticks`. Until then the other has learned that it moved.
 *
 * The event consumer writes all of these records (`TaskLedger`), so they tell what counts. A worker that has taken a
 * partition over begins nothing until it has read what was there: before that it does not know what has ended.
 *
 * Invariants:
 * 1. In this process a task has one run at a time, and its handler starts after that run has begun by the log.
 * 2. At most `at_once` tasks of the process have a slot, `client_at_once` of one client, and of each name as many as it
 *    allows. Among the clients that wait for the same name, slots go round. Among partitions they go round by `Freed`.
 *    Of one subject no more are begun than `subject_share` times as many as the process has slots free (`SubjectShares`).
 * 3. The topic is read on, whatever waits: what ends a task stands behind it. Of a task that waits only its place is kept.
 * 4. The commit is the lowest task that is not finished; what is finished above it goes with it (`FinishedSet`).
 *
 * Deterministic; no I/O, clock or randomness. Its state is changed in place.
 */
import type { TaskQueueLimits } from "../Limits.ts"
import { type Above, FinishedSet } from "./FinishedSet.ts"
import { type ClientId, type EventId, type RunId, runIdOf, type Seq } from "./Ids.ts"
import { invariant } from "./internal/Invariant.ts"
import type { Slots } from "./Slots.ts"
import type { SubjectShares } from "./SubjectShares.ts"

/** A record of the tasks topic. */
export type TaskRecord = {
  readonly offset: number
  readonly clientId: ClientId
  /** The seq of its event names a task. */
  readonly seq: Seq
} &
  /** `subject`: who has caused it, where that is known. */
  (
    | { readonly _tag: "Task"; readonly id: EventId; readonly name: string; readonly subject?: string | undefined }
    | { readonly _tag: "Began"; readonly run: RunId; readonly attempt: number; readonly next: number }
    | { readonly _tag: "Ended" }
    /** A part that an attempt has published, of a task that resumes: read again by the next attempt. */
    | { readonly _tag: "Progress" }
  )

/** What a queue is told. */
export type Input =
  /** The topic was read up to `next`. */
  | { readonly _tag: "Chunk"; readonly records: ReadonlyArray<TaskRecord>; readonly next: number }
  /** The run has left the handler, and its end is in the log. */
  | { readonly _tag: "Done"; readonly seq: Seq; readonly run: RunId }
  /** The run is given up: it has failed and may be tried again, or it never began by the log. Another takes its slot. */
  | { readonly _tag: "Again"; readonly seq: Seq; readonly run: RunId }
  /** Slots of the process may be free: who waits gets them. */
  | { readonly _tag: "Freed" }
  /** Time passes. */
  | { readonly _tag: "Tick" }
  /** Nothing more is to begin. */
  | { readonly _tag: "Stop" }

/** A task, and where it lies in the topic. */
export interface QueuedTask {
  readonly seq: Seq
  readonly clientId: ClientId
  readonly id: EventId
  readonly name: string
  readonly offset: number
  readonly subject: string | undefined
}

/** What a queue wants done. */
export type Output =
  /** To be published, and the task's record to be read again meanwhile. */
  | { readonly _tag: "Begin"; readonly task: QueuedTask; readonly run: RunId }
  /** Its earlier attempts have `next` parts, which stand between the task and `before`. */
  | {
      readonly _tag: "Start"
      readonly task: QueuedTask
      readonly run: RunId
      readonly attempt: number
      readonly next: number
      readonly before: number
    }
  /** Another run has the task, or it has ended. */
  | { readonly _tag: "Interrupt"; readonly task: QueuedTask; readonly run: RunId }

interface Entry extends QueuedTask {
  /** Of all runs that have begun by the log, the latest. */
  attempt: number
  run: RunId | undefined
  /** Its run has begun by the log. */
  hasBegun: boolean
  /** It has a slot. */
  hasSlot: boolean
}

/** What a client has here. It goes when nothing of it waits or has a slot. */
interface Client {
  readonly id: ClientId
  slots: number
  /** By name. */
  readonly slotsOf: Map<string, number>
  /** By name. */
  readonly lines: Map<string, Line>
}

/** The waiting tasks of one client and one name, in order. */
interface Line {
  readonly client: Client
  readonly name: string
  readonly waiting: Set<Entry>
  /** Where it is while the subject of its first has its share. */
  crowd: Crowd | undefined
}

/** Lines of one name whose first is of one subject, which has its share. In order. */
interface Crowd {
  readonly subject: string
  readonly name: string
  readonly lines: Set<Line>
}

/** What is known of the tasks of a partition. Only `step` changes it. */
export class State {
  readonly finished: FinishedSet
  /** Those that are not finished, by seq. */
  readonly tasks = new Map<Seq, Entry>()
  readonly clients = new Map<ClientId, Client>()
  /** By name, whose turn is next; those that are in none wait for a slot of their client. */
  readonly turns = new Map<string, Set<Line>>()
  /** Those whose turn it was while the subject of their first had its share, by name and subject. */
  readonly crowded = new Map<string, Crowd>()
  /** How many wait, by name. */
  readonly waiting = new Map<string, number>()
  /** Fenced, with the tick at which they may begin again, in order. */
  readonly fenced = new Map<Entry, number>()
  tick = 0
  runs = 0
  isStopped = false
  readonly options: QueueOptions

  constructor(options: QueueOptions) {
    this.options = options
    this.finished = new FinishedSet(options.next, options.above)
  }

  /** Whether everything was read that was there at the beginning. */
  get isCaughtUp(): boolean {
    return this.finished.end >= this.options.end
  }
}

/** Where a partition begins. */
export interface QueueOptions extends TaskQueueLimits {
  /** Shared by the partitions of the process. */
  readonly slots: Slots
  readonly shares: SubjectShares
  /** How many of a name one client may run at once; `undefined`: as many as it may of all. */
  readonly limitOfClient?: (name: string) => number | undefined
  /** Used once: no two processes, and no two assignments, have the same. */
  readonly worker: string
  /** What was committed. */
  readonly next: number
  readonly above?: Above | undefined
  /** The end of the topic when the partition was assigned. */
  readonly end: number
}

/** Takes an input and says what is to be done. */
export const step = (state: State, input: Input, out: Array<Output> = []): ReadonlyArray<Output> => {
  switch (input._tag) {
    case "Chunk":
      read(state, input, out)
      break
    case "Done":
      done(state, input)
      return out
    case "Again":
      again(state, input, out)
      return out
    case "Tick":
      tick(state)
      break
    case "Stop":
      state.isStopped = true
      break
    case "Freed":
  }
  if (!state.isStopped && state.isCaughtUp) pump(state, out)
  return out
}

type Of<Tag extends (Input | TaskRecord)["_tag"]> = (Input | TaskRecord) & { readonly _tag: Tag }

const read = (state: State, { next, records }: Of<"Chunk">, out: Array<Output>): void => {
  state.finished.read(records, next)
  for (const record of records) {
    if (record._tag === "Task" && !state.finished.has(record.offset)) add(state, record)
    else state.finished.finish(record.offset)
    if (record._tag === "Began") began(state, record, out)
    else if (record._tag === "Ended") ended(state, record, out)
  }
}

const add = (state: State, { clientId, id, name, offset, seq, subject }: Of<"Task">): void => {
  // A consumer that starts over may write a task again: its first record stands for it.
  if (state.tasks.has(seq)) return state.finished.finish(offset)
  const place = { seq, clientId, id, name, offset, subject }
  const task: Entry = { ...place, attempt: 0, run: undefined, hasBegun: false, hasSlot: false }
  state.tasks.set(seq, task)
  queue(state, task)
}

const queue = (state: State, task: Entry): void => {
  const client = state.clients.get(task.clientId) ?? newClient(task.clientId)
  state.clients.set(client.id, client)
  const line = client.lines.get(task.name) ?? { client, name: task.name, waiting: new Set<Entry>(), crowd: undefined }
  client.lines.set(line.name, line)
  line.waiting.add(task)
  state.waiting.set(line.name, waitingOf(state, line.name) + 1)
  turn(state, line)
}

/** Its partition is given up: the slots are for others. */
export const abandon = (state: State): void => {
  state.isStopped = true
  for (const task of state.tasks.values()) release(state, task)
}

/** How many tasks of a name wait for a slot. */
export const waitingOf = (state: State, name: string): number => state.waiting.get(name) ?? 0

const newClient = (id: ClientId): Client => ({ id, slots: 0, slotsOf: new Map(), lines: new Map() })

const turn = (state: State, line: Line): void => {
  const lines = state.turns.get(line.name) ?? new Set()
  state.turns.set(line.name, lines)
  lines.add(line)
}

const began = (state: State, record: Of<"Began">, out: Array<Output>): void => {
  const task = state.tasks.get(record.seq)
  // A consumer that starts over writes what it reads again, again.
  if (task === undefined || record.attempt <= task.attempt) return
  task.attempt = record.attempt
  if (task.run === undefined) return
  if (task.run !== record.run) {
    interrupt(state, task, out)
    return void state.fenced.set(task, state.tick + state.options.fenced_ticks)
  }
  invariant(task.hasSlot, "TaskQueue", 1)
  task.hasBegun = true
  const { attempt, next, offset: before, run } = record
  out.push({ _tag: "Start", task, run, attempt, next, before })
}

const ended = (state: State, { seq }: Of<"Ended">, out: Array<Output>): void => {
  const task = state.tasks.get(seq)
  if (task === undefined) return
  interrupt(state, task, out)
  unqueue(state, task)
  state.fenced.delete(task)
  state.tasks.delete(seq)
  state.finished.finish(task.offset)
}

/** It has no run any more; one that is in its handler is told so. */
const interrupt = (state: State, task: Entry, out: Array<Output>): void => {
  const { hasSlot, run } = task
  if (hasSlot && run !== undefined) out.push({ _tag: "Interrupt", task, run })
  release(state, task)
  Object.assign(task, { run: undefined, hasBegun: false })
}

const done = (state: State, { run, seq }: Of<"Done">): void => {
  const task = state.tasks.get(seq)
  if (task?.run === run) release(state, task)
}

const again = (state: State, { run, seq }: Of<"Again">, out: Array<Output>): void => {
  const task = state.tasks.get(seq)
  if (task === undefined || task.run !== run || !task.hasSlot || state.isStopped) return
  Object.assign(task, { run: runIdOf(state.options.worker, ++state.runs), hasBegun: false })
  out.push({ _tag: "Begin", task, run: task.run })
}

const release = (state: State, task: Entry): void => {
  if (!task.hasSlot) return
  task.hasSlot = false
  state.options.slots.free(task.name)
  state.options.shares.free(task.subject)
  const client = state.clients.get(task.clientId)
  if (client === undefined) throw new Error(`${task.clientId} has no slot`)
  occupy(client, task.name, -1)
  for (const line of client.lines.values()) turn(state, line)
  forget(state, client)
}

const occupy = (client: Client, name: string, by: number): void => {
  client.slots += by
  const ofName = (client.slotsOf.get(name) ?? 0) + by
  if (ofName === 0) client.slotsOf.delete(name)
  else client.slotsOf.set(name, ofName)
}

const hasRoom = ({ options }: State, client: Client, name: string): boolean =>
  client.slots < options.client_at_once && (client.slotsOf.get(name) ?? 0) < (options.limitOfClient?.(name) ?? Infinity)

const unqueue = (state: State, task: Entry): void => {
  const client = state.clients.get(task.clientId)
  const line = client?.lines.get(task.name)
  if (client === undefined || line === undefined) return
  if (line.waiting.delete(task)) state.waiting.set(line.name, waitingOf(state, line.name) - 1)
  // The next of it may be of another subject.
  if (uncrowd(state, line)) turn(state, line)
  if (line.waiting.size > 0) return
  client.lines.delete(line.name)
  state.turns.get(line.name)?.delete(line)
  forget(state, client)
}

const forget = (state: State, { id, lines, slots }: Client): void => {
  if (slots === 0 && lines.size === 0) state.clients.delete(id)
}

const tick = (state: State): void => {
  state.tick++
  for (const [task, due] of state.fenced) {
    if (due > state.tick) return
    state.fenced.delete(task)
    queue(state, task)
  }
}

/** Gives free slots to those that wait (2). */
const pump = (state: State, out: Array<Output>): void => {
  for (let line = nextLine(state); line !== undefined; line = nextLine(state)) begin(state, line, out)
}

/** Whether something waits that may begin. */
export const hasTurns = (state: State): boolean => state.turns.size > 0 || state.crowded.size > 0

/** Those that made way for other subjects come again, one of each subject at a time. */
const nextLine = (state: State): Line | undefined => {
  for (;;) {
    let hasMore = false
    for (const { lines, name, subject } of state.crowded.values()) {
      if (!hasShare(state, subject) || !state.options.slots.has(name)) continue
      const [line] = lines
      if (line === undefined || !uncrowd(state, line)) continue
      turn(state, line)
      hasMore = true
    }
    const next = nextTurn(state)
    if (next !== undefined || !hasMore) return next
  }
}

const hasShare = ({ options: { at_once, shares, slots } }: State, subject: string | undefined): boolean =>
  shares.has(subject, at_once - slots.taken)

const crowd = (state: State, line: Line, subject: string): void => {
  const key = crowdKey(line.name, subject)
  line.crowd = state.crowded.get(key) ?? { subject, name: line.name, lines: new Set() }
  state.crowded.set(key, line.crowd)
  line.crowd.lines.add(line)
}

/** No name of an event has a line break in its JSON. */
const crowdKey = (name: string, subject: string): string => `${JSON.stringify(name)}\n${subject}`

/** Whether it was aside. */
const uncrowd = (state: State, line: Line): boolean => {
  const { crowd } = line
  if (crowd === undefined) return false
  line.crowd = undefined
  crowd.lines.delete(line)
  if (crowd.lines.size === 0) state.crowded.delete(crowdKey(crowd.name, crowd.subject))
  return true
}

/** Names take turns, and of a name its clients. */
const nextTurn = (state: State): Line | undefined => {
  const { slots } = state.options
  for (const [name, lines] of state.turns) {
    if (!slots.has(name)) continue
    state.turns.delete(name)
    for (const line of lines) {
      lines.delete(line)
      if (!hasRoom(state, line.client, name) || makesWay(state, line)) continue
      if (lines.size > 0) state.turns.set(name, lines)
      return line
    }
  }
  return undefined
}

/** Whether the subject of its first has its share: then it is aside. */
const makesWay = (state: State, line: Line): boolean => {
  const [task] = line.waiting
  if (task?.subject === undefined || hasShare(state, task.subject)) return false
  crowd(state, line, task.subject)
  return true
}

const begin = (state: State, { client, name, waiting }: Line, out: Array<Output>): void => {
  const [task] = waiting
  if (task === undefined) throw new Error(`nothing of ${name} waits`)
  invariant(task.run === undefined && !task.hasSlot, "TaskQueue", 1)
  const run = runIdOf(state.options.worker, ++state.runs)
  Object.assign(task, { run, hasSlot: true })
  occupy(client, name, 1)
  state.options.slots.take(name)
  state.options.shares.take(task.subject)
  invariant(client.slots <= state.options.client_at_once, "TaskQueue", 2)
  unqueue(state, task)
  const line = client.lines.get(name)
  if (line !== undefined) turn(state, line)
  out.push({ _tag: "Begin", task, run })
}
