/**
 * What becomes of the records of a partition that have to do with tasks: by the ledger, once, in the order of the log.
 *
 * ```
 *   below `oldest`               ─▶ nothing: all that stands there is over
 *   from `oldest` to the commit,
 *   or finished above it         ─▶ the ledger takes it, and nothing leaves
 *   read for the first time      ─▶ the verdict ─▶ what leaves (`TaskItems`)
 *                                            └───▶ only its offset is kept ─▶ spill
 *   read again                   ─▶ again: the verdict that it had
 * ```
 *
 * 1. Each record is taken once, and whether an id is a repeat is known before: the verdict depends on the log alone.
 * 2. `oldest` goes with each commit: a new owner begins there, and knows what its predecessor knew (`TaskLedger`, 4). What
 *    was committed without it had no open task.
 * 3. Of too many tasks the newest are to be stopped, and of all those that are too old. What ends them is a record in the
 *    log (`TaskStops`). It is asked for once, and again by a new owner, whose record may be the second one: that is ignored.
 */
import { handlerLimits, type TaskLimits } from "@nimbus/domain/limits"
import {
  type ClientId,
  type Event,
  type Failure,
  type Seq,
  seqUnsafe,
  TaskLedger,
  type TaskRecords,
} from "@nimbus/domain/protocol"
import { shortened, type Task } from "@nimbus/domain/services"

export type TaskVerdict = TaskLedger.Output

/** Why the pipeline ends a task. */
export interface TaskStop {
  readonly task: Seq
  readonly clientId: ClientId
  readonly by: "full" | "expired"
}

export interface TasksOptions {
  readonly limits: TaskLimits
  readonly tasks: ReadonlyMap<string, Pick<Task<never>, "resumes">>
  /** The first record that counts: `oldest` of the commit, or the commit. */
  readonly from: number
}

export class Tasks {
  private readonly options: TasksOptions
  private readonly ledger: TaskLedger.State
  private readonly out: Array<TaskVerdict> = []
  /** How many are open, by client, without those beyond the limits. */
  private readonly open = new Map<ClientId, number>()
  private openCount = 0
  /** Those beyond the limits. */
  private readonly excess = new Set<Seq>()
  /** To be asked for, and those that were. */
  private readonly stops = new Map<Seq, TaskStop>()
  private readonly asked = new Set<Seq>()
  private isLive = false
  /** By the offset of a record of which only that is kept; the oldest first. */
  private readonly spilled = new Map<number, TaskVerdict>()

  constructor(options: TasksOptions) {
    this.options = options
    this.ledger = new TaskLedger.State(options.limits)
  }

  /** What it keeps. */
  get size() {
    const open = this.openCount + this.excess.size
    return { open, known: this.ledger.bySeq.size, stops: this.stops.size, spilled: this.spilled.size }
  }

  /** Whether no more may be read until one of those that were spilled was read again. */
  get isFull(): boolean {
    return this.spilled.size >= this.options.limits.spilled_verdicts
  }

  /** Whether the event is to be handed to the task workers. */
  has(event: Event): boolean {
    return event.type === "event" && this.options.tasks.has(event.name)
  }

  /** An event of a task, which is no repeat. */
  event(offset: number, timestamp_ms: number, clientId: ClientId, { id, name }: Event): TaskVerdict | undefined {
    const resumes = this.options.tasks.get(name)?.resumes ?? false
    return this.step({ _tag: "Event", offset: seqUnsafe(offset), clientId, id, name, resumes, timestamp_ms })
  }

  /** A record of a task. */
  write(offset: number, clientId: ClientId, write: TaskRecords.TaskWriteText): TaskVerdict | undefined {
    return this.step(inputOf(seqUnsafe(offset), clientId, write))
  }

  /** What is known is as the log has it: from now on stops are asked for. */
  live(): void {
    this.isLive = true
  }

  /** The first record that a reader must read which starts over at this commit. */
  oldest(commit: number): Seq | undefined {
    return TaskLedger.oldest(this.ledger, commit)
  }

  /** A record of which only the offset is kept. What the ledger says of a task goes on changing. */
  spill(offset: number, verdict: TaskVerdict): void {
    this.spilled.set(offset, verdict._tag === "Ignored" ? verdict : { ...verdict, task: { ...verdict.task } })
  }

  /** It was read again. */
  again(offset: number): TaskVerdict | undefined {
    const verdict = this.spilled.get(offset)
    this.spilled.delete(offset)
    return verdict
  }

  /** What was spilled from below `earliest` is no longer in the log. */
  gone(earliest: number): void {
    for (const offset of this.spilled.keys()) {
      if (offset >= earliest) return
      this.spilled.delete(offset)
    }
  }

  /** Which tasks are too old now. They come in the order of their events. */
  expire(now_ms: number): void {
    for (const { clientId, seq, timestamp_ms } of TaskLedger.openTasks(this.ledger)) {
      if (now_ms - timestamp_ms < this.options.limits.task_ttl_ms) return
      this.ask({ task: seq, clientId, by: "expired" })
    }
  }

  get hasStops(): boolean {
    return this.isLive && this.stops.size > 0
  }

  /** What is to be published now, at most so much; none of it is given again. */
  takeStops(most: number): ReadonlyArray<TaskStop> {
    const taken = [...this.stops.values().take(most)]
    for (const { task } of taken) {
      this.stops.delete(task)
      this.asked.add(task)
    }
    return taken
  }

  private step(input: TaskLedger.Input): TaskVerdict | undefined {
    if (input.offset < this.options.from) return undefined
    this.out.length = 0
    TaskLedger.step(this.ledger, input, this.out)
    const verdict = this.out[0]
    if (verdict?._tag === "Opened") this.opened(verdict.task)
    else if (verdict?._tag === "Ended") this.ended(verdict.task)
    return verdict
  }

  private opened({ clientId, seq }: TaskLedger.Task): void {
    const { client_open_tasks, partition_open_tasks } = this.options.limits
    const count = this.open.get(clientId) ?? 0
    if (count >= client_open_tasks || this.openCount >= partition_open_tasks) {
      this.excess.add(seq)
      return this.ask({ task: seq, clientId, by: "full" })
    }
    this.open.set(clientId, count + 1)
    this.openCount++
  }

  private ended({ clientId, seq }: TaskLedger.Task): void {
    this.stops.delete(seq)
    this.asked.delete(seq)
    if (this.excess.delete(seq)) return
    const count = (this.open.get(clientId) ?? 1) - 1
    if (count === 0) this.open.delete(clientId)
    else this.open.set(clientId, count)
    this.openCount--
  }

  private ask(stop: TaskStop): void {
    if (!this.asked.has(stop.task) && !this.stops.has(stop.task)) this.stops.set(stop.task, stop)
  }
}

const inputOf = (offset: Seq, clientId: ClientId, write: TaskRecords.TaskWriteText): TaskLedger.Input => {
  switch (write.do) {
    case "part":
      return { _tag: "Part", offset, clientId, task: write.task, run: write.run, part: write.part }
    case "begin":
      return { _tag: "Begin", offset, clientId, task: write.task, run: write.run }
    case "end": {
      const { error, part, run, task } = write
      return { _tag: "End", offset, clientId, task, run, part, error: error && bounded(error) }
    }
    case "stop":
      return { _tag: "Stop", offset, clientId, task: write.task, by: write.by }
    case "cancel":
      return { _tag: "StopId", offset, clientId, id: write.task, by: write.by }
  }
}

/** As workers write it. What somebody else has written must not be more than the topics take. */
const bounded = ({ code, message }: Failure): Failure =>
  shortened({ code: code.slice(0, code_chars), message }, handlerLimits.failure_message_chars)

const code_chars = 128
