/** How long to wait before something that failed is tried again. */
import type { KafkaLimits } from "../Limits.ts"

/** Doubles with each failure up to the maximum; up to a fifth less, so that not all come at once. */
export const backoff_ms = (failures: number, limits: KafkaLimits): number =>
  Math.min(limits.retry_max_ms, limits.retry_min_ms * 2 ** Math.min(failures, 30)) * (1 - Math.random() / 5)
