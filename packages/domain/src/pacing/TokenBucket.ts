/**
 * Limits a rate: so many per second, and never more at once than in one second. The bucket holds one second's worth of
 * tokens and starts full; see "token bucket" in RFC 2697.
 *
 * It is deterministic and has no clock: the caller says what time it is, by a clock that does not go back. A time before
 * the last one counts as the last one.
 */
export class TokenBucket {
  private readonly per_second: number
  private tokens: number
  private last_ms: number

  /** 0 per second: there is never a token. */
  constructor(per_second: number, now_ms: number) {
    this.per_second = per_second
    this.tokens = per_second
    this.last_ms = now_ms
  }

  /** Adds the tokens of the time since. */
  advance(now_ms: number): void {
    if (now_ms <= this.last_ms) return
    this.tokens = Math.min(this.per_second, this.tokens + ((now_ms - this.last_ms) * this.per_second) / 1000)
    this.last_ms = now_ms
  }

  /** Takes a token, or returns false where there is none. */
  take(now_ms: number = this.last_ms): boolean {
    this.advance(now_ms)
    if (this.tokens < 1) return false
    this.tokens -= 1
    return true
  }

  /** Takes tokens, on credit where there are none. Returns how long to wait before the next: `owed_ms`. */
  spend(now_ms: number, tokens = 1): number {
    this.advance(now_ms)
    this.tokens -= tokens
    return this.owed_ms(now_ms)
  }

  /** How long to wait until there is a token again. 0: there is one. */
  owed_ms(now_ms: number): number {
    this.advance(now_ms)
    return this.tokens > 0 ? 0 : Math.ceil((1000 * (1 - this.tokens)) / this.per_second)
  }
}
