/**
 * How fast a connection may send: it is never refused, but its socket is not read until there are tokens again, and TCP
 * carries the pressure back to the sender. Where there are locks it also has no more than its subject's share (`SubjectBook`):
 * then its sender is told why it is slow, and what comes far beyond the share is refused.
 */
import { TokenBucket } from "@nimbus/domain/pacing"
import type { SubjectConnection, TooMuch } from "../subjects/SubjectBook.ts"
import type { Timers } from "./Timers.ts"

/** Whatever is read, as far as pauses go. */
interface Reading {
  pause(): void
  resume(): void
}

/** A subject's share of this connection, and how its sender is told that it is used up: at most once in `told_every_ms`. */
export interface Within {
  readonly share: Pick<SubjectConnection, "frame" | "owed">
  readonly told_every_ms: number
  readonly tell: (slowed: TooMuch) => void
}

/** Keeps the reading of a connection to a pace: pauses it where its sender is too fast. */
export class Throttle {
  private readonly bucket: TokenBucket
  private readonly reading: Reading
  private readonly now: () => number
  private readonly timers: Timers["Service"]
  private isPausing = false
  private shared: Within | undefined = undefined
  private told_ms = Number.NEGATIVE_INFINITY

  constructor(per_second: number, reading: Reading, now: () => number, timers: Timers["Service"]) {
    this.bucket = new TokenBucket(per_second, now())
    this.reading = reading
    this.now = now
    this.timers = timers
  }

  /** From here on what comes is also the subject's. */
  within(shared: Within): void {
    this.shared = shared
  }

  /**
   * Something came. What was read already still does; it is on credit, and waited for as well. Returns why it is not to be
   * taken: the subject's credit is used up.
   */
  take(now_ms: number, bytes = 0): TooMuch | undefined {
    const wait_ms = this.bucket.spend(now_ms)
    if (this.shared !== undefined) return this.takeShared(this.shared, now_ms, bytes, wait_ms)
    if (wait_ms > 0 && !this.isPausing) this.slowDown(wait_ms)
    return undefined
  }

  private takeShared({ share, tell, told_every_ms }: Within, now_ms: number, bytes: number, own_ms: number) {
    const refusal = share.frame(bytes, now_ms)
    const owed = refusal ?? share.owed(now_ms)
    const wait_ms = Math.max(own_ms, owed?.retry_ms ?? 0)
    if (wait_ms > 0 && !this.isPausing) this.slowDown(wait_ms)
    if (owed !== undefined && refusal === undefined && Math.abs(now_ms - this.told_ms) >= told_every_ms) {
      this.told_ms = now_ms
      tell(owed)
    }
    return refusal
  }

  private slowDown(wait_ms: number): void {
    this.isPausing = true
    this.reading.pause()
    const goOn = (): void => {
      const now_ms = this.now()
      const owed_ms = Math.max(this.bucket.owed_ms(now_ms), this.shared?.share.owed(now_ms)?.retry_ms ?? 0)
      if (owed_ms > 0) return void this.timers.after(owed_ms, goOn)
      this.isPausing = false
      this.reading.resume()
    }
    this.timers.after(wait_ms, goOn)
  }
}
