/**
 * The order in which the event consumer handles a partition and passes it on (its core): each client's own, and no other.
 *
 * ```
 *                  ┌───────────────────── order ─────────────────────┐
 *   events topic ─▶│ nothing of its client before it? start, or pass │─▶ start: a handler, up to `handlers_at_once`
 *   (in order)     │ else: queue of its client                       │
 *   ended       ──▶│   no slot of its name, or its subject has its   │
 *                  │   share? aside, until there is one              │
 *   due         ──▶│   queue full? its offset alone is kept          │─▶ missing: to be read again
 *   acknowledged ─▶│ ended: ready, then the next of its client       │─▶ batch: one produce under way
 *                  └─────────────────────────────────────────────────┘─▶ commit, with what is finished above it
 * ```
 *
 * Invariants:
 * 1. Of one client everything leaves in its order: results, messages and barriers wait for what stands before them.
 *    One handler of a client runs at a time. Different clients do not wait for each other, but for a free handler.
 * 2. One batch is under way. What is in it is finished once it is acknowledged; so is what was quarantined.
 * 3. The commit is the lowest offset that is not finished (`FinishedSet`). What an earlier owner finished is not handled
 *    again.
 * 4. Nothing more is read at the bounds of the partition; one client has a small part of them (`EventOrderLimits`).
 * 5. Of a name with a limit no more handlers run than it has slots (`Slots`), in all partitions of the process. What waits
 *    for one holds up its own client alone, and takes no place of another handler. The one that has waited longest is next.
 * 6. What is not to start yet (`notBefore_ms`) holds up its own client alone, takes no place of a handler, and is not
 *    waited for at the end: the next owner has it.
 * 7. Of one subject no more handlers are started than `subject_share` times as many as are free (`SubjectShares`). What
 *    waits for that holds up its own client alone, and makes way for other subjects.
 *
 * Deterministic; no I/O, clock or randomness. It updates its own state in place and takes whole chunks; the shell runs
 * the handlers, writes the batches and reads again what is missing.
 */
import { type Above, FinishedSet } from "./FinishedSet.ts"
import { invariant } from "./internal/Invariant.ts"
import { Slots } from "./Slots.ts"
import { SubjectShares } from "./SubjectShares.ts"
import type { EventOrderLimits } from "../Limits.ts"

/** A record of the events topic, as far as its order goes. */
export interface OrderItem {
  readonly offset: number
  /** Whose it is. */
  readonly key: string
  /** What it takes up in memory: as an event, and when it has ended as what leaves for it. */
  bytes: number
  /** Whether there is a handler to run. A message or a barrier passes in its turn. */
  readonly isHandled: boolean
  /** Its name, where a limited number of that name may run at once. */
  readonly slot?: string | undefined
  /** Who caused it, where that is known. */
  readonly subject?: string | undefined
  /** Its handler is not to start before this time, in ms since 1970. `due` tells the time. */
  readonly notBefore_ms?: number | undefined
}

/** What a client has that can't leave yet. It goes when nothing is left in it. */
interface KeyQueue<I> {
  readonly key: string
  running: I | undefined
  /** The offset of the last that came to its turn. */
  last: number
  /** In order; those before `first` have left. */
  waiting: Array<I>
  first: number
  bytes: number
  /** The offsets of what comes after `waiting` and is not in memory, in order; those before `firstSpilled` were read again. */
  spilled: Array<number>
  firstSpilled: number
  /** Since when its next event has waited to start, as `Slots` numbers all that wait. */
  turn: number
}

/** Of most clients nothing waits: they share it. Nothing is ever put into it. */
const none: Array<never> = []

/** What is read and not finished. */
export interface OrderSize {
  /** From the commit to the last record that was read. */
  readonly span: number
  readonly records: number
  readonly bytes: number
  /** Of which only the offsets are kept. */
  readonly spilled: number
  readonly running: number
  readonly ready: number
  /** Clients that wait for a slot of a name. */
  readonly slotless: number
  /** Clients that wait as their subject has its share. */
  readonly crowded: number
  /** Clients whose next event is not to start yet. */
  readonly early: number
}

/** Decides which events of a partition may be handled now: one at a time of each client. */
export class EventOrder<I extends OrderItem> {
  private readonly limits: EventOrderLimits
  private readonly finishedSet: FinishedSet
  private readonly queues = new Map<string, KeyQueue<I>>()
  /** Queues whose next event may start, in the order in which they came to that. */
  private turns: Array<KeyQueue<I>> = []
  private firstTurn = 0
  /** By name, those whose turn it was while the name had no slot, in order. */
  private readonly slotless = new Map<string, Set<KeyQueue<I>>>()
  /** By subject, those whose turn it was while the subject had its share, in order. */
  private readonly crowded = new Map<string, Set<KeyQueue<I>>>()
  private readonly shares: SubjectShares
  /** Those whose next event is not to start yet. */
  private readonly early = new Set<KeyQueue<I>>()
  private now_ms = -Infinity
  private readonly slots: Slots
  private readonly spilling = new Set<KeyQueue<I>>()
  private ready: Array<I> = []
  private underWay: ReadonlyArray<I> | undefined = undefined
  private records = 0
  private bytes = 0
  private running = 0
  private isStopped = false

  /** `next` and `above`: what was committed. `slots`: those of the process. */
  constructor(limits: EventOrderLimits, next: number, above?: Above, slots = unlimited()) {
    this.limits = limits
    this.slots = slots
    this.shares = new SubjectShares(limits.subject_share)
    this.finishedSet = new FinishedSet(next, above)
  }

  get finished(): Pick<FinishedSet, "next" | "end" | "finishedAbove" | "committed" | "has"> {
    return this.finishedSet
  }

  get size(): OrderSize {
    let spilled = 0
    for (const queue of this.spilling) spilled += queue.spilled.length - queue.firstSpilled
    const { records, bytes, running } = this
    const ready = this.ready.length + (this.underWay?.length ?? 0)
    const span = this.finishedSet.end - this.finishedSet.next
    let slotless = 0
    for (const queues of this.slotless.values()) slotless += queues.size
    let crowded = 0
    for (const queues of this.crowded.values()) crowded += queues.size
    return { span, records, bytes, spilled, running, ready, slotless, crowded, early: this.early.size }
  }

  /** Whether to read on (4). */
  get wantsMore(): boolean {
    const { partition_bytes, partition_records, span_records } = this.limits
    const span = this.finishedSet.end - this.finishedSet.next
    return this.records < partition_records && this.bytes < partition_bytes && span < span_records
  }

  /** Whether `takeBatch` would give something. */
  get hasReady(): boolean {
    return this.underWay === undefined && this.ready.length > 0
  }

  /** Whether nothing runs and nothing is to be written: what is left may be left to the next owner. */
  get isIdle(): boolean {
    return this.running === 0 && this.ready.length === 0 && this.underWay === undefined
  }

  /** Starts nothing more. What runs may end, and what is ready may leave. */
  stop(): void {
    this.isStopped = true
  }

  /** The next chunk was read. Then `add` or `aside` for each record that is not finished. */
  read({
    next,
    records,
  }: {
    readonly next: number
    readonly records: ReadonlyArray<{ readonly offset: number }>
  }): void {
    this.finishedSet.read(records, next)
  }

  /** A record that was read, in order. Returns whether to start its handler now: then `ended` follows. */
  add(item: I): boolean {
    invariant(!this.finishedSet.has(item.offset), "EventOrder", 3)
    const queue = this.queues.get(item.key)
    if (queue !== undefined) {
      this.queue(queue, item)
      return false
    }
    this.keep(item)
    if (!item.isHandled) {
      this.ready.push(item)
      return false
    }
    const fresh = this.open(item.key)
    const isNext = this.running < this.limits.handlers_at_once && this.firstTurn === this.turns.length
    if (isNext && !this.isStopped && this.isFree(item)) {
      this.start(fresh, item)
      return true
    }
    this.wait(fresh, item)
    this.queueUp(fresh, item)
    return false
  }

  /** Whether only the offset is kept of the record that was added last. */
  isSpilled({ key, offset }: I): boolean {
    return this.queues.get(key)?.spilled.at(-1) === offset
  }

  /** A record of nobody's: it waits for nothing, and nothing for it. `quarantined` follows. */
  aside(bytes: number): void {
    this.records++
    this.bytes += bytes
  }

  /** What `aside` was told of is in quarantine. */
  quarantined(offset: number, bytes: number): void {
    this.records--
    this.bytes -= bytes
    this.finishedSet.finish(offset)
  }

  /** What to start now, until `undefined`. */
  next(): I | undefined {
    if (this.isStopped || this.running >= this.limits.handlers_at_once) return undefined
    const queue = this.takeTurn()
    if (queue === undefined) return undefined
    const item = this.shift(queue)
    this.start(queue, item)
    return item
  }

  /** The time: what was not to start before it may start now. `next` follows. */
  due(now_ms: number): void {
    this.now_ms = now_ms
    for (const queue of this.early) {
      const item = queue.waiting[queue.first]!
      if (!this.isDue(item)) continue
      this.early.delete(queue)
      this.queueUp(queue, item)
    }
  }

  /** Since when something has waited for a slot of this name: a number of `Slots`. */
  waitsSince(name: string): number | undefined {
    return this.slotless.get(name)?.values().next().value?.turn
  }

  /** It is given up with what runs: others may have the slots. */
  abandon(): void {
    this.isStopped = true
    for (const { running } of this.queues.values()) if (running?.slot !== undefined) this.slots.free(running.slot)
  }

  /** A handler has ended; what leaves for it takes up so many bytes. */
  ended(item: I, bytes: number): void {
    const queue = this.queues.get(item.key)
    if (queue === undefined || queue.running !== item) throw new Error(`${item.offset} does not run`)
    queue.running = undefined
    this.running--
    if (item.slot !== undefined) this.slots.free(item.slot)
    this.shares.free(item.subject)
    this.bytes += bytes - item.bytes
    item.bytes = bytes
    this.ready.push(item)
    this.advance(queue)
  }

  /** What to write next, in order; `undefined` while there is nothing, or the last is not `acknowledged` (2). */
  takeBatch(most_records: number, most_bytes: number): ReadonlyArray<I> | undefined {
    if (this.underWay !== undefined || this.ready.length === 0) return undefined
    let bytes = 0
    let count = 0
    for (; count < this.ready.length && count < most_records; count++) {
      bytes += this.ready[count]!.bytes
      if (bytes > most_bytes && count > 0) break
    }
    this.underWay = count === this.ready.length ? this.ready : this.ready.slice(0, count)
    this.ready = count === this.ready.length ? [] : this.ready.slice(count)
    return this.underWay
  }

  /** The log has the batch. */
  acknowledged(): void {
    for (const { bytes, offset } of this.underWay ?? []) {
      invariant(!this.finishedSet.has(offset), "EventOrder", 2)
      this.records--
      this.bytes -= bytes
      this.finishedSet.finish(offset)
    }
    this.underWay = undefined
  }

  /** The lowest offset to be read again now: its client has room for it. */
  get missing(): number | undefined {
    let lowest: number | undefined = undefined
    for (const queue of this.spilling) {
      const offset = queue.spilled[queue.firstSpilled]!
      if ((lowest === undefined || offset < lowest) && this.hasRoom(queue)) lowest = offset
    }
    return lowest
  }

  /** Whether this record is to be read again now. Then `refill`. */
  isMissing(key: string, offset: number): boolean {
    const queue = this.queues.get(key)
    return queue !== undefined && queue.spilled[queue.firstSpilled] === offset && this.hasRoom(queue)
  }

  /** A record that was read again. */
  refill(item: I): void {
    const queue = this.queues.get(item.key)
    if (queue === undefined) throw new Error(`nothing of ${item.offset}'s client waits`)
    const isNext = queue.running === undefined && queue.first === queue.waiting.length
    this.forget(queue, 1)
    this.keep(item)
    this.wait(queue, item)
    if (isNext) this.advance(queue)
  }

  /** What was to be read again from below `earliest` is no longer in the log. Returns how many records that were. */
  gone(earliest: number): number {
    let count = 0
    for (const queue of this.spilling) {
      let below = 0
      while (queue.spilled[queue.firstSpilled + below]! < earliest) {
        this.finishedSet.finish(queue.spilled[queue.firstSpilled + below++]!)
      }
      if (below === 0) continue
      count += below
      this.forget(queue, below)
      if (queue.running === undefined && queue.first === queue.waiting.length) this.advance(queue)
    }
    return count
  }

  /** What holds the commit back, if that is in memory: what runs, waits to start, or is on its way. */
  get oldest(): I | undefined {
    const { next } = this.finishedSet
    for (const { first, running, waiting } of this.queues.values()) {
      const item = running ?? waiting[first]
      if (item?.offset === next) return item
    }
    const isOldest = ({ offset }: I) => offset === next
    return this.underWay?.find(isOldest) ?? this.ready.find(isOldest)
  }

  private open(key: string): KeyQueue<I> {
    const queue: KeyQueue<I> = {
      key,
      running: undefined,
      last: -1,
      waiting: none,
      first: 0,
      bytes: 0,
      spilled: none,
      firstSpilled: 0,
      turn: 0,
    }
    this.queues.set(key, queue)
    return queue
  }

  private keep({ bytes }: I): void {
    this.records++
    this.bytes += bytes
  }

  private start(queue: KeyQueue<I>, item: I): void {
    invariant(this.isDue(item), "EventOrder", 6)
    if (item.slot !== undefined) {
      invariant(this.slots.has(item.slot), "EventOrder", 5)
      this.slots.take(item.slot)
    }
    invariant(this.hasShare(item), "EventOrder", 7)
    this.shares.take(item.subject)
    queue.running = item
    queue.last = item.offset
    this.running++
  }

  private wait(queue: KeyQueue<I>, item: I): void {
    if (queue.waiting.length === 0) queue.waiting = [item]
    else queue.waiting.push(item)
    queue.bytes += item.bytes
    const waiting = queue.waiting.length - queue.first
    invariant(waiting === 1 || waiting <= this.limits.client_records, "EventOrder", 4)
  }

  private shift(queue: KeyQueue<I>): I {
    const item = queue.waiting[queue.first++]!
    invariant(queue.running === undefined && item.offset > queue.last, "EventOrder", 1)
    queue.last = item.offset
    queue.bytes -= item.bytes
    if (queue.first === queue.waiting.length) {
      queue.waiting = none
      queue.first = 0
    }
    return item
  }

  /** Behind all of its client that is there already (4). */
  private queue(queue: KeyQueue<I>, item: I): void {
    const { client_bytes, client_records } = this.limits
    const waiting = queue.waiting.length - queue.first
    const isFull = waiting >= client_records || (waiting > 0 && queue.bytes + item.bytes > client_bytes)
    if (!isFull && !this.spilling.has(queue)) {
      this.keep(item)
      return this.wait(queue, item)
    }
    if (queue.spilled.length === 0) queue.spilled = [item.offset]
    else queue.spilled.push(item.offset)
    this.spilling.add(queue)
  }

  /** Half of its share is free; one of which nothing is in memory gets something, however full that is. */
  private hasRoom(queue: KeyQueue<I>): boolean {
    const waiting = queue.waiting.length - queue.first
    if (waiting === 0 && this.finishedSet.has(queue.last)) return true
    const { client_bytes, client_records, partition_bytes, partition_records } = this.limits
    const isBelow = this.records < partition_records && this.bytes < partition_bytes
    return isBelow && 2 * waiting <= client_records && 2 * queue.bytes <= client_bytes
  }

  private forget(queue: KeyQueue<I>, spilled: number): void {
    queue.firstSpilled += spilled
    if (queue.firstSpilled === queue.spilled.length) {
      queue.spilled = none
      queue.firstSpilled = 0
      this.spilling.delete(queue)
    } else if (queue.firstSpilled >= 4_096) {
      queue.spilled = queue.spilled.slice(queue.firstSpilled)
      queue.firstSpilled = 0
    }
  }

  /** Nothing of this client runs: what needs no handler passes, and an event has its turn. */
  private advance(queue: KeyQueue<I>): void {
    while (queue.first < queue.waiting.length) {
      const item = queue.waiting[queue.first]!
      if (item.isHandled) return this.queueUp(queue, item)
      this.ready.push(this.shift(queue))
    }
    if (queue.spilled.length === 0) this.queues.delete(queue.key)
  }

  /** Whether it may start although others wait: nobody waits for the slot that it takes. */
  private isFree(item: I): boolean {
    const { slot, subject } = item
    if (slot !== undefined && (this.slotless.has(slot) || !this.slots.has(slot))) return false
    if (subject !== undefined && (this.crowded.has(subject) || !this.hasShare(item))) return false
    return this.isDue(item)
  }

  private hasShare({ subject }: I): boolean {
    return this.shares.has(subject, this.limits.handlers_at_once - this.running)
  }

  private isDue({ notBefore_ms }: I): boolean {
    return notBefore_ms === undefined || notBefore_ms <= this.now_ms
  }

  /** Its next event is to start in its turn. */
  private queueUp(queue: KeyQueue<I>, next: I): void {
    if (!this.isDue(next)) return void this.early.add(queue)
    queue.turn = this.slots.turn()
    this.turns.push(queue)
  }

  /** The one that has waited longest of those that may start. Those that may not make way for the others (5, 7). */
  private takeTurn(): KeyQueue<I> | undefined {
    const aside = this.firstAside()
    for (let queue = this.turns[this.firstTurn]; queue !== undefined; queue = this.turns[this.firstTurn]) {
      if (aside !== undefined && aside.turn < queue.turn) break
      this.forgetTurn()
      if (!this.setAside(queue)) return queue
    }
    if (aside !== undefined) this.leaveAside(aside)
    return aside
  }

  /** Of those that had no slot or no share, the one that has waited longest among those that have both now. */
  private firstAside(): KeyQueue<I> | undefined {
    if (this.slotless.size === 0 && this.crowded.size === 0) return undefined
    let first: KeyQueue<I> | undefined = undefined
    for (const all of [this.slotless, this.crowded]) {
      for (const queues of all.values()) {
        const queue = this.firstOf(queues)
        if (queue !== undefined && (first === undefined || queue.turn < first.turn)) first = queue
      }
    }
    return first
  }

  /** Those that have one of both now, and not the other, change places. */
  private firstOf(queues: Set<KeyQueue<I>>): KeyQueue<I> | undefined {
    for (const queue of queues) {
      const place = this.placeAside(queue)
      if (place === undefined) return queue
      if (place.get(this.nameIn(place, queue)) === queues) return undefined
      this.leaveAside(queue)
      this.setAside(queue)
    }
    return undefined
  }

  /** Where it is to wait, if its next event may not start. */
  private placeAside(queue: KeyQueue<I>): Map<string, Set<KeyQueue<I>>> | undefined {
    const next = queue.waiting[queue.first]!
    if (next.slot !== undefined && !this.slots.has(next.slot)) return this.slotless
    return this.hasShare(next) ? undefined : this.crowded
  }

  /** By what it waits there. */
  private nameIn(place: Map<string, Set<KeyQueue<I>>>, { first, waiting }: KeyQueue<I>): string {
    const { slot, subject } = waiting[first]!
    return (place === this.slotless ? slot : subject) ?? ""
  }

  private setAside(queue: KeyQueue<I>): boolean {
    const place = this.placeAside(queue)
    if (place === undefined) return false
    const name = this.nameIn(place, queue)
    const others = place.get(name)
    if (others === undefined) place.set(name, new Set([queue]))
    else others.add(queue)
    return true
  }

  private leaveAside(queue: KeyQueue<I>): void {
    for (const place of [this.slotless, this.crowded]) {
      const name = this.nameIn(place, queue)
      const queues = place.get(name)
      if (queues?.delete(queue) === true && queues.size === 0) place.delete(name)
    }
  }

  private forgetTurn(): void {
    if (++this.firstTurn < this.turns.length && this.firstTurn <= 4_096) return
    this.turns = this.turns.slice(this.firstTurn)
    this.firstTurn = 0
  }
}

const unlimited = (): Slots => new Slots(Infinity, () => Infinity)
