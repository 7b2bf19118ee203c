/** The back-off before a retry. Each wait is shortened by up to a fifth at random, so that retries do not coincide. */
import { backoff_ms } from "@nimbus/domain/pacing"
import { Duration, Effect, Random, Schedule } from "effect"
import type { KafkaLimits } from "../Limits.ts"

/** The schedule for one effect that is retried. */
export const retries = ({ retry_max_ms, retry_min_ms }: KafkaLimits) =>
  Schedule.modifyDelay(
    Schedule.min([Schedule.exponential(retry_min_ms), Schedule.spaced(retry_max_ms)]),
    ({ duration }) => shortened(Duration.toMillis(duration)),
  )

/** For what counts its failures: a request is of many partitions, which fail and go on each on its own. */
export const backoff = (failures: number, { retry_max_ms, retry_min_ms }: KafkaLimits): Effect.Effect<void> =>
  Effect.flatMap(shortened(backoff_ms(failures, retry_min_ms, retry_max_ms)), Effect.sleep)

const shortened = (wait_ms: number): Effect.Effect<number> =>
  Effect.map(Random.next, (random) => wait_ms * (1 - random / 5))
