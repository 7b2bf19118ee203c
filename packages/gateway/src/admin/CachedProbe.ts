/**
 * Caches the value of an expensive probe. The probe runs at most once in an interval, and so rarely that it takes no more
 * than a given share of the time. Calls in between, and calls while a probe is running, return the last value. If a probe
 * fails, the last value stays and is marked as stale.
 */
import { Elapsed } from "@nimbus/domain/observability"
import { Effect, Exit } from "effect"

export interface Seen<A> {
  readonly value: A
  /** The last look failed. */
  readonly isStale: boolean
}

export interface ProbeLimits {
  readonly interval_ms: number
  /** The share of the time that looking may take: 0.01 is a hundredth. */
  readonly share: number
}

/** `initial`: what is seen until the first look has succeeded. */
export const cachedProbe = <A, E, R>(
  look: Effect.Effect<A, E, R>,
  initial: A,
  { interval_ms, share }: ProbeLimits,
): Effect.Effect<Seen<A>, never, R> => {
  let seen: Seen<A> = { value: initial, isStale: true }
  let next_ms = -Infinity
  return Effect.gen(function* () {
    const began_ms = yield* Elapsed.ms
    if (began_ms < next_ms) return seen
    next_ms = Infinity
    return yield* Effect.onExit(look, (exit) =>
      Effect.map(Elapsed.ms, (now_ms) => {
        seen = Exit.isSuccess(exit) ? { value: exit.value, isStale: false } : { ...seen, isStale: true }
        next_ms = began_ms + Math.max(interval_ms, (now_ms - began_ms) / share)
      }),
    ).pipe(Effect.exit, Effect.andThen(Effect.sync(() => seen)))
  })
}
