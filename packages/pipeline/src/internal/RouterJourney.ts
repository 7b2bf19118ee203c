/** The steps of sampled records at a router, each with its reason; of any other it is one comparison. */
import { Effect } from "effect"
import { JourneyRecorder } from "@nimbus/domain/observability"
import { Journey, type PodId, type Push, type Router, type StoredRecord } from "@nimbus/domain/protocol"
import { Topics } from "@nimbus/domain/services"
import { Instance } from "../Instance.ts"

export interface RouterJourney {
  /** Pushes on their way to a pod, some of them sampled. */
  routed(pod: PodId, pushes: ReadonlyArray<Push>): Routed
  /** Records on their way to the backlog: diverted, or never routed. */
  spilled(spill: Router.SpillBatch): SpilledRecords
}

export interface Routed extends Pick<JourneyRecorder.ChunkRecorder, "end"> {
  readonly pushes: ReadonlyArray<Push>
  /** The pod's channel has them. */
  pushed(): void
}

export interface SpilledRecords extends Pick<JourneyRecorder.ChunkRecorder, "end"> {
  readonly records: Router.SpillBatch["records"]
}

export const make = Effect.fnUntraced(function* (
  service: string,
  router: Router.State,
  partition: number,
  late: JourneyRecorder.LateQueue,
): Effect.fn.Return<RouterJourney, never, Topics> {
  const { results } = yield* Topics
  const recorder = yield* JourneyRecorder.make({ service, instance: yield* Instance })
  const place = { topic: results, partition: String(partition) }

  const route = ({ step }: JourneyRecorder.ChunkRecorder, pod: PodId, push: Push): Push => {
    const { clientId, headers: from, prev } = push
    if (!Journey.isSampled(from)) return push
    const details = { rule: Journey.rules.routed, pod, prev: String(prev), ...place }
    return { ...push, headers: step("routed", { clientId, from, details }) }
  }
  const spill = ({ step }: JourneyRecorder.ChunkRecorder, record: StoredRecord): StoredRecord => {
    const { headers: from, key: clientId } = record
    if (!Journey.isSampled(from)) return record
    const reason = router.reasons.get(record)
    const offset = String(record.offset)
    const headers =
      reason === undefined
        ? step("shelved", { clientId, from, details: { rule: Journey.rules.shelved, offset, ...place } })
        : step("diverted", {
            clientId,
            from,
            details: { rule: Journey.rules.diverted[reason], reason, offset, ...place },
          })
    return { ...record, headers }
  }
  return {
    routed: (pod, pushes) => {
      const chunk = recorder.chunk()
      const details = { rule: Journey.rules.pushed, pod, ...place }
      return {
        pushes: pushes.map((push) => route(chunk, pod, push)),
        pushed: () => {
          for (const push of pushes) {
            if (Journey.isSampled(push.headers))
              recorder.late(late, "pushed", { clientId: push.clientId, seq: push.seq, details })
          }
        },
        end: chunk.end,
      }
    },
    spilled: ({ records }) => {
      if (!Journey.isAnySampled(records)) return { records, end: nothing }
      const chunk = recorder.chunk()
      return { records: records.map((record) => spill(chunk, record)), end: chunk.end }
    },
  }
})

const nothing = () => Effect.void
