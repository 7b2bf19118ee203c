/**
 * Writing to the log so that it is there for sure: in requests of bounded size, each again until acknowledged.
 *
 * ```
 *   publish ─▶ fails, as Kafka is away ─▶ again, by back-off
 *           ─▶ refused: too large ─▶ in halves ─▶ a single record: without the steps of its journey
 *           ─▶ refused, and nothing of that helps ─▶ an alarm, not ready, and again every `refused_every_ms`, for
 *                                                    nothing may be left out and an operator may have put it right
 * ```
 */
import type { LogRefused } from "@nimbus/domain/errors"
import type { ChunkLimits } from "@nimbus/domain/limits"
import { chunksOf, type LogRecord } from "@nimbus/domain/protocol"
import { Alarms, type EventLog, untilItPasses } from "@nimbus/domain/services"
import { Effect, Predicate } from "effect"
import type { ConsumerLimits } from "../Limits.ts"
import { countFailure } from "../Metrics.ts"
import { wait_ms } from "./Backoff.ts"

type Log = EventLog["Service"]

type PublishLimits = Pick<ConsumerLimits, "backoff_min_ms" | "backoff_max_ms" | "refused_every_ms"> & {
  readonly chunk: ChunkLimits
}

/**
 * Publishes in order, one request in flight, and is done when the log has acknowledged all of them. A request that
 * failed may have been appended, so records may repeat.
 */
export const publishUntilAcknowledged = (
  log: Log,
  topic: string,
  partition: number,
  records: ReadonlyArray<LogRecord>,
  limits: PublishLimits,
): Effect.Effect<void> => {
  const operation = `publish ${topic}`
  const publish = (part: ReadonlyArray<LogRecord>): Effect.Effect<unknown> =>
    untilItPasses(
      operation,
      Effect.tapError(log.publish(topic, partition, part), () => countFailure(operation, 1)),
      isPassing,
      (failures) => wait_ms(failures, limits),
    ).pipe(Effect.catch((refusal) => refused(part, refusal)))
  const refused = (part: ReadonlyArray<LogRecord>, refusal: LogRefused): Effect.Effect<unknown> => {
    const [first] = part
    if (refusal.reason === "too-large" && first !== undefined) {
      const half = Math.ceil(part.length / 2)
      if (part.length > 1) return Effect.andThen(publish(part.slice(0, half)), publish(part.slice(half)))
      if (first.headers !== undefined) return publish([{ key: first.key, value: first.value }])
    }
    return Effect.flatMap(Alarms, (alarms) =>
      alarms
        .raise(topic, refusal, { blocks: true, lasts_ms: 3 * limits.refused_every_ms })
        .pipe(
          Effect.andThen(Effect.sleep(limits.refused_every_ms)),
          Effect.andThen(publish(part)),
          Effect.andThen(alarms.clear(topic, refusal.code)),
        ),
    )
  }
  return Effect.forEach(chunksOf(records, limits.chunk, log.facts(topic).publish_bytes), publish, { discard: true })
}

const isPassing = <E extends { readonly _tag: string }>(error: E): error is Exclude<E, LogRefused> =>
  !Predicate.isTagged(error, "LogRefused")
