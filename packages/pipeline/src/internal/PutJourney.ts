/** The step `put` on sampled records; on any other it is one comparison. */
import { Effect } from "effect"
import { JourneyRecorder } from "@nimbus/domain/observability"
import { type Headers, Journey, type StoredRecord } from "@nimbus/domain/protocol"
import { Instance } from "../Instance.ts"

export interface PutJourney {
  /** A chunk is being put from now on. */
  chunk(): PutChunk
}

export interface PutChunk extends Pick<JourneyRecorder.ChunkRecorder, "end"> {
  put(record: StoredRecord): Headers | undefined
}

export const make = Effect.fnUntraced(function* (service: string, topic: string, partition: number) {
  const recorder = yield* JourneyRecorder.make({ service, instance: yield* Instance })

  const journey: PutJourney = {
    chunk: () => {
      const { end, step } = recorder.chunk()
      return {
        end,
        put: ({ headers: from, key: clientId, offset }) => {
          if (!Journey.isSampled(from)) return from
          const details = { rule: Journey.rules.put, topic, partition: String(partition), offset: String(offset) }
          return step("put", { clientId, from, details })
        },
      }
    },
  }
  return journey
})
