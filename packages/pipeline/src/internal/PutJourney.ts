/** The step `put` on sampled records, and the hop of their traces; on any other it is one comparison. */
import { Clock, Effect } from "effect"
import { Trace } from "@nimbus/domain/observability"
import { type Headers, Journey, type StoredRecord } from "@nimbus/domain/protocol"
import { Instance } from "../Instance.ts"

export interface PutJourney {
  /** A chunk is being put from now on. */
  chunk(): PutChunk
}

export interface PutChunk extends Pick<Trace.Hops, "end"> {
  put(record: StoredRecord): Headers | undefined
}

export const make = Effect.fnUntraced(function* (service: string, topic: string, partition: number) {
  const clock = yield* Clock.clockWith(Effect.succeed)
  const instance = yield* Instance
  const trace = yield* Trace.make

  const journey: PutJourney = {
    chunk: () => {
      const hops = trace.chunk()
      return {
        end: hops.end,
        put: ({ headers: from, key: clientId, offset }) => {
          if (!Journey.isSampled(from)) return from
          const details = { rule: Journey.rules.put, topic, partition: String(partition), offset: String(offset) }
          const time = clock.currentTimeMillisUnsafe()
          const headers = Journey.append(from, { time, service, instance, step: "put", details })
          return { ...headers, ...hops.begin("put", { clientId, from, details }) }
        },
      }
    },
  }
  return journey
})
