/**
 * Work that is collected by plain callbacks and carried out by one fiber: `wake` it, and soon `flush` runs once for
 * all that was collected meanwhile. One flush at a time; what is left when the scope closes is flushed then.
 */
import { Effect, Latch, type Scope } from "effect"

export interface Flusher {
  wake(): void
}

/** `delay_ms` > 0: collects for that long after the first wake. */
export const makeFlusher = (flush: Effect.Effect<void>, delay_ms = 0): Effect.Effect<Flusher, never, Scope.Scope> =>
  Effect.gen(function* () {
    const latch = Latch.makeUnsafe(false)
    yield* Effect.addFinalizer(() => flush)
    const turn = Effect.flatMap(latch.await, () => {
      const now = Effect.suspend(() => {
        latch.closeUnsafe()
        return Effect.uninterruptible(flush)
      })
      // An open latch runs its waiter at once; what else this turn of the event loop brings is to come along.
      return Effect.andThen(delay_ms > 0 ? Effect.sleep(delay_ms) : Effect.yieldNow, now)
    })
    yield* Effect.forkScoped(Effect.forever(turn))
    return { wake: () => void latch.openUnsafe() }
  })
