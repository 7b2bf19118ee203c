/**
 * What must hold of tasks. The log alone judges: for each record of the events topic it says at once what must become of
 * it, in an account that shares nothing with the ledger of the event consumer.
 *
 * At any time:
 * - *a task has each part once, in order*: the parts that count of a task are 0, 1, 2, …, of one attempt, or of all attempts
 *   together if the task resumes; *none is missing before its end*.
 * - *what becomes of a task's record depends on the log alone*: whatever consumer writes an item or a note, it is the one
 *   that the account has for the record; and nothing else leaves. So there is one end, and nothing behind it.
 * - *a task's handler starts when its run has begun by the log*, once, and *is told what its task has published*: what the
 *   log has of earlier attempts.
 * - *a task that has ended is not begun* by a process that started after the tasks topic had its end.
 * - *a task fails as its handler does*, or for what the pipeline ends it: too many attempts, too many tasks, too old.
 * - *the commit never skips*: what is finished by a commit of the events is in the results and in the tasks topic; a task
 *   that is finished by a commit of the tasks has ended.
 * - *bounds*: how many run at once, in a process and of a client.
 *
 * In the end every task has ended, the workers have committed all notes, and no handler runs for one that has ended.
 */
import { type ClientId, decodeResult, type StoredRecord, TaskRecords } from "@nimbus/domain/protocol"
import type { Failure } from "@nimbus/domain/protocol"
import { Result } from "effect"
import type { SimulatedLimits } from "./Production.ts"
import { isTaskName, mayFailWith, taskKinds, type TaskName, type TaskPlan } from "./TaskPlan.ts"
import type { Trace } from "./Trace.ts"

/** What must leave for a record, to the client. */
export interface TaskItem {
  /** The seq of its event. */
  readonly task: number
  readonly of: string
  readonly attempt: number
  readonly part: number
  readonly end: string | undefined
  readonly error: string | undefined
  /** Of a part. */
  readonly data: unknown
}

export const byTheLog = "what becomes of a task's record depends on the log alone"

interface Attempt {
  readonly run: string
  /** How many parts, and pieces of them, earlier attempts had. */
  readonly next: number
  readonly pieces: number
}

export interface Task {
  readonly clientId: string
  readonly partition: number
  readonly seq: number
  readonly id: string
  readonly name: TaskName
  readonly plan: TaskPlan
  readonly attempts: Array<Attempt>
  /** Of the next part. */
  next: number
  /** How many pieces its parts have: handlers number them. */
  pieces: number
  isOpen: boolean
  /** How many notes there were when the tasks topic got its latest `open`, and its first `ended`. */
  opened: number
  ended: number
}

/** What a record leaves. */
interface Leaves {
  readonly item: TaskItem | undefined
  readonly note: string | undefined
}

const nothing: Leaves = { item: undefined, note: undefined }

export interface TaskChecksOptions {
  readonly limits: Pick<SimulatedLimits, "tasks" | "taskQueue">
  readonly trace: Trace
  /** What is planned for an event. */
  readonly planOf: (clientId: string, n: number) => TaskPlan
  readonly report: (rule: string, message: string) => void
}

export class TaskChecks {
  private readonly options: TaskChecksOptions
  private readonly all = new Map<string, Task>()
  /** By client and id, in order. */
  private readonly ofId = new Map<string, Array<Task>>()
  /** By partition: what must leave for each record that leaves something. */
  private readonly due = new Map<number, Map<number, Leaves>>()
  private readonly dueNotes = new Map<number, Set<string>>()
  /** By partition: the notes that the tasks topic has, and where it opens tasks that have not ended there, by seq. */
  private readonly notes = new Map<number, { readonly said: Set<string>; readonly opens: Map<number, Array<number>> }>()
  private readonly ends = new Map<number, number>()
  private allNotes = 0
  /** By process: how many notes there were when it started. */
  private readonly boots = new Map<string, number>()
  private readonly commits = new Map<number, number>()
  /** By process: what is in its handler. */
  private readonly running = new Map<string, Set<Task>>()

  constructor(options: TaskChecksOptions) {
    this.options = options
  }

  get tasks(): ReadonlyArray<Task> {
    return [...this.all.values()]
  }

  // Of the events topic

  /** An event that is no repeat. Answers whether it opens a task. */
  event(partition: number, record: StoredRecord, id: string, name: string, n: number | undefined): boolean {
    if (!isTaskName(name) || n === undefined) return false
    const { key: clientId, offset: seq } = record
    const plan = this.options.planOf(clientId, n)
    const task: Task = {
      clientId,
      partition,
      seq,
      id,
      name,
      plan,
      attempts: [],
      next: 0,
      pieces: 0,
      isOpen: true,
      opened: Infinity,
      ended: Infinity,
    }
    this.all.set(`${clientId} ${seq}`, task)
    this.ofId.set(`${clientId} ${id}`, [...(this.ofId.get(`${clientId} ${id}`) ?? []), task])
    this.leaves(partition, seq, { item: undefined, note: `${seq} open ${id} ${name} ${n}` })
    this.options.trace.count("rule: a task")
    return true
  }

  /** A record of a task. Answers what must leave for it to its client. */
  write(partition: number, { key, offset, value }: StoredRecord): TaskItem | undefined {
    const decoded = TaskRecords.decodeTaskWrite(value)
    if (Result.isFailure(decoded)) {
      this.options.report("records", `${key} ${offset}: ${decoded.failure.reason}`)
      return undefined
    }
    const leaves = this.become(key, decoded.success)
    this.leaves(partition, offset, leaves)
    return leaves.item
  }

  private become(clientId: string, write: TaskRecords.TaskWrite): Leaves {
    const task =
      write.do === "cancel"
        ? this.ofId.get(`${clientId} ${write.task}`)?.findLast(({ isOpen }) => isOpen)
        : this.all.get(`${clientId} ${write.task}`)
    const isOpen = task?.isOpen === true
    this.options.trace.count(`rule: a task's ${write.do}${isOpen ? "" : ", too late"}`)
    if (!isOpen) {
      if (write.do !== "begin") return nothing
      if (task !== undefined) this.checkBegin(task, write.run)
      return { item: undefined, note: `${write.task} ended` }
    }
    switch (write.do) {
      case "begin":
        return this.begin(task, write.run)
      case "part":
        return isNext(task, write) ? this.part(task, write.data) : this.ignored(task, write)
      case "end":
        return isNext(task, write) ? this.handlerEnds(task, write.error) : this.ignored(task, write)
      case "cancel":
        return this.end(task, "cancelled", undefined)
      case "stop":
        return this.stop(task, write.by)
    }
  }

  private begin(task: Task, run: string): Leaves {
    const { attempts, next, seq } = task
    if (attempts.at(-1)?.run === run) return nothing
    if (attempts.length === this.options.limits.tasks.task_attempts) return this.end(task, "failed", "TASK_ATTEMPTS")
    const { resumes } = taskKinds[task.name]
    if (!resumes) Object.assign(task, { next: 0, pieces: 0 })
    if (attempts.length > 0)
      this.options.trace.count(`rule: a task's next attempt${resumes && next > 0 ? ", behind parts" : ""}`)
    attempts.push({ run, next: task.next, pieces: task.pieces })
    return { item: undefined, note: `${seq} begun ${run} ${attempts.length} ${task.next}` }
  }

  /** Who has read to the end of the topic knows that it has ended, unless it is opened behind that. */
  private checkBegin(task: Task, run: string): void {
    const { ended, opened } = task
    const [process = ""] = run.split(":")
    const booted = this.boots.get(process) ?? 0
    if (opened < ended && ended <= booted) this.report("a task that has ended is not begun", task, `is begun by ${run}`)
  }

  private part(task: Task, data: unknown): Leaves {
    const { attempts, id, name, seq } = task
    const part = task.next++
    for (const piece of Array.isArray(data) ? data : [data]) {
      if (piece !== task.pieces)
        this.report("a task has each part once, in order", task, `has ${piece}, not ${task.pieces}`)
      task.pieces++
    }
    const attempt = attempts.length
    const note = taskKinds[name].resumes ? `${seq} progress ${attempt} ${part} ${JSON.stringify(data)}` : undefined
    return { item: { task: seq, of: id, attempt, part, end: undefined, error: undefined, data }, note }
  }

  private handlerEnds(task: Task, error: Failure | undefined): Leaves {
    const { name, pieces, plan } = task
    if (error === undefined) {
      const isAll = !taskKinds[name].isEndless && pieces === plan.parts
      if (!isAll)
        this.report("no part of a task is missing before its end", task, `is done with ${pieces} of ${plan.parts}`)
      return this.end(task, "done", undefined)
    }
    if (!mayFailWith(plan, error.code))
      this.report("a task fails as its handler does", task, `fails with ${error.code}`)
    return this.end(task, "failed", error.code)
  }

  private stop(task: Task, by: string): Leaves {
    if (by === "expired") return this.end(task, "failed", "TASK_EXPIRED")
    if (by === "full") return this.end(task, "failed", "TASKS_FULL")
    return this.end(task, "cancelled", undefined)
  }

  private end(task: Task, end: string, error: string | undefined): Leaves {
    const { attempts, id, next, seq } = task
    task.isOpen = false
    this.options.trace.count(`rule: a task ends: ${error ?? end}`)
    const item = { task: seq, of: id, attempt: attempts.length, part: next, end, error, data: undefined }
    return { item, note: `${seq} ended` }
  }

  private ignored(task: Task, { part, run }: { readonly part: number; readonly run: string }): Leaves {
    const isFenced = task.attempts.at(-1)?.run !== run
    this.options.trace.count(
      `rule: a task's record is ignored: ${isFenced ? "fenced" : part < task.next ? "again" : "a gap"}`,
    )
    return nothing
  }

  // Of the results and the tasks topic

  /** An item is what the log says. */
  checkItem(expected: TaskItem, { key, offset, value }: StoredRecord): void {
    const decoded = decodeResult(value)
    if (Result.isFailure(decoded)) return
    const { attempt, data, end, error, id, of, part } = decoded.success
    const task = Number(/^t(\d+)\./.exec(id)?.[1])
    const said = { task, of, attempt, part, end, error: error?.code, data: end === undefined ? data : undefined }
    const isSame = JSON.stringify(said) === JSON.stringify(expected)
    if (!isSame) this.wrong(`${key} result ${offset} says ${JSON.stringify(said)}, not ${JSON.stringify(expected)}`)
  }

  noted(partition: number, records: ReadonlyArray<StoredRecord>): void {
    const { opens, said } = this.notesOf(partition)
    for (const { key, offset, value } of records) {
      const decoded = TaskRecords.decodeTaskNote(value)
      if (Result.isFailure(decoded)) return this.options.report("records", `note ${offset}: ${decoded.failure.reason}`)
      const note = decoded.success
      const words = wordsOf(note)
      if (!said.has(words) && this.dueNotes.get(partition)?.has(words) !== true) this.wrong(`${key} is noted: ${words}`)
      said.add(words)
      this.allNotes++
      const task = this.all.get(`${key} ${note.task}`)
      if (task !== undefined && note.is === "open") task.opened = this.allNotes
      if (task !== undefined && note.is === "ended") task.ended = Math.min(task.ended, this.allNotes)
      if (note.is === "open") opens.set(note.task, [...(opens.get(note.task) ?? []), offset])
      if (note.is === "ended") opens.delete(note.task)
      this.ends.set(partition, offset + 1)
    }
  }

  /** Whether what must leave for a record has left; `undefined`: it is none of a task. `hasResult`: it has an item. */
  isFinished(partition: number, offset: number, hasResult: boolean): boolean | undefined {
    const leaves = this.due.get(partition)?.get(offset)
    if (leaves === undefined) return undefined
    const { item, note } = leaves
    return (item === undefined || hasResult) && (note === undefined || this.notesOf(partition).said.has(note))
  }

  /** The task workers have committed: `has` says what is finished above it. */
  committed(partition: number, next: number, has: (offset: number) => boolean): void {
    // Of a task that is opened twice one place stands for it.
    for (const [seq, offsets] of this.notesOf(partition).opens) {
      if (offsets.some((offset) => offset >= next && !has(offset))) continue
      return this.options.report("the commit never skips", `task ${seq} of ${partition} has not ended`)
    }
    this.commits.set(partition, Math.max(next, this.commits.get(partition) ?? 0))
  }

  // Of handlers

  /** A handler starts, and was told of these pieces. Answers what to call when it is left. */
  started(process: string, clientId: ClientId, seq: number, attempt: number, told: ReadonlyArray<number>): () => void {
    const task = this.all.get(`${clientId} ${seq}`)
    const begun = task?.attempts[attempt - 1]
    if (task === undefined || begun === undefined) {
      this.options.report("a task's handler starts when its run has begun by the log", `${process}: ${clientId} ${seq}`)
      return () => {}
    }
    const { resumes } = taskKinds[task.name]
    if (resumes && (told.length !== begun.pieces || told.some((piece, i) => piece !== i)))
      this.report(
        "a handler is told what its task has published",
        task,
        `was told ${told.join(" ")} of ${begun.pieces}`,
      )
    const inside = this.running.get(process) ?? new Set()
    this.running.set(process, inside)
    if (inside.has(task)) this.report("a task runs once in a process", task, `runs twice in ${process}`)
    inside.add(task)
    const { at_once, client_at_once } = this.options.limits.taskQueue
    const ofClient = [...inside].filter((other) => other.clientId === clientId).length
    if (inside.size > at_once || ofClient > client_at_once)
      this.options.report("bounds", `${process} runs ${inside.size} tasks, ${ofClient} of ${clientId}`)
    return () => void inside.delete(task)
  }

  /** A process starts. */
  boot(process: string): void {
    this.boots.set(process, this.allNotes)
  }

  died(process: string): void {
    this.running.delete(process)
  }

  // In the end

  missing(): string | undefined {
    for (const { clientId, isOpen, seq } of this.all.values()) if (isOpen) return `task ${seq} of ${clientId} is open`
    for (const [partition, end] of this.ends) {
      const next = this.commits.get(partition) ?? 0
      if (next < end) return `the task workers have committed ${next} of ${end} notes of ${partition}`
    }
    return undefined
  }

  /** No handler runs for a task that has ended. */
  interrupted(): void {
    for (const [process, inside] of this.running) {
      for (const task of inside) {
        if (!task.isOpen) this.report("the end of a task interrupts its handler", task, `runs in ${process}`)
      }
    }
  }

  private leaves(partition: number, offset: number, leaves: Leaves): void {
    const ofPartition = this.due.get(partition) ?? new Map<number, Leaves>()
    this.due.set(partition, ofPartition)
    ofPartition.set(offset, leaves)
    if (leaves.note === undefined) return
    const notes = this.dueNotes.get(partition) ?? new Set()
    this.dueNotes.set(partition, notes)
    notes.add(leaves.note)
  }

  private notesOf(partition: number) {
    const known = this.notes.get(partition) ?? { said: new Set<string>(), opens: new Map<number, Array<number>>() }
    this.notes.set(partition, known)
    return known
  }

  private wrong(message: string): void {
    this.options.report(byTheLog, message)
  }

  private report(rule: string, { clientId, seq }: Task, message: string): void {
    this.options.report(rule, `task ${seq} of ${clientId} ${message}`)
  }
}

const isNext = ({ attempts, next }: Task, { part, run }: { readonly part: number; readonly run: string }): boolean =>
  attempts.at(-1)?.run === run && part === next

const wordsOf = (note: TaskRecords.TaskNote): string => {
  switch (note.is) {
    case "open":
      return `${note.task} open ${note.id} ${note.name} ${JSON.stringify(note.data)}`
    case "begun":
      return `${note.task} begun ${note.run} ${note.attempt} ${note.next}`
    case "progress":
      return `${note.task} progress ${note.attempt} ${note.part} ${JSON.stringify(note.data)}`
    case "ended":
      return `${note.task} ended`
  }
}
