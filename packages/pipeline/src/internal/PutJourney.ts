/** The step `put` on followed records; on any other it is one comparison. */
import { Clock, Effect } from "effect"
import { type Headers, Journey, type StoredRecord } from "@nimbus/domain"
import { Instance } from "../Instance.ts"

export interface PutJourney {
  put(record: StoredRecord): Headers | undefined
}

export const make = Effect.fnUntraced(function* (service: string, topic: string, partition: number) {
  const clock = yield* Clock.clockWith(Effect.succeed)
  const instance = yield* Instance
  const step = ({ offset }: StoredRecord): Journey.JourneyStep => ({
    time: clock.currentTimeMillisUnsafe(),
    service,
    instance,
    step: "put",
    details: { rule: Journey.rules.put, topic, partition: String(partition), offset: String(offset) },
  })
  const journey: PutJourney = {
    put: (record) =>
      Journey.isFollowed(record.headers) ? Journey.append(record.headers, step(record)) : record.headers,
  }
  return journey
})
