/**
 * The steps of sampled records at a router, each with its reason, and the hops of their traces; of any other it is one
 * comparison.
 */
import { Clock, Effect, type Scope } from "effect"
import { Trace } from "@nimbus/domain/observability"
import { type Headers, Journey, type PodId, type Push, type Router, type StoredRecord } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Instance } from "../Instance.ts"
import type { ResultConsumerLimits } from "../Limits.ts"
import * as LateSteps from "./LateSteps.ts"

export interface RouterJourney {
  /** Pushes on their way to a pod. */
  routed(pod: PodId, pushes: ReadonlyArray<Push>): Routed
  /** Records on their way to the backlog: diverted, or never routed. */
  spilled(spill: Router.SpillBatch): SpilledRecords
}

export interface Routed extends Pick<Trace.Hops, "end"> {
  readonly pushes: ReadonlyArray<Push>
  /** The pod's channel has them. */
  pushed(): void
}

export interface SpilledRecords extends Pick<Trace.Hops, "end"> {
  readonly records: Router.SpillBatch["records"]
}

const isSampled = ({ headers }: { readonly headers?: Headers | undefined }): boolean => Journey.isSampled(headers)

export const make = Effect.fnUntraced(function* (
  service: string,
  router: Router.State,
  partition: number,
  limits: ResultConsumerLimits,
): Effect.fn.Return<RouterJourney, never, EventLog | Topics | Scope.Scope> {
  const { journey, results } = yield* Topics
  const clock = yield* Clock.clockWith(Effect.succeed)
  const instance = yield* Instance
  const trace = yield* Trace.make
  const late = yield* LateSteps.make(yield* EventLog, journey, partition, limits)

  const step = (name: Journey.StepName, details: Readonly<Record<string, string>>): Journey.JourneyStep => ({
    time: clock.currentTimeMillisUnsafe(),
    service,
    instance,
    step: name,
    details: { ...details, topic: results, partition: String(partition) },
  })
  const route = (hops: Trace.Hops, pod: PodId, push: Push): Push => {
    const { clientId, headers: from, prev } = push
    if (!Journey.isSampled(from)) return push
    const next = step("routed", { rule: Journey.rules.routed, pod, prev: String(prev) })
    const hop = hops.begin("route", { clientId, from, details: next.details })
    return { ...push, headers: { ...Journey.append(from, next), ...hop } }
  }
  const spillRecord = (hops: Trace.Hops, record: StoredRecord): StoredRecord => {
    const { headers: from, key: clientId } = record
    if (!Journey.isSampled(from)) return record
    const reason = router.reasons.get(record)
    const offset = String(record.offset)
    const next =
      reason === undefined
        ? step("shelved", { rule: Journey.rules.shelved, offset })
        : step("diverted", { rule: Journey.rules.diverted[reason], reason, offset })
    const hop = hops.begin(reason === undefined ? "shelve" : "divert", { clientId, from, details: next.details })
    return { ...record, headers: { ...Journey.append(from, next), ...hop } }
  }
  return {
    routed: (pod, pushes) => {
      if (!pushes.some(isSampled)) return { pushes, pushed: () => {}, end: nothing }
      const hops = trace.chunk()
      return {
        pushes: pushes.map((push) => route(hops, pod, push)),
        pushed: () => {
          for (const push of pushes) {
            if (isSampled(push))
              late.offer(push.clientId, push.seq, step("pushed", { rule: Journey.rules.pushed, pod }))
          }
        },
        end: hops.end,
      }
    },
    spilled: ({ records }) => {
      if (!records.some(isSampled)) return { records, end: nothing }
      const hops = trace.chunk()
      return { records: records.map((record) => spillRecord(hops, record)), end: hops.end }
    },
  }
})

const nothing = () => Effect.void
