/**
 * A session of direct delivery: one connection of one client whose results the gateway reads from the results topic
 * itself.
 *
 * ```
 *   records of the log, by `Feed` ──▶ ┌──── session ────┐ ──▶ Deliver, Status, Lost, Welcome (to the client)
 *   mailbox pages, `settled`      ──▶ │ delivered, acked│ ──▶ Follow (the log), Read, Settle (the mailbox)
 *   client's acks                 ──▶ │ position        │ ──▶ Trim (mailbox and offset), Sweep (registry)
 *                                     └─────────────────┘
 *
 *   offset known ──▶ LOG ◀── settled, and a page is short ── MAILBOX ◀── offset lost
 *                     └──── what comes next is retained no more ──▶ ┘
 * ```
 *
 * `position`: the client has every record of its own below this offset of the results topic, or was handed it.
 * `delivered`: everything up to this seq was handed to the client.
 *
 * Invariants:
 * 1. What is delivered has growing seqs, and nothing of this client lies between one and the next: the seqs of one client
 *    first appear in the results topic in their order, so from `position` on its next record above `delivered` is the next
 *    one, and whatever of it is at or below `delivered` is a repeat. Those of other clients are compared with nothing.
 * 2. A `position` comes from a fact that was saved, or from `settled`: everything below it that the client does not have
 *    was in the mailbox before the page was read that came back short.
 * 3. At most `window` results are delivered and not acknowledged. At the bound, or while the socket is behind, the
 *    session stops to follow and keeps nothing: it asks for the log again from where it stopped.
 * 4. `fact` is true whoever saves it whenever: below its offset the client has acknowledged everything.
 * 5. What retention removed is told before anything behind it is delivered.
 *
 * Deterministic; no I/O, clock or randomness. The shell carries out what it takes from `take`, in that order.
 */
import { Result } from "effect"
import type { Follower, LogItem } from "./Feed.ts"
import { type ClientId, type Cursor, type Epoch, type PodId, type Seq, seqUnsafe, start } from "./Ids.ts"
import type { SessionLimits } from "../Limits.ts"
import type { ClientOffset, Page } from "./Reads.ts"
import { decodePlacedBarrier, type Item, isBarrier } from "./Records.ts"
import type { Demotion, Output } from "./Session.ts"
import type { StatusName } from "./Status.ts"
import { Window } from "./internal/Window.ts"

/** What a direct session wants done. */
export type DirectOutput =
  | Extract<Output, { readonly _tag: "Welcome" | "Deliver" | "Status" | "Lost" | "Read" | "Trim" | "Sweep" }>
  /** Give it to the feed, which has the log from `position` on. */
  | { readonly _tag: "Follow" }
  /** Find out from which offset on the log has what no mailbox may have, then `settled`. One at a time. */
  | { readonly _tag: "Settle" }

/** Who the client is, and what bounds the session. */
export interface DirectSessionOptions {
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  /** The client's own: everything up to here it has. */
  readonly after: Cursor
  /** The mailbox's. */
  readonly acked: Cursor
  /** What was saved of this client, if it is known. */
  readonly stored: ClientOffset | undefined
  readonly limits: SessionLimits
}

export class DirectSession implements Follower {
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  private readonly limits: SessionLimits
  private told: StatusName = "REPLAYING"
  private lastDemotion: Demotion = "gap"
  private deliveredFromMailbox = 0
  private delivered: Cursor
  private acked: Cursor
  /** Undefined: the mailbox is read, not the log. */
  private at: number | undefined
  private following = false
  private readonly window: Window
  /** Of what is in the window, in its order: offsets in the results topic; none for what came from the mailbox. */
  private offsets: Array<number | undefined> = []
  private stalled = false
  private reading = false
  private more = true
  private ticksSinceRead = 0
  private settling = false
  /** Where the log takes over from the mailbox, once that is settled. */
  private handover: number | undefined = undefined
  /** The page under way was asked for after that. */
  private readsSettled = false
  private toldHole: Cursor = start
  private lossProof: number | undefined = undefined
  private outputs: Array<DirectOutput> = []
  private delivering: Array<Item> | undefined = undefined

  constructor({ acked, after, clientId, epoch, limits, pod, stored }: DirectSessionOptions) {
    this.clientId = clientId
    this.epoch = epoch
    this.pod = pod
    this.limits = limits
    this.window = new Window(limits.window_results, limits.window_bytes)
    this.at = stored?.offset
    this.delivered = highest(after, acked, stored?.seq ?? start)
    this.acked = this.delivered
    this.emit({ _tag: "Welcome", after: this.delivered })
    if (this.delivered > acked) this.emit({ _tag: "Trim", seq: this.delivered })
    this.goOn()
  }

  get status(): StatusName {
    return this.told
  }

  get upTo(): Cursor {
    return this.delivered
  }

  get acknowledged(): Cursor {
    return this.acked
  }

  /** Why it is not LIVE any more, where it was. */
  get demotion(): Demotion {
    return this.lastDemotion
  }

  /** How many results were delivered from the mailbox, in all. */
  get replayed(): number {
    return this.deliveredFromMailbox
  }

  get position(): number | undefined {
    return this.at
  }

  /** What may be saved: see `ClientOffsets`. Undefined while the mailbox is read. */
  get fact(): ClientOffset | undefined {
    const offset = this.isAllAcknowledged ? this.at : this.offsets[0]
    return offset === undefined ? undefined : { offset, seq: this.acked }
  }

  /** What to do, in order, since the last call. */
  take(): ReadonlyArray<DirectOutput> {
    const outputs = this.outputs
    if (outputs.length > 0) this.outputs = []
    this.delivering = undefined
    return outputs
  }

  // The log

  /** All records of this client from its position up to the offset `next`. `false`: it follows no more. */
  records(records: ReadonlyArray<LogItem>, next: number): boolean {
    if (!this.following || this.at === undefined) return false
    for (const record of records) {
      if (record.offset < this.at || record.seq <= this.delivered) continue
      if (isBarrier(record.value)) this.passBarrier(record)
      else if (this.mayDeliver()) this.deliver(record, record.offset)
      else {
        this.at = record.offset
        this.following = false
        return false
      }
    }
    this.passed(next)
    return true
  }

  /** Nothing of this client lies between its position and `next`. */
  passed(next: number): void {
    if (this.following && this.at !== undefined && next > this.at) this.at = next
  }

  /** The log has no more what comes next. */
  gap(): void {
    this.at = undefined
    this.following = false
    this.handover = undefined
    this.more = true
    this.demote("gap")
    this.goOn()
  }

  caughtUp(): void {
    this.tellStatus("LIVE")
  }

  fellBehind(): void {
    this.demote("behind")
  }

  // The mailbox

  page(page: Page): void {
    this.reading = false
    if (this.at !== undefined) return
    this.passLosses(page)
    const isWhole = this.deliverPage(page.records)
    if (!isWhole || !page.short) this.more = true
    else if (this.readsSettled) {
      this.at = this.handover
      this.handover = undefined
    } else if (!this.settling && this.handover === undefined) {
      this.settling = true
      this.emit({ _tag: "Settle" })
    }
    this.goOn()
  }

  /** The page could not be read, or can't be relied on. The next tick tries again. */
  pageFailed(): void {
    this.reading = false
    this.more = true
  }

  /** All that the client has not acknowledged below this offset of the results topic is in the mailbox by now. */
  settled(handover: number): void {
    this.settling = false
    if (this.at !== undefined) return
    this.handover = handover
    this.more = true
    this.goOn()
  }

  /** Time passes: meanwhile the mailbox is read now and then. */
  tick(): void {
    if (this.at !== undefined) return
    if (++this.ticksSinceRead >= this.limits.read_every_ticks) this.more = true
    this.goOn()
  }

  // The client

  /** The client has everything up to `seq`; `false` if it can't, for that was never sent. */
  ack(seq: Seq | Cursor): boolean {
    if (seq > this.delivered) return false
    if (seq <= this.acked) return true
    const before = this.window.results
    this.window.acknowledge(seq)
    this.offsets.splice(0, before - this.window.results)
    if (this.lossProof !== undefined && seq >= this.lossProof) this.lossProof = undefined
    this.acknowledge(this.isAllAcknowledged ? this.delivered : seq)
    this.goOn()
    return true
  }

  /** The transport can't write to the socket now: like a full window. */
  stall(): void {
    this.stalled = true
  }

  /** It can again. */
  drain(): void {
    this.stalled = false
    this.goOn()
  }

  private get isAllAcknowledged(): boolean {
    return this.window.results === 0 && this.lossProof === undefined
  }

  private acknowledge(seq: Cursor): void {
    this.acked = seq
    this.emit({ _tag: "Trim", seq })
  }

  private mayDeliver(): boolean {
    return !this.stalled && this.window.isOpen
  }

  private deliver(item: Item, offset: number | undefined): void {
    this.delivered = item.seq
    this.window.add(item.seq, item.value.length)
    this.offsets.push(offset)
    if (this.delivering === undefined) {
      this.delivering = []
      this.outputs.push({ _tag: "Deliver", items: this.delivering })
    }
    this.delivering.push(item)
  }

  private deliverPage(records: ReadonlyArray<Item>): boolean {
    for (const item of records) {
      if (item.seq <= this.delivered) continue
      if (isBarrier(item.value)) this.passBarrier(item)
      else if (!this.mayDeliver()) return false
      else {
        this.deliver(item, undefined)
        this.deliveredFromMailbox++
      }
    }
    return true
  }

  /** Of a session elsewhere: direct delivery sends none. If it is newer, the registry knows. */
  private passBarrier(item: Item): void {
    this.delivered = item.seq
    if (this.isAllAcknowledged) this.acknowledge(item.seq)
    const placed = decodePlacedBarrier(item.value)
    if (Result.isSuccess(placed) && placed.success.barrier.epoch > this.epoch) this.emit({ _tag: "Sweep" })
  }

  /** As `Session` does. */
  private passLosses(page: Page): void {
    if (page.hole > this.toldHole && page.hole - 1 > this.delivered) {
      this.toldHole = page.hole
      this.lossProof = this.delivered + 1
      this.emit({ _tag: "Lost", after: this.delivered, upTo: undefined })
    }
    if (page.floor > this.delivered) {
      this.lossProof = page.floor
      this.emit({ _tag: "Lost", after: this.delivered, upTo: seqUnsafe(page.floor) })
      this.delivered = page.floor
    }
  }

  /** Asks for more once a quarter of the window is free. */
  private goOn(): void {
    if (this.stalled) return
    const { room } = this.window
    const isTight = room.results < this.limits.window_results / 4 || room.bytes < this.limits.window_bytes / 4
    if (isTight && this.window.results > 0) return
    if (this.at === undefined) this.readOn(room)
    else if (!this.following) {
      this.following = true
      this.emit({ _tag: "Follow" })
    }
  }

  private readOn(room: { readonly results: number; readonly bytes: number }): void {
    if (!this.more || this.reading) return
    this.reading = true
    this.more = false
    this.ticksSinceRead = 0
    this.readsSettled = this.handover !== undefined
    this.emit({
      _tag: "Read",
      after: this.delivered,
      limit: {
        results: Math.max(1, Math.min(this.limits.page_results, room.results)),
        bytes: Math.max(1, Math.min(this.limits.page_bytes, room.bytes)),
      },
    })
  }

  private demote(why: Demotion): void {
    this.lastDemotion = why
    this.tellStatus("REPLAYING")
  }

  private tellStatus(status: StatusName): void {
    if (status === this.told) return
    this.told = status
    this.emit({ _tag: "Status", status })
  }

  private emit(output: DirectOutput): void {
    this.delivering = undefined
    this.outputs.push(output)
  }
}

const highest = (...cursors: ReadonlyArray<Cursor>): Cursor => cursors.reduce((a, b) => (a >= b ? a : b))
