/**
 * The steps `logged` and `handled` on followed records, and the hop `handle` of their traces; on any other it is one
 * comparison. Nobody else sees both the record's place and time in the log and the record itself: who publishes a chunk
 * is told but the offset of its first.
 */
import { Clock, Effect } from "effect"
import {
  EventLog,
  type Headers,
  Journey,
  type PlacedEvent,
  type Result,
  type StoredRecord,
  Trace,
} from "@nimbus/domain"
import { Instance } from "../Instance.ts"

export interface HandledJourney {
  /** A chunk is being handled from now on. */
  chunk(): HandledChunk
}

export interface HandledChunk extends Pick<Trace.Hops, "end"> {
  /** The headers of what leaves for this record. No `placed`: it is a barrier. */
  handled(record: StoredRecord, placed?: PlacedEvent, result?: Result): Headers | undefined
}

export const make = Effect.fnUntraced(function* (service: string, topic: string, partition: number) {
  const { incarnation } = yield* EventLog
  const clock = yield* Clock.clockWith(Effect.succeed)
  const instance = yield* Instance
  const trace = yield* Trace.make

  const logged = ({ offset, timestamp }: StoredRecord): Journey.JourneyStep => ({
    time: timestamp,
    service: "log",
    instance: incarnation,
    step: "logged",
    details: { rule: Journey.rules.logged, topic, partition: String(partition), offset: String(offset) },
  })
  const handled = (placed: PlacedEvent | undefined, result: Result | undefined): Journey.JourneyStep => ({
    time: clock.currentTimeMillisUnsafe(),
    service,
    instance,
    step: "handled",
    details: {
      rule: placed?.event.type === "event" ? Journey.rules.handled : Journey.rules.passed,
      ...(placed !== undefined && { name: placed.event.name }),
      ...(result?.error !== undefined && { error: result.error.code }),
    },
  })
  const journey: HandledJourney = {
    chunk: () => {
      const hops = trace.chunk()
      return {
        end: hops.end,
        handled: (record, placed, result) => {
          const { headers: from, key: clientId } = record
          if (!Journey.isFollowed(from)) return from
          const [before, step] = [logged(record), handled(placed, result)]
          const details = { ...before.details, ...step.details }
          return { ...Journey.append(from, before, step), ...hops.begin("handle", { clientId, from, details }) }
        },
      }
    },
  }
  return journey
})
