/**
 * A gateway with its whole back office as one small state machine, for tests of the client: what a client may rely on
 * by docs/protocol.md and no more. One client; nothing is concurrent in here.
 *
 * An event becomes a record at the next seq (not dense) and, at once, a result, or a repeat of one of the last few. `deliver` sends results above
 * `delivered`, in order, while fewer than `window` are unacknowledged. What the client acknowledged is gone for ever:
 * a client that acknowledges too early finds a gap.
 */
import { Cursor, Epoch, EventId, Frames, Incarnation, Seq, start } from "@nimbus/domain/protocol"
import { Result } from "effect"

interface Record {
  readonly seq: Seq
  readonly item: Frames.ResultItem
}

/** So few that many copies come later. */
const dedupe_records = 8

export class GatewayModel {
  /** What the log has, and what of it is not yet acknowledged. */
  readonly log: Array<Record> = []
  mailbox: Array<Record> = []
  acked: Cursor = start
  incarnation = Incarnation.make("log-0")
  /** What the client did that it must not do. */
  readonly faults: Array<string> = []
  private delivered: Cursor = start
  private floor: Seq | undefined
  private nextSeq = 0
  private epoch = 0
  private unannounced: Array<EventId> = []
  private readonly window: number

  constructor(window = 8) {
    this.window = window
  }

  /** A new session at the address that the client connects to; returns the welcome. */
  connect(address: string): Frames.Welcome {
    const query = new URL(address).searchParams
    const isOurs = query.get("log") === this.incarnation
    const after = isOurs ? Cursor.make(Number(query.get("after") ?? "-1")) : start
    if (after > this.acked) this.trim(after)
    this.delivered = this.acked
    this.unannounced = []
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
    } else if (frame.type === "ack") {
      if (frame.seq > this.delivered) this.faults.push(`ack of ${frame.seq} beyond ${this.delivered}`)
      this.trim(frame.seq)
    }
  }

  /** The log takes an event: also from a gateway that hung and that the client has long left. */
  append(text: string): void {
    const frame = Result.getOrThrowWith(Frames.parseClientFrame(text), (bad) => new Error(bad.message))
    if (frame.type === "event") this.record(frame.id ?? EventId.make(`made-${this.nextSeq}`), frame.name, frame.data)
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

  /** The next results, up to `most`; before them, what of them is lost. */
  deliver(most = Number.POSITIVE_INFINITY): Frames.Results | Frames.Lost | undefined {
    if (this.floor !== undefined && this.floor > this.delivered) {
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
    this.mailbox = []
    this.acked = start
    this.delivered = start
    this.floor = undefined
    this.nextSeq = 0
  }

  private record(id: EventId, name: string, data: Frames.EventFrame["data"]): void {
    const seq = Seq.make(this.nextSeq)
    this.nextSeq += 1 + (this.nextSeq % 3)
    const first = this.log.find((record) => record.item.id === id && seq - record.seq < dedupe_records)
    const item =
      first === undefined
        ? { seq, id, name, data: { answers: data ?? null } }
        : { seq, id, name, data: null, repeated: first.seq }
    const record = { seq, item }
    this.log.push(record)
    this.mailbox.push(record)
  }

  private trim(upTo: Cursor): void {
    if (upTo <= this.acked) return
    this.acked = upTo
    this.mailbox = this.mailbox.filter((record) => record.seq > upTo)
  }
}
