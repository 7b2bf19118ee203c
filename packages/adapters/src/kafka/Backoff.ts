/** Waits before something that failed is tried again. */
import { backoff_ms } from "@nimbus/domain/pacing"
import { Effect, Random } from "effect"
import type { KafkaLimits } from "../Limits.ts"

/** Up to a fifth less than the whole wait, so that not all come at once. */
export const backoff = (failures: number, limits: KafkaLimits): Effect.Effect<void> =>
  Effect.flatMap(Random.next, (random) =>
    Effect.sleep(backoff_ms(failures, limits.retry_min_ms, limits.retry_max_ms) * (1 - random / 5)),
  )
