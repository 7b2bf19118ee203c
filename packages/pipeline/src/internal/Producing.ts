/**
 * Writes what is ready to the results topic: one batch under way, never two, and while it is what else is ready makes the
 * next. The first leaves in the turn in which it is ready. What is under way ends with the scope: a worker that starts
 * over must not find its predecessor's publish beside its own.
 */
import { Deferred, Effect, Exit, Fiber, Metric, type Scope } from "effect"
import type { EventOrder, LogRecord } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import type { EventConsumerLimits } from "../Limits.ts"
import * as Metrics from "../Metrics.ts"
import type { EventItem } from "./EventItems.ts"
import { publishUntilAcknowledged } from "./Publish.ts"

export interface Producing {
  /** Something is ready. */
  kick(): void
  /** It has a bug. */
  readonly failed: Effect.Effect<never>
}

export interface ProducingOptions {
  readonly order: EventOrder<EventItem>
  readonly partition: number
  readonly limits: EventConsumerLimits
  /** A batch is acknowledged. */
  readonly finished: () => void
}

export const make = Effect.fnUntraced(function* ({
  finished,
  limits,
  order,
  partition,
}: ProducingOptions): Effect.fn.Return<Producing, never, EventLog | Topics | Scope.Scope> {
  const { results } = yield* Topics
  const log = yield* EventLog
  const fork = Effect.runForkWith(yield* Effect.context())
  const failure = yield* Deferred.make<never>()
  const { chunk_bytes, chunk_records } = limits.chunk
  let under_way: Fiber.Fiber<void> | undefined = undefined
  let closing = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closing = true
      return under_way === undefined ? Effect.void : Fiber.interrupt(under_way)
    }),
  )

  const produce = (batch: ReadonlyArray<EventItem>) =>
    publishUntilAcknowledged(log, results, partition, batch.map(leavesOf), limits).pipe(
      Effect.onExit((exit) => endHops(batch, exit)),
      Effect.andThen(() => {
        order.acknowledged()
        finished()
        return Effect.andThen(Metrics.countOut("results", batch.length), countOutcomes(batch))
      }),
    )
  const drain: Effect.Effect<void> = Effect.suspend(() => {
    const batch = order.takeBatch(chunk_records, chunk_bytes)
    return batch === undefined ? Effect.void : Effect.andThen(produce(batch), drain)
  })
  const ended = (exit: Exit.Exit<void>): void => {
    under_way = undefined
    if (Exit.isFailure(exit) && !closing) Deferred.doneUnsafe(failure, Exit.failCause(exit.cause))
  }
  return {
    kick: () => {
      if (under_way !== undefined || closing || !order.hasReady) return
      under_way = fork(drain)
      under_way.addObserver(ended)
    },
    failed: Deferred.await(failure),
  }
})

const leavesOf = ({ leaves, offset }: EventItem): LogRecord => {
  if (leaves === undefined) throw new Error(`nothing leaves for ${offset}`)
  return leaves
}

const endHops = (batch: ReadonlyArray<EventItem>, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
  const sampled = batch.flatMap(({ journey }) => (journey === undefined ? [] : [journey]))
  return sampled.length === 0 ? Effect.void : Effect.forEach(sampled, (journey) => journey.end(exit), { discard: true })
}

const countOutcomes = (batch: ReadonlyArray<EventItem>): Effect.Effect<void> => {
  const failed: Array<EventItem> = []
  let repeats = 0
  for (const item of batch) {
    if (item.failed !== undefined) failed.push(item)
    if (item.repeated !== undefined) repeats++
  }
  const countRepeats = repeats === 0 ? Effect.void : Metric.update(Metrics.repeatedIds, repeats)
  if (failed.length === 0) return countRepeats
  const alike = Map.groupBy(failed, (item) => `${item.failed} ${item.handler}`)
  const countFailures = Effect.forEach(
    alike.values(),
    (all) => Metrics.countHandlerFailure(all[0]?.handler ?? "", all[0]?.failed ?? "", all.length),
    { discard: true },
  )
  return Effect.andThen(countRepeats, countFailures)
}
