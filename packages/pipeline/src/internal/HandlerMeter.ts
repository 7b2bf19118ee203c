/**
 * What is measured of the handlers of a partition: how long an event waited, how long its handler took, and how many run
 * now. By the name of a declared handler, or `unknown`, so that nobody's events make new series.
 *
 * An event whose handler is done at once costs one look at the clock: its handler began when the one before it had ended, or
 * when the chunk was read.
 */
import { Effect } from "effect"
import * as Metrics from "../Metrics.ts"
import type { EventItem } from "./EventItems.ts"

export interface HandlerMeter {
  /** Time has passed: handlers begin now. */
  look(): void
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
  const found = (handler: string): Metrics.OfHandler => {
    const known = series.get(handler) ?? Metrics.ofHandler(handler, context)
    series.set(handler, known)
    return known
  }
  /** Mostly it is that of the event before. */
  let last: { readonly handler: string; readonly of: Metrics.OfHandler } | undefined = undefined
  const of = ({ handler }: EventItem): Metrics.OfHandler => {
    if (last?.handler !== handler) last = { handler, of: found(handler) }
    return last.of
  }
  const seconds = (from_ms: number, to_ms: number): number => Math.max(0, to_ms - from_ms) / 1_000
  let at_ms = now_ms()
  const meter: HandlerMeter = {
    look: () => {
      at_ms = now_ms()
    },
    began: (item) => {
      item.started_ms = at_ms
      of(item).wait(seconds(item.timestamp, at_ms))
    },
    waits: (item) => of(item).running.modifyUnsafe(1, context),
    ended: (item, hasWaited) => {
      const { duration, running } = of(item)
      at_ms = now_ms()
      duration(seconds(item.started_ms, at_ms))
      if (hasWaited) running.modifyUnsafe(-1, context)
    },
    abandoned: (items) => {
      for (const item of items) of(item).running.modifyUnsafe(-1, context)
    },
  }
  return meter
})
