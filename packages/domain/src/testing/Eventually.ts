/** To wait for a condition, bounded in time: how the suites speak of what takes a moment in a real broker. */
import { Data, Effect, Schedule } from "effect"

/** What a test waited for did not come in time. */
export class NeverHappened extends Data.TaggedError("NeverHappened")<{
  readonly what: string
  readonly within_ms: number
}> {
  override get message(): string {
    return `waited ${this.within_ms} ms for: ${this.what}`
  }
}

/** Long enough for a machine that is busy with other things: it only ends what would never come. */
const wait_ms = 30_000

/** Fails with what was waited for, where `effect` takes longer. */
export const within =
  (what: string, within_ms = wait_ms) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | NeverHappened, R> =>
    Effect.timeoutOrElse(effect, {
      duration: within_ms,
      orElse: () => Effect.fail(new NeverHappened({ what, within_ms })),
    })

/** Looks at once and then every few ms, until `condition` succeeds with true; fails after `within_ms`. */
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
