/**
 * How long to wait before something that failed is tried again: twice as long with each failure, up to a bound.
 *
 * A number, for decisions that are pure, for callbacks of libraries, and for what counts its failures over several attempts.
 * An effect that is retried has a `Schedule`: `Schedule.min([Schedule.exponential(min_ms), Schedule.spaced(max_ms)])`.
 */

/** The wait after the `failures`th failure in a row, counted from 0. Without jitter: the caller has the randomness. */
export const backoff_ms = (failures: number, min_ms: number, max_ms: number): number =>
  Math.min(max_ms, min_ms * 2 ** Math.min(failures, 30))
