/**
 * A gateway with its whole back office as one small state machine, for tests of the client: what a client may rely on
 * by docs/protocol.md and no more. One client; nothing is concurrent in here.
 *
 * An event becomes a record at the next seq (not dense) and, at once, a result, or a repeat of one of the last few. `deliver` sends results above
 * `delivered`, in order, while fewer than `window` are unacknowledged. What the client acknowledged is gone for ever:
 * a client that acknowledges too early finds a gap.
 *
 * An event named `ask` or `askOn` opens a task instead. Its parts and its one end become records when the test says so; an
 * attempt of `askOn` goes on where the one before was.
 */
import { Cursor, Epoch, EventId, Frames, Incarnation, Seq, start } from "@nimbus/domain/protocol"
import { Result } from "effect"

interface Record {
  readonly seq: Seq
  readonly item: Frames.ResultItem
}

/** A task, with the parts that count: those of its latest attempts. */
export interface TaskModel {
  readonly id: EventId
  readonly seq: Seq
  readonly name: string
  attempt: number
  parts: Array<string>
  end: "done" | "failed" | "cancelled" | undefined
}

type TaskItem = Pick<Frames.ResultItem, "data" | "error" | "part" | "end">

/** So few that many copies come later. */
const fewRecords = 8

export class GatewayModel {
  /** What the log has, and what of it is not yet acknowledged. */
  readonly log: Array<Record> = []
  mailbox: Array<Record> = []
  readonly tasks: Array<TaskModel> = []
  acked: Cursor = start
  incarnation = Incarnation.make("log-0")
  /** What the client did that it must not do. */
  readonly faults: Array<string> = []
  private delivered: Cursor = start
  private floor: Seq | undefined
  private nextSeq = 0
  private epoch = 0
  private unannounced: Array<EventId> = []
  private unconfirmed: Array<EventId> = []
  /** Of all events. */
  private readonly ids: Array<{ readonly id: EventId; readonly seq: Seq }> = []
  private readonly window: number
  private readonly dedupe_records: number

  constructor(window = 8, dedupe_records = fewRecords) {
    this.window = window
    this.dedupe_records = dedupe_records
  }

  /** A new session at the address that the client connects to; returns the welcome. */
  connect(address: string): Frames.Welcome {
    const query = new URL(address).searchParams
    const isOurs = query.get("log") === this.incarnation
    const after = isOurs ? Cursor.make(Number(query.get("after") ?? "-1")) : start
    if (after > this.acked) this.trim(after)
    this.delivered = this.acked
    this.unannounced = []
    this.unconfirmed = []
    return {
      type: "welcome",
      clientId: query.get("clientId") ?? "",
      epoch: Epoch.make(++this.epoch),
      status: "REPLAYING",
      log: this.incarnation,
      after: Cursor.make(this.delivered),
      limits: { frame_bytes: 1_000, window_results: this.window, events_per_second: 1_000, idle_timeout_ms: 60_000 },
    }
  }

  /** Takes a client's frame in. */
  hear(text: string): void {
    const frame = Result.getOrThrowWith(Frames.parseClientFrame(text), (bad) => new Error(bad.message))
    if (frame.type === "event") {
      this.append(text)
      if (frame.id !== undefined) this.unannounced.push(frame.id)
    } else if (frame.type === "cancel") {
      this.append(text)
      this.unconfirmed.push(frame.id)
    } else if (frame.type === "ack") {
      if (frame.seq > this.delivered) this.faults.push(`ack of ${frame.seq} beyond ${this.delivered}`)
      this.trim(frame.seq)
    }
  }

  /** The log takes an event: also from a gateway that hung and that the client has long left. */
  append(text: string): void {
    const frame = Result.getOrThrowWith(Frames.parseClientFrame(text), (bad) => new Error(bad.message))
    if (frame.type === "event") this.record(frame.id ?? EventId.make(`made-${this.nextSeq}`), frame.name, frame.data)
    if (frame.type === "cancel") {
      const task = this.tasks.findLast((task) => task.id === frame.id)
      if (task?.end === undefined && task !== undefined) this.endTask(task, "cancelled")
    }
  }

  /** Those that have not ended. */
  get openTasks(): ReadonlyArray<TaskModel> {
    return this.tasks.filter((task) => task.end === undefined)
  }

  /** A worker takes the task, as its first or after the death of another. */
  beginTask(task: TaskModel): void {
    task.attempt += 1
    if (task.name === "ask") task.parts = []
  }

  /** Its worker publishes the next part. */
  partOf(task: TaskModel): void {
    if (task.attempt === 0) this.beginTask(task)
    const part = task.parts.length
    const data = `${task.attempt}.${part}`
    task.parts.push(data)
    this.taskItem(task, `t${task.seq}.${task.attempt}.${part}`, { data, part })
  }

  endTask(task: TaskModel, end: "done" | "failed" | "cancelled"): void {
    task.end = end
    const error = { code: "HANDLER_FAILED", message: "no" }
    const outcome = end === "failed" ? { error } : { data: null }
    this.taskItem(task, `t${task.seq}.end`, { ...outcome, part: task.parts.length, end })
  }

  /** The cancels not yet confirmed. */
  confirm(): Frames.Cancelling | undefined {
    const ids = this.unconfirmed
    this.unconfirmed = []
    return ids.length === 0 ? undefined : { type: "cancelling", ids }
  }

  /** Another service sends this client a message. */
  publish(id: string): void {
    this.record(EventId.make(id), "news", null)
  }

  /** The acceptances not yet told. */
  accept(): Frames.Accepted | undefined {
    const ids = this.unannounced
    this.unannounced = []
    return ids.length === 0 ? undefined : { type: "accepted", ids }
  }

  /** The next results, up to `most`; before them, what of them is lost, which is told after its event is accepted. */
  deliver(most = Number.POSITIVE_INFINITY): Frames.Results | Frames.Lost | undefined {
    if (this.floor !== undefined && this.floor > this.delivered) {
      if (this.unannounced.length > 0) return undefined
      const after = Cursor.make(this.delivered)
      this.delivered = this.floor
      return { type: "lost", after, upTo: this.floor }
    }
    const unacknowledged = this.mailbox.filter((record) => record.seq <= this.delivered).length
    const next = this.mailbox
      .filter((record) => record.seq > this.delivered)
      .slice(0, Math.max(0, Math.min(most, this.window - unacknowledged)))
    const last = next.at(-1)
    if (last === undefined) return undefined
    this.delivered = last.seq
    return { type: "results", items: next.map((record) => record.item) }
  }

  /** Retention removes the oldest `count` results of the mailbox: those not delivered are lost. */
  retain(count: number): void {
    const last = this.mailbox.slice(0, count).at(-1)
    if (last === undefined) return
    this.mailbox = this.mailbox.slice(count)
    this.floor = last.seq
  }

  /** Another life of the topics. */
  renew(): void {
    this.incarnation = Incarnation.make(`${this.incarnation}'`)
    this.log.length = 0
    this.ids.length = 0
    this.tasks.length = 0
    this.mailbox = []
    this.acked = start
    this.delivered = start
    this.floor = undefined
    this.nextSeq = 0
  }

  private record(id: EventId, name: string, data: Frames.EventFrame["data"]): void {
    const seq = this.takeSeq()
    const first = this.ids.find((event) => event.id === id && seq - event.seq < this.dedupe_records)
    this.ids.push({ id, seq })
    if (first !== undefined) this.put({ seq, id, name, data: null, repeated: first.seq })
    else if (name !== "ask" && name !== "askOn") this.put({ seq, id, name, data: { answers: data ?? null } })
    else this.tasks.push({ id, seq, name, attempt: 0, parts: [], end: undefined })
  }

  private taskItem({ attempt, id: of, name }: TaskModel, id: string, more: TaskItem): void {
    this.put({ seq: this.takeSeq(), id: EventId.make(id), name, of, attempt, ...more })
  }

  private takeSeq(): Seq {
    const seq = Seq.make(this.nextSeq)
    this.nextSeq += 1 + (this.nextSeq % 3)
    return seq
  }

  private put(item: Frames.ResultItem): void {
    const record = { seq: item.seq, item }
    this.log.push(record)
    this.mailbox.push(record)
  }

  private trim(upTo: Cursor): void {
    if (upTo <= this.acked) return
    this.acked = upTo
    this.mailbox = this.mailbox.filter((record) => record.seq > upTo)
  }
}
