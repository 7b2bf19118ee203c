/**
 * The verdict on each event and message of a partition: whether its client has used its id shortly before, and where first.
 *
 * ```
 *   before the commit, or finished above it ─▶ take: counts for those after it alone
 *   read for the first time                 ─▶ take: the verdict ─▶ only its offset is kept ─▶ spill
 *   read again                              ─▶ again: the verdict that it had
 * ```
 *
 * 1. Each record is taken once, when it is first read, in the order of the log. The verdict therefore depends on the log
 *    alone (`RepeatWindow`), whatever crashed and was committed.
 * 2. An id is that of an event or that of a message, of one client.
 */
import type { RepeatLimits } from "@nimbus/domain/limits"
import { type ClientId, type Event, type Incarnation, RepeatWindow, type Seq, seqUnsafe } from "@nimbus/domain/protocol"

export class Repeats {
  private readonly limits: RepeatLimits
  private readonly window: RepeatWindow
  /** Where the id was used first, by the offset of the repeat; the oldest first. */
  private readonly spilled = new Map<number, Seq>()

  constructor(limits: RepeatLimits, incarnation: Incarnation, secret: string) {
    this.limits = limits
    this.window = new RepeatWindow(limits, incarnation, secret)
  }

  /** What it keeps beside the window. */
  get size() {
    return { spilled: this.spilled.size }
  }

  /** Where a reader must begin whose verdicts begin at `next`. */
  from(next: number): number {
    return Math.max(0, next - this.limits.dedupe_records + 1)
  }

  /** Whether no more may be read until one of those that were spilled was read again. */
  get isFull(): boolean {
    return this.spilled.size >= this.limits.spilled_repeats
  }

  /** The next record. Returns the seq of the first one with its id, if it is a repeat. */
  take(offset: number, clientId: ClientId, { id, type }: Event): Seq | undefined {
    const first = this.window.take(offset, type === "event" ? 0 : 1, clientId, id)
    return first === undefined ? undefined : seqUnsafe(first)
  }

  /** A repeat of which only the offset is kept. */
  spill(offset: number, first: Seq): void {
    this.spilled.set(offset, first)
  }

  /** It was read again. */
  again(offset: number): Seq | undefined {
    const first = this.spilled.get(offset)
    this.spilled.delete(offset)
    return first
  }

  /** What was spilled from below `earliest` is no longer in the log. */
  gone(earliest: number): void {
    for (const offset of this.spilled.keys()) {
      if (offset >= earliest) return
      this.spilled.delete(offset)
    }
  }
}
