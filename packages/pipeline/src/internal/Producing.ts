/**
 * Writes what is ready to the results topic, and what is for task workers to the tasks topic: one batch under way, never
 * two, and while it is what else is ready makes the next. The first leaves in the turn in which it is ready. What is under
 * way ends with the scope: a worker that starts over must not find its predecessor's publish beside its own.
 *
 * A batch is finished when both topics have it. After a crash between the two the next owner writes both again, and what
 * is there twice changes nothing, whichever came first:
 *
 * - An item twice is a repeat by its seq, to routers and mailboxes. It is the same item, for a verdict depends on the log
 *   alone.
 * - A note twice is known by its run, its attempt or its part. One that opens a task behind its end leads to a `begin`, and
 *   that is answered by another `ended`.
 * - An item before its note: the client sees a part or an end of which the worker learns later. It stands in the log, so the
 *   worker can't undo it.
 * - A note before its item: a worker begins, or stops, before the client knows. What the worker writes then stands behind in
 *   the events topic, so its items come later.
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
  const { results, tasks } = yield* Topics
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

  const publish = (topic: string, records: ReadonlyArray<LogRecord>) =>
    publishUntilAcknowledged(log, topic, partition, records, limits)
  const produce = (batch: ReadonlyArray<EventItem>) => {
    const { items, notes } = leavesOf(batch)
    const written =
      notes.length === 0
        ? publish(results, items)
        : Effect.all([publish(results, items), publish(tasks, notes)], { concurrency: 2, discard: true })
    return written.pipe(
      Effect.onExit((exit) => endHops(batch, exit)),
      Effect.andThen(() => {
        order.acknowledged()
        finished()
        const countNotes = Metrics.countOut("tasks", notes.length)
        return Effect.andThen(
          Metrics.countOut("results", items.length),
          Effect.andThen(countNotes, countOutcomes(batch)),
        )
      }),
    )
  }
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

/** For a record of a task nothing may leave, or a note alone. */
const leavesOf = (batch: ReadonlyArray<EventItem>) => {
  const items: Array<LogRecord> = []
  const notes: Array<LogRecord> = []
  for (const { isHandled, leaves, note, offset } of batch) {
    if (leaves !== undefined) items.push(leaves)
    else if (isHandled) throw new Error(`nothing leaves for ${offset}`)
    if (note !== undefined) notes.push(note)
  }
  return { items, notes }
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
