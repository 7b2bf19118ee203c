/**
 * What waits to be written to one peer in answer to what it sends: pongs, refusals, acks, notices. Results have a bound
 * of their own, `socket_buffer_bytes`. (NATS has the same two bounds: its pending bytes, and its write deadline.)
 *
 * ```
 *   waiting > answers_bytes        ──▶ the peer is not read: its own writes wait, by TCP's window or HTTP/2's
 *   waiting ≤ answers_bytes / 2    ──▶ it is read again
 *
 *   the peer takes nothing for write_deadline_ms while it is not read   ─┐
 *   it has said more, that was read already, past answers_cut_bytes     ─┴▶ the connection ends: TOO_SLOW
 * ```
 *
 * Each answer counts for `answer_cost_bytes` beside its own, for it takes up as much here: a pong has two bytes.
 */
import type { GatewayLimits } from "../Limits.ts"

/** Whatever is read, as far as this goes. */
export interface Readable {
  /** Read nothing more. */
  stop(): void
  goOn(): void
}

export type UnwrittenLimits = Pick<GatewayLimits, "answers_bytes" | "answer_cost_bytes">

export class Unwritten {
  /** May change: of a connection that is shared, it is a share. */
  private readonly limits: () => UnwrittenLimits
  private readonly reading: Readable
  private waiting = 0
  private isStopped = false

  constructor(limits: () => UnwrittenLimits, reading: Readable) {
    this.limits = limits
    this.reading = reading
  }

  get waiting_bytes(): number {
    return this.waiting
  }

  /** An answer of so many bytes waits. */
  add(bytes: number): void {
    const { answer_cost_bytes, answers_bytes } = this.limits()
    this.waiting += bytes + answer_cost_bytes
    if (this.isStopped || this.waiting <= answers_bytes) return
    this.isStopped = true
    this.reading.stop()
  }

  /** It waits no more. */
  remove(bytes: number): void {
    const { answer_cost_bytes, answers_bytes } = this.limits()
    this.waiting -= bytes + answer_cost_bytes
    if (!this.isStopped || this.waiting > answers_bytes / 2) return
    this.isStopped = false
    this.reading.goOn()
  }
}
