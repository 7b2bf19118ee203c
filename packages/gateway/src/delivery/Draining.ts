/**
 * A drain: this gateway takes no new connections from now on and sends away those it has, a slice each tick, so that they
 * do not all arrive elsewhere at once. It stays so until the process ends, which whoever asked for it then does.
 */
import { type Effect, Latch } from "effect"

interface Leaving {
  goAway(): void
}

interface DrainLimits {
  readonly send_away_ms: number
  readonly tick_ms: number
}

export class Draining {
  private readonly limits: DrainLimits
  private readonly latch = Latch.makeUnsafe(false)
  private perTick = 0

  constructor(limits: DrainLimits) {
    this.limits = limits
  }

  get isDraining(): boolean {
    return this.perTick > 0
  }

  /** Done once it has begun. */
  get begun(): Effect.Effect<void> {
    return this.latch.await
  }

  /** All of `sessions` are sent away within `send_away_ms` from now. A second time changes nothing. */
  begin(sessions: number): void {
    if (this.isDraining) return
    const { send_away_ms, tick_ms } = this.limits
    this.perTick = Math.max(1, Math.ceil((sessions * tick_ms) / send_away_ms))
    this.latch.openUnsafe()
  }

  /** The next slice, once it has begun. */
  tick(sessions: Iterable<Leaving>): void {
    let left = this.perTick
    for (const session of sessions) {
      if (left-- <= 0) return
      session.goAway()
    }
  }
}
