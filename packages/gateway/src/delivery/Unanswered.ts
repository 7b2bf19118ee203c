/**
 * The events and cancels of one connection that are not answered yet: those on their way into the log, and those in it
 * behind which the session has delivered nothing. What a client gets comes in the order of the log, so an item that is
 * delivered answers everything up to its seq. A connection starts with none, whatever its client sent before.
 *
 * The event of a task has no result of its own, and a cancel none at all. The next item of the client answers them: the
 * first part or the end of a task, or the result of whatever event came after. So hours of a task count for nothing once
 * anything else is answered. A client has no more open tasks than it may have, which is far below the limit here: those
 * beyond end at once.
 *
 * At the limit the connection is held: it is not read. It is never held for what its client has to do, so that nobody
 * waits for somebody who waits for him: not while its session waits for acks, which are to be read then, or for its
 * socket; and for no longer than `hold_ms`. After that it is read up to the next event.
 *
 * Deterministic; no I/O, clock or randomness.
 */
import type { Cursor } from "@nimbus/domain/protocol"

export interface UnansweredLimits {
  readonly client_unanswered_events: number
  readonly unanswered_hold_ms: number
}

export class Unanswered {
  private readonly limits: UnansweredLimits
  /** Those on their way into the log. */
  private taken = 0
  /** Of those in the log, in order, up to twice the limit; those before `first` are answered. */
  private seqs: Array<number> = []
  private first = 0
  /** Since when the connection is held. */
  private since_ms: number | undefined = undefined

  constructor(limits: UnansweredLimits) {
    this.limits = limits
  }

  get size(): number {
    return this.taken + this.seqs.length - this.first
  }

  get isHeld(): boolean {
    return this.since_ms !== undefined
  }

  /** An event was read. Returns whether the connection is at its limit, and not held. */
  take(): boolean {
    this.taken++
    return this.size >= this.limits.client_unanswered_events && !this.isHeld
  }

  /** Holds the connection from now on, where it is at its limit. Returns whether it does. */
  hold(waitsForClient: boolean, now_ms: number): boolean {
    if (!waitsForClient) this.since_ms = now_ms
    return !waitsForClient
  }

  /** The log has so many events that were taken, from this seq on. */
  accepted(seqs: ReadonlyArray<number>, delivered: Cursor): void {
    this.taken -= seqs.length
    for (const seq of seqs) {
      // Of a client that is read beyond the limit, because it acknowledges nothing, no more are kept.
      if (seq > delivered && this.seqs.length - this.first < 2 * this.limits.client_unanswered_events)
        this.seqs.push(seq)
    }
  }

  /** Everything up to here is delivered. */
  delivered(upTo: Cursor): void {
    while (this.first < this.seqs.length && this.seqs[this.first]! <= upTo) this.first++
    if (this.first === this.seqs.length || this.first >= 1_024) {
      this.seqs = this.seqs.slice(this.first)
      this.first = 0
    }
  }

  /** Whether to read the connection again, which was held until now. */
  release(waitsForClient: boolean, now_ms: number): boolean {
    if (this.since_ms === undefined) return false
    const isFull = this.size >= this.limits.client_unanswered_events
    if (isFull && !waitsForClient && now_ms - this.since_ms < this.limits.unanswered_hold_ms) return false
    this.since_ms = undefined
    return true
  }
}
