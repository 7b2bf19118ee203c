/** Trying again: first soon, then twice as late each time, up to a bound; never giving up. */
import { backoff_ms } from "@nimbus/domain/pacing"
import { logFailure, untilItWorks } from "@nimbus/domain/services"
import { Effect } from "effect"
import type { ConsumerLimits } from "../Limits.ts"
import { countFailure } from "../Metrics.ts"

type Bounds = Pick<ConsumerLimits, "backoff_min_ms" | "backoff_max_ms">

/** The wait after the `failures`th failure in a row, counted from 0. */
export const wait_ms = (failures: number, limits: Bounds): number =>
  backoff_ms(failures, limits.backoff_min_ms, limits.backoff_max_ms)

/** Runs until it succeeds or is interrupted; each failure is counted as one of `operation`, and told as an outage is. */
export const untilDone = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  operation: string,
  limits: Bounds,
): Effect.Effect<A, never, R> =>
  untilItWorks(
    operation,
    Effect.tapError(effect, () => countFailure(operation, 1)),
    (failures) => wait_ms(failures, limits),
  )

/** Counts a failure that is not followed up here, and tells it: the first of its kind, and later ones at intervals. */
export const reportFailure = (operation: string, error: unknown): Effect.Effect<void> =>
  Effect.andThen(countFailure(operation, 1), logFailure(operation, error))
