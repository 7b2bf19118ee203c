/**
 * The steps `logged` and `handled` on followed records; on any other it is one comparison. Nobody else sees both the
 * record's place and time in the log and the record itself: who publishes a chunk is told but the offset of its first.
 */
import { Clock, Effect } from "effect"
import { EventLog, type Headers, Journey, type PlacedEvent, type Result, type StoredRecord } from "@nimbus/domain"
import { Instance } from "../Instance.ts"

export interface HandledJourney {
  /** The headers of what leaves for this record. No `placed`: it is a barrier. */
  handled(record: StoredRecord, placed?: PlacedEvent, result?: Result): Headers | undefined
}

export const make = Effect.fnUntraced(function* (service: string, topic: string, partition: number) {
  const { incarnation } = yield* EventLog
  const clock = yield* Clock.clockWith(Effect.succeed)
  const instance = yield* Instance

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
    handled: (record, placed, result) =>
      Journey.isFollowed(record.headers)
        ? Journey.append(record.headers, logged(record), handled(placed, result))
        : record.headers,
  }
  return journey
})
