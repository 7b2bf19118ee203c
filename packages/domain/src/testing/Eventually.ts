/** To wait for a condition, bounded in time: how the suites speak of what takes a moment in a real broker. */
import { Data, Effect, Schedule } from "effect"

/** The condition did not come true in time. */
export class NeverHappened extends Data.TaggedError("NeverHappened")<{ readonly what: string }> {}

/**
 * Looks at once and then every few ms, until `condition` answers true; fails after `within_ms`. The time only ends what
 * would never come: it is long enough for a machine that is busy with other things.
 */
export const eventually = <E, R>(
  what: string,
  condition: Effect.Effect<boolean, E, R>,
  within_ms = 30_000,
): Effect.Effect<void, E | NeverHappened, R> =>
  condition.pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("2 millis") }),
    Effect.timeoutOrElse({ duration: within_ms, orElse: () => Effect.fail(new NeverHappened({ what })) }),
    Effect.asVoid,
  )
