/**
 * Waiting, at start, for a service that may come up later than we do: it is tried until it answers, with exponential
 * back-off and a line for each attempt. There is no last attempt: whoever starts us decides how long is too long.
 */
import { Effect, Schedule } from "effect"
import { startLimits } from "./Limits.ts"

/** `what` is told in the line of progress: "Redis at 127.0.0.1:6379". An error that `isPassing` refuses fails at once. */
export const untilReachable = <A, E extends { readonly message: string }, R>(
  what: string,
  attempt: Effect.Effect<A, E, R>,
  isPassing: (error: E) => boolean,
): Effect.Effect<A, E, R> =>
  attempt.pipe(
    Effect.tapError((error) =>
      isPassing(error) ? Effect.logWarning(`waiting for ${what}: ${error.message}`) : Effect.void,
    ),
    Effect.retry({ while: isPassing, schedule: backoff }),
  )

const backoff = Schedule.min([
  Schedule.exponential(startLimits.attempt_min_ms),
  Schedule.spaced(startLimits.attempt_max_ms),
])
