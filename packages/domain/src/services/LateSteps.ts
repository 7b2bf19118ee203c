/**
 * The journey steps that no record header can carry any more (pushed, sent, acknowledged), on their way to the journey
 * topic: one bounded queue, written in batches.
 *
 * A journey never delays delivery. A step that does not fit the queue, or that the log does not take, is dropped and
 * counted, and the journey shows it as missing. A batch that was interrupted is written again when the scope closes, so a
 * step may stand in the topic twice.
 */
import { Array as Arr, Effect, Latch, type Scope } from "effect"
import type { PublishError } from "../Errors.ts"
import { type ChunkLimits, chunkLimits, lateStepsLimits } from "../Limits.ts"
import type { LateQueue } from "../observability/JourneyRecorder.ts"
import { registerSize } from "../observability/MemoryGauges.ts"
import { chunksOf } from "../protocol/ChunksOf.ts"
import * as Journey from "../protocol/Journey.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import type { LogRecord } from "../protocol/Records.ts"
import { EventLog } from "./EventLog.ts"
import { Topics } from "./Topics.ts"

/** Who writes late steps: the bounds of its queue, and what is to be known of them. */
export interface LateStepsOptions {
  /** Records that wait or are being written. Beyond: dropped. */
  readonly late_steps: number
  /** Of one publish. */
  readonly chunk?: ChunkLimits
  /** So many records were dropped. */
  readonly dropped: (records: number) => Effect.Effect<void>
  /** So many were written. */
  readonly written?: (records: number) => Effect.Effect<void>
  /** The log did not take a chunk. */
  readonly failed?: (error: PublishError) => Effect.Effect<void>
}

/** Writes until the scope closes, and then what is left. */
export const make = Effect.fnUntraced(function* ({
  chunk: limits = chunkLimits,
  dropped: onDropped,
  failed = () => Effect.void,
  late_steps,
  written = () => Effect.void,
}: LateStepsOptions): Effect.fn.Return<LateQueue, never, EventLog | Topics | Scope.Scope> {
  const log = yield* EventLog
  const topic = (yield* Topics).journey
  const some = Latch.makeUnsafe()
  let waiting: Array<LogRecord> = []
  let writing: ReadonlyArray<LogRecord> = []
  let dropped = 0

  const publish = ([partition, records]: readonly [number, ReadonlyArray<LogRecord>]) =>
    log.publish(topic, partition, records).pipe(
      Effect.andThen(written(records.length)),
      Effect.catch((error) => {
        dropped += records.length
        return failed(error)
      }),
    )
  const write = Effect.suspend(() => {
    some.closeUnsafe()
    writing = [...writing, ...waiting]
    waiting = []
    // Node 20, which the domain runs on, has no `Map.groupBy`.
    const byPartition = Arr.groupBy(writing, ({ key }) => `${partitionOf(key, log.partitions)}`)
    const chunks = Object.entries(byPartition).flatMap(([partition, records]) =>
      chunksOf(records, limits).map((chunk) => [Number(partition), chunk] as const),
    )
    return Effect.forEach(chunks, publish, { discard: true })
  }).pipe(
    Effect.andThen(() => {
      const n = dropped
      dropped = 0
      writing = []
      return n === 0 ? Effect.void : onDropped(n)
    }),
  )
  // A write for each step would cost more than the steps do: what else comes soon goes along.
  const turn = some.await.pipe(Effect.andThen(Effect.sleep(lateStepsLimits.collect_ms)), Effect.andThen(write))
  yield* registerSize("late steps", {
    get size() {
      return { steps: waiting.length + writing.length }
    },
  })
  yield* Effect.addFinalizer(() => Effect.timeoutOption(Effect.interruptible(write), lateStepsLimits.close_timeout_ms))
  yield* Effect.forkScoped(Effect.forever(turn))
  return {
    offer: (clientId, seq, steps) => {
      if (waiting.length + writing.length >= late_steps) dropped++
      else waiting.push({ key: clientId, value: Journey.encodeLateSteps({ clientId, seq, steps }) })
      some.openUnsafe()
    },
  }
})
