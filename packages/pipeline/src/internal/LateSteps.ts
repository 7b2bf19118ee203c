/**
 * Journey steps that no record header can carry any more, in batches to the journey topic.
 *
 * A journey is told as well as it can be and never holds anything up: what does not fit the queue or can't be written
 * is dropped and counted.
 */
import { Effect, Metric, Queue, type Scope } from "effect"
import { registerSize } from "@nimbus/domain/observability"
import { chunksOf, type ClientId, Journey, type LogRecord, type Seq } from "@nimbus/domain/protocol"
import type { EventLog } from "@nimbus/domain/services"
import type { ResultConsumerLimits } from "../Limits.ts"
import * as Metrics from "../Metrics.ts"
import { reportFailure } from "./Backoff.ts"

const collect_ms = 200

export interface LateSteps {
  offer(clientId: ClientId, seq: Seq, step: Journey.JourneyStep): void
}

export const make = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  topic: string,
  partition: number,
  limits: Pick<ResultConsumerLimits, "late_steps" | "chunk" | "commit_timeout_ms">,
): Effect.fn.Return<LateSteps, never, Scope.Scope> {
  const queue = yield* Queue.dropping<LogRecord>(limits.late_steps)
  yield* registerSize("late steps", {
    get size() {
      return { steps: Queue.sizeUnsafe(queue) }
    },
  })
  let dropped = 0
  const publish = (records: ReadonlyArray<LogRecord>) =>
    log.publish(topic, partition, records).pipe(
      Effect.andThen(Metrics.countOut("journey", records.length)),
      Effect.catch((error) => Effect.andThen(reportFailure("publish journey", error), lost(records.length))),
    )
  const write = Effect.gen(function* () {
    const records = yield* Queue.clear(queue)
    yield* Effect.forEach(chunksOf(records, limits.chunk), publish, { discard: true })
    yield* lost(dropped)
    dropped = 0
  })
  // What else comes soon goes along: a write for each chunk that has a sampled record costs more than its steps.
  const soon = Effect.andThen(Queue.peek(queue), Effect.sleep(collect_ms))
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(write), limits.commit_timeout_ms))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(soon, write)))
  return {
    offer: (clientId, seq, step) => {
      const value = Journey.encodeLateSteps({ clientId, seq, steps: [step] })
      if (!Queue.offerUnsafe(queue, { key: clientId, value })) dropped++
    },
  }
})

const lost = (n: number): Effect.Effect<void> => (n === 0 ? Effect.void : Metric.update(Metrics.lateStepsDropped, n))
