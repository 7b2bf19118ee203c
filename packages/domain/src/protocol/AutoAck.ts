/**
 * Which results a client has read that acknowledges none itself.
 *
 * ```
 *   write ──▶ waiting ── sent ──▶ on its way ── a ping sent now, and its answer ──▶ taken by the client's transport
 *                                                                                         │
 *                                     taken, and a whole window behind it as well ────────┤ answered: acknowledge
 *                                     taken quiet_ms before a ping that was answered ─────┘
 * ```
 *
 * The answer to a ping proves that the client's transport has what was sent before it, not that the program has read it.
 * If the program dies between the two, an ack that was passed on by then is a gap. So acks are held back:
 *
 * 1. *By a window.* What the transport has and the program has not read is at most the stream's flow-control window
 *    (`widened`; none on a WebSocket) and `read_ahead_bytes`, which libraries read for a program that is not there yet.
 *    A result is acknowledged once so many bytes behind its end were taken. This holds for a program of any slowness.
 * 2. *By time.* What was taken `quiet_ms` before a ping was sent is acknowledged by the answer, however little came after
 *    it: otherwise the last results of a client would never be. It is not while what was written waits for longer than
 *    half of that: then the client is slow, and the window decides. This rule asks the program to be no more
 *    than `quiet_ms` behind its transport.
 *
 * Time is counted for each result, not from the last one on: a client under a steady trickle is never quiet, and the
 * router would divert it.
 *
 * Results are kept count of in marks, one for `mark_bytes` or `mark_ms`, whichever comes first; a mark is acknowledged as
 * a whole. Deterministic; no I/O, clock or randomness: who calls brings the time.
 */
import { type Cursor, start } from "./Ids.ts"
import type { AutoAckLimits } from "../Limits.ts"

/** A ping that was sent, to be given back with its answer. */
export interface Asked {
  /** Of the stream: everything before it was sent before the ping. */
  readonly offset: number
  readonly at_ms: number
}

interface Mark {
  /** Everything up to here ends before `end`. */
  upTo: Cursor
  /** Offset in the stream. */
  end: number
  readonly begin: number
  readonly begun_ms: number
  taken_ms: number
}

/** Finds out by pings what a client has read that does not acknowledge. */
export class AutoAck {
  private readonly limits: AutoAckLimits
  private window_bytes: number
  private written = 0
  private through = 0
  /** The offset of the last ping. */
  private asked = 0
  /** Not acknowledged, in order: first those that were taken. */
  private marks: Array<Mark> = []
  private taken = 0
  private upTo: Cursor = start
  /** When something was last seen to wait for long. */
  private slow_ms = Number.NEGATIVE_INFINITY

  /** `window_bytes`: what the client's flow control lets through ahead of its program at first. */
  constructor(limits: AutoAckLimits, window_bytes: number) {
    this.limits = limits
    this.window_bytes = window_bytes
  }

  /** How many marks are kept, and bytes that are not acknowledged: for bounds and tests. */
  get size(): { readonly marks: number; readonly held_bytes: number } {
    return { marks: this.marks.length, held_bytes: this.written - (this.marks[0]?.begin ?? this.written) }
  }

  /** The client's window is this now. What was once sent into a larger one may still lie there: the largest counts. */
  widened(window_bytes: number): void {
    this.window_bytes = Math.max(this.window_bytes, window_bytes)
  }

  /** So many bytes more were handed to the transport, in order; the results in them end with `upTo`, if there are any. */
  write(upTo: Cursor, bytes: number, now_ms: number): void {
    const begin = this.written
    this.written += bytes
    if (upTo <= this.upTo) return
    this.upTo = upTo
    const last = this.marks.at(-1)
    if (last !== undefined && this.marks.length > this.taken && this.mayGrow(last, now_ms)) {
      last.upTo = upTo
      last.end = this.written
    } else this.marks.push({ upTo, end: this.written, begin, begun_ms: now_ms, taken_ms: 0 })
  }

  /** Flow control has let so many bytes more of it through, in order. */
  sent(bytes: number): void {
    this.through += bytes
  }

  /** Whether so much was sent since the last ping that another is worth while. */
  get isDue(): boolean {
    return this.marks.length > 0 && this.through - this.asked >= this.limits.mark_bytes
  }

  /** Called every `look_ms`: whether a ping is worth while. */
  look(now_ms: number): boolean {
    const waiting = this.marks[this.taken]
    if (waiting !== undefined && now_ms - waiting.begun_ms >= this.limits.quiet_ms / 2) this.slow_ms = now_ms
    return (waiting !== undefined && this.through > this.asked) || this.inTime(now_ms) > 0
  }

  /** A ping goes out now. */
  ask(now_ms: number): Asked {
    this.asked = this.through
    return { offset: this.through, at_ms: now_ms }
  }

  /** A ping was answered. What to acknowledge by that, if it is more than before. */
  answered({ at_ms, offset }: Asked, now_ms: number): Cursor | undefined {
    for (let mark = this.marks[this.taken]; mark !== undefined && mark.end <= offset; mark = this.marks[this.taken]) {
      mark.taken_ms = now_ms
      this.taken++
    }
    return this.release(Math.max(this.inTime(at_ms), this.behindWindow(offset)))
  }

  private release(count: number): Cursor | undefined {
    const upTo = this.marks[count - 1]?.upTo
    this.marks.splice(0, count)
    this.taken -= count
    return upTo
  }

  /** Rule 1: how many marks have a whole window behind them, where everything before `offset` was taken. */
  private behindWindow(offset: number): number {
    const read = offset - this.window_bytes - this.limits.read_ahead_bytes
    let count = 0
    while (count < this.taken && this.marks[count]!.end <= read) count++
    return count
  }

  /** Rule 2: how many marks were taken long enough before `at_ms`. */
  private inTime(at_ms: number): number {
    const { quiet_ms } = this.limits
    if (at_ms - this.slow_ms < quiet_ms) return 0
    let count = 0
    while (count < this.taken && at_ms - this.marks[count]!.taken_ms >= quiet_ms) count++
    return count
  }

  private mayGrow({ begin, begun_ms }: Mark, now_ms: number): boolean {
    const { mark_bytes, mark_ms } = this.limits
    return this.written - begin <= mark_bytes && now_ms - begun_ms < mark_ms
  }
}
