/**
 * How long something took, or has to wait: by the monotonic clock. The time of day may be set back by an hour, and who
 * waits by it would wait an hour more.
 */
import { Clock, Effect } from "effect"

/** Milliseconds since a moment that is the same as long as the process lives. */
export const msUnsafe = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** The same, of the clock in the environment. */
export const ms: Effect.Effect<number> = Clock.clockWith((clock) => Effect.sync(() => msUnsafe(clock)))
