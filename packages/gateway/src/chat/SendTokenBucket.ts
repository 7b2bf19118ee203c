/** How often a socket may send: a token bucket that holds one second's worth, and refuses when it is empty. */
export class SendTokenBucket {
  readonly #per_second: number
  #tokens: number
  #last_ms: number

  constructor(per_second: number, now_ms: number) {
    this.#per_second = per_second
    this.#tokens = per_second
    this.#last_ms = now_ms
  }

  /** Takes a token; `false`: there is none. */
  take(now_ms: number): boolean {
    if (now_ms > this.#last_ms) {
      const more = ((now_ms - this.#last_ms) * this.#per_second) / 1000
      this.#tokens = Math.min(this.#per_second, this.#tokens + more)
      this.#last_ms = now_ms
    }
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
