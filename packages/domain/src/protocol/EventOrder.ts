/**
 * The order in which the event consumer handles a partition and passes it on (its core): each client's own, and no other.
 *
 * ```
 *                  ┌───────────────────── order ─────────────────────┐
 *   events topic ─▶│ nothing of its client before it? start, or pass │─▶ start: a handler, up to `handlers_at_once`
 *   (in order)     │ else: queue of its client                       │
 *   ended       ──▶│   queue full? its offset alone is kept          │─▶ missing: to be read again
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
 *
 * Deterministic; no I/O, clock or randomness. It updates its own state in place and takes whole chunks; the shell runs
 * the handlers, writes the batches and reads again what is missing.
 */
import { type Above, FinishedSet } from "./FinishedSet.ts"
import { invariant } from "./internal/Invariant.ts"
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
}

/** Decides which events of a partition may be handled now: one at a time of each client. */
export class EventOrder<I extends OrderItem> {
  private readonly limits: EventOrderLimits
  private readonly finishedSet: FinishedSet
  private readonly queues = new Map<string, KeyQueue<I>>()
  /** Queues whose next event may start, in the order in which they came to that. */
  private turns: Array<KeyQueue<I>> = []
  private firstTurn = 0
  private readonly spilling = new Set<KeyQueue<I>>()
  private ready: Array<I> = []
  private underWay: ReadonlyArray<I> | undefined = undefined
  private records = 0
  private bytes = 0
  private running = 0
  private isStopped = false

  /** `next` and `above`: what was committed. */
  constructor(limits: EventOrderLimits, next: number, above?: Above) {
    this.limits = limits
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
    return { span: this.finishedSet.end - this.finishedSet.next, records, bytes, spilled, running, ready }
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
    if (this.running < this.limits.handlers_at_once && this.firstTurn === this.turns.length && !this.isStopped) {
      this.start(fresh, item)
      return true
    }
    this.wait(fresh, item)
    this.turns.push(fresh)
    return false
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
    const queue = this.turns[this.firstTurn]
    if (queue === undefined) return undefined
    if (++this.firstTurn === this.turns.length || this.firstTurn > 4_096) {
      this.turns = this.turns.slice(this.firstTurn)
      this.firstTurn = 0
    }
    const item = this.shift(queue)
    this.start(queue, item)
    return item
  }

  /** A handler has ended; what leaves for it takes up so many bytes. */
  ended(item: I, bytes: number): void {
    const queue = this.queues.get(item.key)
    if (queue === undefined || queue.running !== item) throw new Error(`${item.offset} does not run`)
    queue.running = undefined
    this.running--
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

  /** What holds the commit back, if that is in memory: what runs, or is on its way. */
  get oldest(): I | undefined {
    const { next } = this.finishedSet
    for (const { running } of this.queues.values()) if (running?.offset === next) return running
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
    }
    this.queues.set(key, queue)
    return queue
  }

  private keep({ bytes }: I): void {
    this.records++
    this.bytes += bytes
  }

  private start(queue: KeyQueue<I>, item: I): void {
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
      if (queue.waiting[queue.first]!.isHandled) return void this.turns.push(queue)
      this.ready.push(this.shift(queue))
    }
    if (queue.spilled.length === 0) this.queues.delete(queue.key)
  }
}
