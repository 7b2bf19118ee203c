/**
 * The steps `logged` and `handled` on sampled records, and the hop `handle` of their traces; on any other it is one
 * comparison. Nobody else sees both the record's place and time in the log and the record itself: who publishes a chunk
 * is told but the offset of its first.
 */
import { Clock, Effect } from "effect"
import { Trace } from "@nimbus/domain/observability"
import { type Event, type Headers, Journey, type Result, type StoredRecord } from "@nimbus/domain/protocol"
import { EventLog } from "@nimbus/domain/services"
import { Instance } from "../Instance.ts"

export interface HandledJourney {
  /** The record is there, and has its turn from now on. `undefined`: it is not sampled. */
  begin(record: StoredRecord): HandledRecord | undefined
}

export interface HandledRecord extends Pick<Trace.Hops, "end"> {
  /** The headers of what leaves for it. No `event`: it is a barrier. */
  handled(event?: Event, result?: Result): Headers
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
  const handled = (event: Event | undefined, result: Result | undefined): Journey.JourneyStep => ({
    time: clock.currentTimeMillisUnsafe(),
    service,
    instance,
    step: "handled",
    details: {
      rule: event?.type === "event" ? Journey.rules.handled : Journey.rules.passed,
      ...(event !== undefined && { name: event.name }),
      ...(result?.error !== undefined && { error: result.error.code }),
    },
  })
  const journey: HandledJourney = {
    begin: (record) => {
      const { headers: from, key: clientId } = record
      if (!Journey.isSampled(from)) return undefined
      const hops = trace.chunk()
      const place = logged(record)
      return {
        end: hops.end,
        handled: (event, result) => {
          const [before, step] = [place, handled(event, result)]
          const details = { ...before.details, ...step.details }
          return { ...Journey.append(from, before, step), ...hops.begin("handle", { clientId, from, details }) }
        },
      }
    },
  }
  return journey
})
