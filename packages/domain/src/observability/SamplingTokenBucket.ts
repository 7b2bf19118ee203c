/**
 * Limits how many events are sampled without being asked for: a number per second, and never more at once than in one
 * second. At low rates every event is sampled, at high rates almost none.
 *
 * It is a token bucket that starts full. It is deterministic and has no clock: the caller passes the time that has elapsed.
 */
export class SamplingTokenBucket {
  private readonly per_second: number
  private tokens: number

  /** 0: none are sampled. */
  constructor(per_second: number) {
    this.per_second = per_second
    this.tokens = per_second
  }

  /** Time has passed; a clock that went back counts as none. */
  pass(elapsed_ms: number): void {
    if (elapsed_ms > 0) this.tokens = Math.min(this.per_second, this.tokens + (elapsed_ms * this.per_second) / 1000)
  }

  /** Whether one more event is to be sampled. */
  take(): boolean {
    if (this.tokens < 1) return false
    this.tokens -= 1
    return true
  }
}
