/**
 * How fast a connection may send: a token bucket that never refuses. When it is empty the socket is not read until
 * there are tokens again, and TCP carries the pressure back to the sender.
 */
export class TokenBucket {
  private readonly per_second: number
  private tokens: number
  private last_ms: number

  /** Holds one second's worth of tokens, and starts full. */
  constructor(per_second: number, now_ms: number) {
    this.per_second = per_second
    this.tokens = per_second
    this.last_ms = now_ms
  }

  /** Takes tokens, on credit if there are none. Returns `owed_ms`. */
  take(now_ms: number, tokens = 1): number {
    this.fill(now_ms)
    this.tokens -= tokens
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

/** Whatever is read, as far as pauses go. */
interface Reading {
  pause(): void
  resume(): void
}

/** Keeps the reading of a connection to a pace: pauses it where its sender is too fast. */
export class Throttle {
  private readonly bucket: TokenBucket
  private readonly reading: Reading
  private readonly now: () => number
  private isPausing = false

  constructor(per_second: number, reading: Reading, now: () => number) {
    this.bucket = new TokenBucket(per_second, now())
    this.reading = reading
    this.now = now
  }

  /** Something came. What was read already still does; it is on credit, and waited for as well. */
  take(now_ms: number): void {
    const wait_ms = this.bucket.take(now_ms)
    if (wait_ms > 0 && !this.isPausing) this.slowDown(wait_ms)
  }

  private slowDown(wait_ms: number): void {
    this.isPausing = true
    this.reading.pause()
    const goOn = (): void => {
      const owed_ms = this.bucket.owed_ms(this.now())
      if (owed_ms > 0) return void setTimeout(goOn, owed_ms)
      this.isPausing = false
      this.reading.resume()
    }
    setTimeout(goOn, wait_ms)
  }
}
