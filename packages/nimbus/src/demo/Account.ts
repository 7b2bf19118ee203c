/**
 * What a journal adds up to: what was sent, accepted and received over all runs, and what a client's SDK has to
 * remember.
 *
 * The line of a received result is the truth about it. What the SDK saves of the same result, that it is done with,
 * follows later, and a crash may come between the two. So `remembered` takes from the received results how far the
 * client is, which events need not be sent again, and which were answered; and no result is shown twice.
 */
import { Memory } from "@nimbus/client"
import { type Cursor, type EventId, type Frames, start } from "@nimbus/domain/protocol"
import { Option, Schema } from "effect"
import type { Entry } from "./Journal.ts"

/** A result that was shown. Seqs can be compared within one `life` of the log. */
export interface Received extends Frames.ResultItem {
  readonly life: number
}

export class Account {
  runs = 0
  /** Of each event or message its number, by id, in the order sent. */
  readonly sent = new Map<EventId, number>()
  readonly accepted = new Set<EventId>()
  readonly received: Array<Received> = []
  readonly answered = new Set<EventId>()
  private readonly ledger = Memory.toLedger(Memory.empty)
  private life = 0
  private highest = 0

  constructor(entries: Iterable<Entry>) {
    for (const entry of entries) this.add(entry)
  }

  add(entry: Entry): void {
    switch (entry._tag) {
      case "Began":
        this.runs += 1
        return
      case "Saved":
        for (const change of entry.changes) this.save(change)
        return
      case "Received":
        for (const item of entry.items) this.receive(item)
        return
      case "Posted":
        for (const { id, number } of entry.messages) this.send(id, number)
        return
      case "Receipted":
        for (const id of entry.ids) this.accepted.add(id)
        return
    }
  }

  /** The number after the highest that was sent. */
  get next(): number {
    return this.highest + 1
  }

  /** Events and messages sent that have no result yet. */
  get open(): number {
    return this.sent.size - this.answered.size
  }

  get log() {
    return this.ledger.log
  }

  /** What the SDK is to go on from. */
  remembered(): Memory.Remembered {
    const ledger = Memory.toLedger(Memory.toRemembered(this.ledger))
    for (const { id, life, seq } of this.received) {
      ledger.unaccepted.delete(id)
      if (ledger.doubtful.has(id) && ledger.doubtful.get(id) === undefined) {
        ledger.doubtful.set(id, life === this.life ? seq : start)
      }
    }
    return Memory.toRemembered(ledger)
  }

  private save(change: Memory.Change): void {
    if (change._tag === "Reached") return this.reach(change.last)
    Memory.apply(this.ledger, change)
    if (change._tag === "Entered") this.life += 1
    if (change._tag === "Settled") for (const id of change.ids) this.accepted.add(id)
    if (change._tag === "Sent") for (const { frame, id } of change.events) this.send(id, numberOf(frame))
  }

  private receive(item: Frames.ResultItem): void {
    this.received.push({ ...item, life: this.life })
    if (this.sent.has(item.id)) {
      this.accepted.add(item.id)
      this.answered.add(item.id)
    }
    this.reach(item.seq)
  }

  private reach(last: Cursor): void {
    if (last > this.ledger.last) Memory.apply(this.ledger, { _tag: "Reached", last })
  }

  private send(id: EventId, number: number): void {
    this.sent.set(id, number)
    if (number > this.highest) this.highest = number
  }
}

const decodeFrame = Schema.decodeOption(
  Schema.fromJsonString(Schema.Struct({ data: Schema.Struct({ number: Schema.Int }) })),
)

/** The number in an event's frame. A frame that has none is not of the demo, and no answer to it will be right. */
const numberOf = (frame: string): number =>
  Option.match(decodeFrame(frame), { onNone: () => Number.NaN, onSome: ({ data }) => data.number })
