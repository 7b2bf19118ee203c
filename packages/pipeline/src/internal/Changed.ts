/** Something has changed: waiters check their condition again. */
import { Effect, Latch } from "effect"

export class Changed {
  private readonly latches: Array<Latch.Latch> = []

  tell(): void {
    for (const latch of this.latches) latch.openUnsafe()
  }

  /** For one fiber alone: another's look must not be taken for its own. */
  waiter(): (condition: () => boolean) => Effect.Effect<void> {
    const latch = Latch.makeUnsafe()
    this.latches.push(latch)
    const until = (condition: () => boolean): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (condition()) return Effect.void
        latch.closeUnsafe()
        return condition() ? Effect.void : Effect.andThen(latch.await, until(condition))
      })
    return until
  }
}
