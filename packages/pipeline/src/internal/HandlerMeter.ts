/**
 * What is measured of the handlers of a partition: how long an event waited, how long its handler took, and how many run
 * now. By the name of a declared handler, or `unknown`, so that nobody's events make new series. An event costs two looks
 * at the clock, and no fiber.
 */
import { Effect } from "effect"
import * as Metrics from "../Metrics.ts"
import type { EventItem } from "./EventItems.ts"

export interface HandlerMeter {
  /** Its handler begins. */
  began(item: EventItem): void
  /** It has to be waited for. */
  waits(item: EventItem): void
  /** It has ended, `hasWaited` or at once. */
  ended(item: EventItem, hasWaited: boolean): void
  /** So many are given up while they run. */
  abandoned(items: Iterable<EventItem>): void
}

/** `now_ms`: since 1970, as the log's timestamps. */
export const make = Effect.fnUntraced(function* (now_ms: () => number) {
  const context = yield* Effect.context()
  const series = new Map<string, Metrics.OfHandler>()
  const of = ({ handler }: EventItem): Metrics.OfHandler => {
    const known = series.get(handler)
    if (known !== undefined) return known
    const made = Metrics.ofHandler(handler)
    series.set(handler, made)
    return made
  }
  const seconds = (from_ms: number, to_ms: number): number => Math.max(0, to_ms - from_ms) / 1_000
  const meter: HandlerMeter = {
    began: (item) => {
      item.started_ms = now_ms()
      of(item).wait.updateUnsafe(seconds(item.timestamp, item.started_ms), context)
    },
    waits: (item) => of(item).running.modifyUnsafe(1, context),
    ended: (item, hasWaited) => {
      const { duration, running } = of(item)
      duration.updateUnsafe(seconds(item.started_ms, now_ms()), context)
      if (hasWaited) running.modifyUnsafe(-1, context)
    },
    abandoned: (items) => {
      for (const item of items) of(item).running.modifyUnsafe(-1, context)
    },
  }
  return meter
})
