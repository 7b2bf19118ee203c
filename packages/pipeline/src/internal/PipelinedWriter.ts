/**
 * Runs one effect at a time in the background. The caller continues immediately, and waits only if the previous effect has
 * not ended. The next chunk is therefore prepared while one chunk is in flight, and never more than one.
 *
 * A running effect ends with the scope in which the writer was made, because a worker that failed and restarts must not run
 * next to a publish of its predecessor.
 */
import { Effect, Fiber, type Scope } from "effect"

export interface PipelinedWriter {
  /** Waits for the previous effect, then starts this one without waiting for it. */
  run<R>(effect: Effect.Effect<void, never, R>): Effect.Effect<void, never, R>
  /** Completes when no effect is running. */
  readonly settled: Effect.Effect<void>
}

export const make: Effect.Effect<PipelinedWriter, never, Scope.Scope> = Effect.map(
  Effect.scope,
  (scope): PipelinedWriter => {
    let under_way: Fiber.Fiber<void> | undefined = undefined
    const settled = Effect.suspend(() => (under_way === undefined ? Effect.void : Fiber.join(under_way)))
    return {
      settled,
      run: (effect) =>
        settled.pipe(
          Effect.andThen(Effect.forkIn(effect, scope, { startImmediately: true })),
          Effect.map((fiber) => {
            under_way = fiber
          }),
        ),
    }
  },
)
