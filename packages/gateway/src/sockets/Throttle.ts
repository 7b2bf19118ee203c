/**
 * How fast a connection may send: it is never refused, but its socket is not read until there are tokens again, and TCP
 * carries the pressure back to the sender.
 */
import { TokenBucket } from "@nimbus/domain/pacing"
import type { Timers } from "./Timers.ts"

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
  private readonly timers: Timers["Service"]
  private isPausing = false

  constructor(per_second: number, reading: Reading, now: () => number, timers: Timers["Service"]) {
    this.bucket = new TokenBucket(per_second, now())
    this.reading = reading
    this.now = now
    this.timers = timers
  }

  /** Something came. What was read already still does; it is on credit, and waited for as well. */
  take(now_ms: number): void {
    const wait_ms = this.bucket.spend(now_ms)
    if (wait_ms > 0 && !this.isPausing) this.slowDown(wait_ms)
  }

  private slowDown(wait_ms: number): void {
    this.isPausing = true
    this.reading.pause()
    const goOn = (): void => {
      const owed_ms = this.bucket.owed_ms(this.now())
      if (owed_ms > 0) return void this.timers.after(owed_ms, goOn)
      this.isPausing = false
      this.reading.resume()
    }
    this.timers.after(wait_ms, goOn)
  }
}
