/**
 * One effect at a time behind the caller's back: the caller goes on at once, and waits only if the effect before has
 * not ended. So the next chunk is prepared while this one is under way, and never more than one.
 *
 * What is under way ends with the scope it was made in: a worker that failed and starts over must not find its
 * predecessor's publish beside its own.
 */
import { Effect, Fiber, type Scope } from "effect"

export interface PipelinedWriter {
  /** Waits for the effect before, then starts this one and does not wait for it. */
  run<R>(effect: Effect.Effect<void, never, R>): Effect.Effect<void, never, R>
  /** Done when nothing is under way. */
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
