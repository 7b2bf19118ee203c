/**
 * Journey steps that no record header can carry any more, in batches to the journey topic.
 *
 * A journey is told as well as it can be and never holds anything up: what does not fit the queue or can't be written
 * is dropped and counted.
 */
import { Effect, Metric, Queue, Schema, type Scope } from "effect"
import { type ClientId, type EventLog, Journey, type LogRecord, type Seq } from "@nimbus/domain"
import * as Metrics from "../Metrics.ts"
import { reportFailure } from "./Backoff.ts"

export interface LateSteps {
  offer(clientId: ClientId, seq: Seq, step: Journey.JourneyStep): void
}

const encode = Schema.encodeSync(Schema.fromJsonString(Journey.LateSteps))
const encoder = new TextEncoder()
const batch_records = 512

export const make = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  topic: string,
  partition: number,
  limits: { readonly late_steps: number },
): Effect.fn.Return<LateSteps, never, Scope.Scope> {
  const queue = yield* Queue.dropping<LogRecord>(limits.late_steps)
  let dropped = 0
  const write = Effect.gen(function* () {
    const records = yield* Queue.takeBetween(queue, 1, batch_records)
    yield* log.publish(topic, partition, records).pipe(
      Effect.andThen(Metrics.countOut("journey", records.length)),
      Effect.catch((error) => Effect.andThen(reportFailure("publish journey", error), lost(records.length))),
    )
    yield* lost(dropped)
    dropped = 0
  })
  yield* Effect.forkScoped(Effect.forever(write))
  return {
    offer: (clientId, seq, step) => {
      const value = encoder.encode(encode({ clientId, seq, steps: [step] }))
      if (!Queue.offerUnsafe(queue, { key: clientId, value })) dropped++
    },
  }
})

const lost = (n: number): Effect.Effect<void> => (n === 0 ? Effect.void : Metric.update(Metrics.lateStepsDropped, n))
