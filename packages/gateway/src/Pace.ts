/**
 * How fast a connection may send: a token bucket that never refuses. When it is empty the socket is not read until
 * there are tokens again, and TCP carries the pressure back to the sender.
 */
export class Pace {
  private readonly per_second: number
  private tokens: number
  private last_ms: number

  /** Holds one second's worth of tokens, and starts full. */
  constructor(per_second: number, now_ms: number) {
    this.per_second = per_second
    this.tokens = per_second
    this.last_ms = now_ms
  }

  /** Takes a token, on credit if there is none. Answers `owed_ms`. */
  take(now_ms: number): number {
    this.fill(now_ms)
    this.tokens -= 1
    return this.owed_ms(now_ms)
  }

  /** How long to read nothing, so that there is a token again. 0: go on. */
  owed_ms(now_ms: number): number {
    this.fill(now_ms)
    return this.tokens > 0 ? 0 : Math.ceil((1000 * (1 - this.tokens)) / this.per_second)
  }

  private fill(now_ms: number): void {
    if (now_ms <= this.last_ms) return
    this.tokens = Math.min(this.per_second, this.tokens + ((now_ms - this.last_ms) * this.per_second) / 1000)
    this.last_ms = now_ms
  }
}
