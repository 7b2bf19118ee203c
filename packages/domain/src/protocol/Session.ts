/**
 * The session: one connection of one client at one gateway (the doorman's core).
 *
 * ```
 *   mailbox pages ──▶ ┌──────────── session ───────────┐ ──▶ Deliver (to the client, in order)
 *   pushes        ──▶ │ delivered, acked, window       │ ──▶ Read, PublishBarrier
 *   client's acks ──▶ │ held: pushes that can't be     │ ──▶ Ack, Nack (to the router), Trim (to the mailbox)
 *   Mail, ticks   ──▶ │ delivered yet                  │ ──▶ Status, Lost, Welcome (told to the client), Sweep
 *                     └────────────────────────────────┘
 * ```
 *
 * `delivered` starts at max(`after`, the mailbox's `acked`, -1). In any state two rules deliver, each safe alone; both
 * set `delivered = seq`:
 * - *from the mailbox*: the lowest record above `delivered`, read page by page;
 * - *from a push* of the session's route: `prev` ≤ `delivered` < `seq`.
 *
 * The session's *route* is the one of the barrier by which it last went LIVE. What its pushes state stays true, also
 * while it is REPLAYING. Pushes of any other route are held: another router may have made it of a repeated old barrier, and
 * know nothing of what is in the mailbox behind it.
 *
 * Invariants:
 * 1. What is delivered has growing seqs, and nothing of this client lies between one and the next.
 * 2. At most `window` results are delivered and not acknowledged by the client; while it is full nothing is delivered.
 * 3. Only the client's own ack is passed on. A repeated push repeats the last ack, never a higher one.
 * 4. A push that can't be delivered now is held, or dropped and nacked; what is held is tried again, by rule, whenever
 *    `delivered`, the window or the route moves. While LIVE, one that waits for a gap or another route leads to REPLAYING.
 * 5. LIVE only by one page, which was read at one moment: it is short, its last record is an own barrier above
 *    `delivered`, and the window let everything before that through. Anything unexpected leads back to REPLAYING, which
 *    reads the mailbox and sends another barrier.
 * 6. What retention removed is told before anything behind it is delivered, and counts as sent: the client's own ack of
 *    something behind it is the first to go over it.
 * 7. Barriers are numbered, and one at a time is under way, the newest. It alone ends that: if any own barrier did, one that
 *    was late would make every LIVE send the next, for ever.
 *
 * Deterministic; no I/O, clock or randomness. It updates its own state in place; the shell carries out what it takes
 * from `take`, in that order.
 */
import { Result } from "effect"
import { type ClientId, type Cursor, type Epoch, type PodId, type RouteId, type Seq, seqUnsafe, start } from "./Ids.ts"
import type { SessionLimits } from "../Limits.ts"
import type { Page, PageLimit } from "./Reads.ts"
import { decodePlacedBarrier, type Item, isBarrier, type PlacedBarrier, type Push } from "./Records.ts"
import { type Status, type StatusName, Step, transition } from "./Status.ts"
import { Held } from "./internal/Held.ts"
import { Window } from "./internal/Window.ts"

/** What a session wants done. */
export type Output =
  /** The session knows where it starts: `after` counts as received. */
  | { readonly _tag: "Welcome"; readonly after: Cursor }
  | { readonly _tag: "Deliver"; readonly items: ReadonlyArray<Item> }
  | { readonly _tag: "Status"; readonly status: StatusName }
  /** Retention removed results after `after` up to `upTo`; no `upTo`: range unknown. */
  | { readonly _tag: "Lost"; readonly after: Cursor; readonly upTo: Seq | undefined }
  /** Read a page of the mailbox, then `page` or `pageFailed`. One at a time. */
  | { readonly _tag: "Read"; readonly after: Cursor; readonly limit: PageLimit }
  | { readonly _tag: "PublishBarrier"; readonly number: number; readonly again: boolean }
  /** To the router. */
  | { readonly _tag: "Ack"; readonly seq: Cursor }
  | { readonly _tag: "Nack"; readonly route: RouteId }
  /** To the mailbox, soon. */
  | { readonly _tag: "Trim"; readonly seq: Cursor }
  /** Write this session to the registry now: somebody else's barrier came by. */
  | { readonly _tag: "Sweep" }

/** Why a session that was LIVE went back to REPLAYING: for metrics. */
export type Demotion =
  /** A push came before one that it follows. */
  | "gap"
  /** A push came of another route than the one it is LIVE by. */
  | "route"
  /** More was held for a gap than may be: a push was dropped. */
  | "dropped"
  /** The same while the window was full or the socket behind. */
  | "slow"
  /** There was a record in the mailbox. */
  | "mail"
  /** Direct delivery: it is not at the end of the log any more. */
  | "behind"

/** Who the client is, and what bounds the session. */
export interface SessionOptions {
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  /** The client's own: everything up to here it has. */
  readonly after: Cursor
  readonly limits: SessionLimits
}

/** Decides what one client is sent, from its mailbox and from pushes: each result once, in order. */
export class Session {
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  private readonly limits: SessionLimits
  private state: Status
  private told: StatusName = "REPLAYING"
  private lastDemotion: Demotion = "gap"
  private deliveredFromMailbox = 0
  private opening = true
  private delivered: Cursor
  private acked: Cursor
  /** The mailbox has nothing of this session above this: its own barrier was read here. */
  private mailEnd: Cursor = start
  private readonly window: Window
  private readonly held: Held
  private stalled = false
  private reading = false
  /** There may be more above `delivered` than was read. */
  private more = true
  private ticksSinceRead = 0
  /** The one by whose barrier this was LIVE the last time. */
  private route: RouteId | undefined = undefined
  /** The number of the newest barrier; 0: none was sent. */
  private number = 0
  /** While the newest is under way. */
  private barrier: { age_ticks: number; timeout_ticks: number } | undefined = undefined
  private toldHole: Cursor = start
  /** The lowest ack that proves that the client knows of the last loss; `undefined` once it came. */
  private lossProof: number | undefined = undefined
  private outputs: Array<Output> = []
  private delivering: Array<Item> | undefined = undefined

  constructor(options: SessionOptions) {
    this.clientId = options.clientId
    this.epoch = options.epoch
    this.pod = options.pod
    this.limits = options.limits
    this.delivered = options.after
    this.acked = options.after
    this.window = new Window(options.limits.window_results, options.limits.window_bytes)
    this.held = new Held(options.limits.held_results, options.limits.held_bytes)
    this.state = { _tag: "REPLAYING", epoch: options.epoch, pod: options.pod }
    this.readOn()
  }

  get status(): StatusName {
    return this.state._tag
  }

  /** Everything up to here was delivered. */
  get upTo(): Cursor {
    return this.delivered
  }

  /** The client's cumulative ack. */
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

  /** Results sent and not acknowledged, and pushes held. */
  get size(): { readonly window: number; readonly held: number } {
    return { window: this.window.results, held: this.held.results }
  }

  /** What to do, in order, since the last call. */
  take(): ReadonlyArray<Output> {
    const outputs = this.outputs
    if (outputs.length > 0) this.outputs = []
    this.delivering = undefined
    return outputs
  }

  /** A push from the router. */
  push(push: Push): void {
    if (push.seq <= this.delivered && !this.opening) {
      if (this.acked > start) this.emit({ _tag: "Ack", seq: this.acked })
      return
    }
    const isNext = push.route === this.route && push.prev <= this.delivered
    if (this.opening || !isNext || !this.mayDeliver()) return this.hold(push)
    this.deliver(push)
    if (this.held.results > 0) this.tryHeld()
  }

  /** A page of the mailbox, as asked for by `Read`. */
  page(page: Page): void {
    this.reading = false
    this.more = this.more || !page.short
    if (this.opening) this.open(page)
    this.passLosses(page)
    const before = this.delivered
    const whole = this.deliverPage(page.records)
    if (whole && page.short) this.meetEnd(page.records.at(-1), before)
    this.tryHeld()
    if (!whole) this.more = true
    if (whole && page.short && this.state._tag === "REPLAYING" && this.barrier === undefined)
      this.sendBarrier(this.limits.barrier_timeout_ticks, false)
    this.tellStatus()
    this.readOn()
  }

  /** The page could not be read. The next tick tries again; while LIVE, the sweep. */
  pageFailed(): void {
    this.reading = false
    this.more = true
  }

  /** There may be something in the mailbox: a `Mail`, or the sweep found it waiting. */
  mail(): void {
    this.more = true
    this.readOn()
  }

  /** The client has everything up to `seq`; `false` if it can't, for that was never sent. */
  ack(seq: Seq | Cursor): boolean {
    if (this.opening || seq > this.delivered) return false
    if (seq <= this.acked) return true
    this.window.acknowledge(seq)
    if (this.lossProof !== undefined && seq >= this.lossProof) this.lossProof = undefined
    this.acknowledge(this.isAllAcknowledged ? this.delivered : seq)
    this.tryHeld()
    this.readOn()
    return true
  }

  /** The transport can't write to the socket now: like a full window. */
  stall(): void {
    this.stalled = true
  }

  /** It can again. */
  drain(): void {
    this.stalled = false
    this.tryHeld()
    this.readOn()
  }

  /** Time passes. While REPLAYING the mailbox is read now and then, and a barrier that did not come back is sent again. */
  tick(): void {
    if (this.state._tag !== "REPLAYING") return
    if (++this.ticksSinceRead >= this.limits.read_every_ticks) this.more = true
    this.readOn()
    if (this.barrier !== undefined && ++this.barrier.age_ticks >= this.barrier.timeout_ticks) {
      this.sendBarrier(Math.min(this.barrier.timeout_ticks * 2, this.limits.barrier_timeout_max_ticks), true)
    }
  }

  private open(page: Page): void {
    this.opening = false
    if (page.acked > this.delivered) this.delivered = page.acked
    this.acked = this.delivered
    this.emit({ _tag: "Welcome", after: this.delivered })
    // The client's own `after` is an ack of all up to it.
    if (this.delivered > page.acked) this.emit({ _tag: "Trim", seq: this.delivered })
  }

  /** What retention removed is told, never passed over in silence. */
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

  /** *From the mailbox*: the lowest record above `delivered`. `false` if the window filled up before the end. */
  private deliverPage(records: ReadonlyArray<Item>): boolean {
    for (const item of records) {
      if (item.seq <= this.delivered) continue
      if (isBarrier(item.value)) this.passBarrier(item)
      else if (!this.mayDeliver()) return false
      else {
        this.fallBack("mail")
        this.deliver(item)
        this.deliveredFromMailbox++
      }
    }
    return true
  }

  /** Wherever it stands it is passed like any record. */
  private passBarrier(item: Item): void {
    this.fallBack("mail")
    this.delivered = item.seq
    if (this.isAllAcknowledged) this.acknowledge(item.seq)
    const { barrier } = Result.getOrThrow(decodePlacedBarrier(item.value))
    if (!this.isOwn(barrier)) this.emit({ _tag: "Sweep" })
    else if (barrier.number === this.number) this.barrier = undefined
  }

  /**
   * The mailbox has no more than what was delivered, up to this record (invariant 5). A barrier from before routes has no
   * route.
   */
  private meetEnd(last: Item | undefined, before: Cursor): void {
    if (last === undefined || last.seq <= before || !isBarrier(last.value)) return
    const { barrier } = Result.getOrThrow(decodePlacedBarrier(last.value))
    if (!this.isOwn(barrier) || barrier.route === undefined) return
    this.route = barrier.route
    this.mailEnd = last.seq
    this.move(Step.cases.GoLive.make({ epoch: this.epoch, pod: this.pod }))
  }

  private isOwn({ epoch, pod }: PlacedBarrier["barrier"]): boolean {
    return epoch === this.epoch && pod === this.pod
  }

  private mayDeliver(): boolean {
    return !this.stalled && this.window.isOpen
  }

  private deliver(item: Item): void {
    this.delivered = item.seq
    this.window.add(item.seq, item.value.length)
    if (this.delivering === undefined) {
      this.delivering = []
      this.outputs.push({ _tag: "Deliver", items: this.delivering })
    }
    this.delivering.push(item)
  }

  /**
   * Whether nothing that was sent awaits its ack, a loss included: to acknowledge a loss that went into a dead socket
   * would be to pass over it in silence.
   */
  private get isAllAcknowledged(): boolean {
    return this.window.results === 0 && this.lossProof === undefined
  }

  /** While there is something to trim it is trimmed soon: a client without a memory that moves now would see it again. */
  private acknowledge(seq: Cursor): void {
    const mayHaveMail = this.state._tag === "REPLAYING" || this.acked < this.mailEnd
    this.acked = seq
    this.emit({ _tag: "Ack", seq })
    if (mayHaveMail) this.emit({ _tag: "Trim", seq })
  }

  private hold(push: Push): void {
    if (!this.held.add(push)) {
      this.emit({ _tag: "Nack", route: push.route })
      this.lookForMail(this.mayDeliver() ? "dropped" : "slow")
    } else if (this.opening) return
    else if (push.route !== this.route) this.meetOther("route")
    else if (push.prev > this.held.before(push, this.delivered)) this.lookForMail("gap")
  }

  private lookForMail(why: Demotion): void {
    this.more = true
    this.fallBack(why)
    this.tellStatus()
    this.readOn()
  }

  private tryHeld(): void {
    for (;;) {
      const push = this.held.next(this.delivered, this.route)
      if (push === undefined) break
      if (push.prev > this.delivered) return this.meetOther("gap")
      if (!this.mayDeliver()) return
      this.held.remove(push)
      this.deliver(push)
    }
    if (this.held.results > 0) this.meetOther("route")
  }

  /** What is held, from before this went LIVE or since, waits for what only the mailbox or another barrier brings. */
  private meetOther(why: "gap" | "route"): void {
    if (this.state._tag === "LIVE") this.lookForMail(why)
  }

  private sendBarrier(timeout_ticks: number, again: boolean): void {
    this.barrier = { age_ticks: 0, timeout_ticks }
    this.emit({ _tag: "PublishBarrier", number: ++this.number, again })
  }

  private fallBack(why: Demotion): void {
    if (this.state._tag !== "LIVE") return
    this.lastDemotion = why
    this.move(Step.cases.FallBack.make({ epoch: this.epoch, pod: this.pod }))
  }

  private move(step: Step): void {
    this.state = Result.getOrThrow(transition(this.state, step)) ?? this.state
  }

  /** Tells a change once it has settled: a barrier met while LIVE leads to REPLAYING and back within one page. */
  private tellStatus(): void {
    if (this.state._tag === this.told) return
    this.told = this.state._tag
    this.emit({ _tag: "Status", status: this.told })
  }

  /** Reads the next page while earlier ones await their acks, once a quarter of the window is free. */
  private readOn(): void {
    if (!this.more || this.reading || this.stalled) return
    const { room } = this.window
    const isTight = room.results < this.limits.window_results / 4 || room.bytes < this.limits.window_bytes / 4
    if (isTight && this.window.results > 0) return
    this.reading = true
    this.more = false
    this.ticksSinceRead = 0
    this.emit({
      _tag: "Read",
      after: this.delivered,
      limit: {
        results: Math.max(1, Math.min(this.limits.page_results, room.results)),
        bytes: Math.max(1, Math.min(this.limits.page_bytes, room.bytes)),
      },
    })
  }

  private emit(output: Output): void {
    this.delivering = undefined
    this.outputs.push(output)
  }
}
