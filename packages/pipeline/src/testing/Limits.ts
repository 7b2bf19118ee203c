/** Bounds for tests: everything soon. */
import type { ConsumerLimits } from "../Limits.ts"

export const quickLimits: ConsumerLimits = {
  backoff_min_ms: 1,
  backoff_max_ms: 5,
  stuck_restarts: 3,
  refused_every_ms: 5,
  commit_every_ms: 1,
  commit_timeout_ms: 500,
  shutdown_timeout_ms: 2_000,
}
