/**
 * Reads again what the event consumer kept only the offsets of, once its client has room: from the lowest that is missing
 * as far as something is, then not until there is again. Nothing of anybody else waits for it.
 */
import { Effect, Metric, Pull, Stream } from "effect"
import type { EventOrder } from "@nimbus/domain/protocol"
import { type AssignedPartition, type Chunk, EventLog } from "@nimbus/domain/services"
import type { ConsumerLimits } from "../Limits.ts"
import * as Metrics from "../Metrics.ts"
import { untilDone } from "./Backoff.ts"
import type { Changed } from "./Changed.ts"
import type { EventItem, EventItems } from "./EventItems.ts"
import type { Handling } from "./Handling.ts"
import type { Producing } from "./Producing.ts"
import type { Repeats } from "./Repeats.ts"
import type { Tasks } from "./Tasks.ts"

export interface ReadAgainOptions {
  readonly assigned: AssignedPartition
  readonly limits: ConsumerLimits
  readonly order: EventOrder<EventItem>
  readonly items: EventItems
  readonly repeats: Repeats
  readonly tasks: Tasks
  readonly handling: Handling
  readonly producing: Producing
  readonly changed: Changed
  readonly finished: () => void
}

/** Never ends. */
export const readAgain = Effect.fnUntraced(function* (options: ReadAgainOptions) {
  const { changed, limits, order } = options
  const until = changed.waiter()
  for (;;) {
    yield* until(() => order.missing !== undefined)
    yield* untilDone(pass(options), "read events again", limits)
  }
})

const pass = ({ assigned, finished, handling, items, order, producing, repeats, tasks }: ReadAgainOptions) =>
  Effect.gen(function* () {
    const { partition, topic } = assigned
    const from = order.missing
    if (from === undefined) return
    const gone = (earliest: number): number => {
      repeats.gone(earliest)
      tasks.gone(earliest)
      return order.gone(earliest)
    }
    const pull = yield* Stream.toPull((yield* EventLog).tail(topic, partition, from))
    for (let at = from; isAhead(order.missing, at);) {
      for (const chunk of yield* pull) {
        // Only a chunk that begins further on says so: of what lies before it much may wait for room.
        if (chunk.from > at) yield* removed(gone(chunk.from), chunk)
        for (const record of chunk.records) {
          if (!order.isMissing(record.key, record.offset)) continue
          const item = items.again(record)
          // What it was when it was read first.
          if (typeof item === "string") throw new Error(`${record.offset} has changed: ${item}`)
          items.keep(item)
          order.refill(item)
        }
        at = chunk.next
        handling.pump()
        producing.kick()
        finished()
      }
    }
  }).pipe(
    Effect.scoped,
    Pull.catchDone(() => Effect.void),
  )

const isAhead = (missing: number | undefined, at: number): boolean => missing !== undefined && missing >= at

const removed = (count: number, { from, partition }: Chunk): Effect.Effect<void> =>
  count === 0
    ? Effect.void
    : Effect.andThen(
        Metric.update(Metrics.eventHoles, count),
        Effect.logError("the log has lost events before they were handled", { partition, count, earliest: from }),
      )
