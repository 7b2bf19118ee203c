/**
 * Waits for a condition, for a bounded time. The suites use it because a real broker takes a moment for most
 * operations.
 */
import { Data, Effect, Schedule } from "effect"

/** The condition of a test did not become true in time. */
export class NeverHappened extends Data.TaggedError("NeverHappened")<{
  readonly what: string
  readonly within_ms: number
}> {
  override get message(): string {
    return `waited ${this.within_ms} ms for: ${this.what}`
  }
}

/** Long enough for a busy machine. It only ends waits for something that never happens. */
const wait_ms = 30_000

/** Fails with what was waited for if `effect` takes longer. */
export const within =
  (what: string, within_ms = wait_ms) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | NeverHappened, R> =>
    Effect.timeoutOrElse(effect, {
      duration: within_ms,
      orElse: () => Effect.fail(new NeverHappened({ what, within_ms })),
    })

/** Checks immediately and then every few ms, until `condition` succeeds with true. Fails after `within_ms`. */
export const eventually = <E, R>(
  what: string,
  condition: Effect.Effect<boolean, E, R>,
  within_ms = wait_ms,
): Effect.Effect<void, E | NeverHappened, R> =>
  condition.pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("2 millis") }),
    within(what, within_ms),
    Effect.asVoid,
  )
