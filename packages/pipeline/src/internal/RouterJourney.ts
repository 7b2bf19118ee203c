/** The steps of followed records at a router, each with its reason; of any other it is one comparison. */
import { Clock, Effect, type Scope } from "effect"
import {
  EventLog,
  type Headers,
  Journey,
  type PodId,
  type Push,
  type Router,
  type Shelf,
  type StoredRecord,
  Topics,
} from "@nimbus/domain"
import type { ResultConsumerLimits } from "../Limits.ts"
import { Instance } from "../Instance.ts"
import * as LateSteps from "./LateSteps.ts"

export interface RouterJourney {
  /** Pushes on their way to a pod. */
  routed(pod: PodId, pushes: ReadonlyArray<Push>): ReadonlyArray<Push>
  /** The pod's channel has them. */
  pushed(pod: PodId, pushes: ReadonlyArray<Push>): void
  /** Records on their way to the dlq: diverted, or never routed. */
  shelved(shelf: Shelf): Shelf["records"]
}

const isFollowed = ({ headers }: { readonly headers?: Headers | undefined }): boolean => Journey.isFollowed(headers)

export const make = Effect.fnUntraced(function* (
  service: string,
  router: Router,
  partition: number,
  limits: ResultConsumerLimits,
): Effect.fn.Return<RouterJourney, never, EventLog | Topics | Scope.Scope> {
  const { journey, results } = yield* Topics
  const clock = yield* Clock.clockWith(Effect.succeed)
  const instance = yield* Instance
  const late = yield* LateSteps.make(yield* EventLog, journey, partition, limits)

  const step = (name: Journey.StepName, details: Readonly<Record<string, string>>): Journey.JourneyStep => ({
    time: clock.currentTimeMillisUnsafe(),
    service,
    instance,
    step: name,
    details: { ...details, topic: results, partition: String(partition) },
  })
  const shelve = (record: StoredRecord): StoredRecord => {
    const { headers } = record
    if (!Journey.isFollowed(headers)) return record
    const reason = router.reasonOf(record)
    const offset = String(record.offset)
    const next =
      reason === undefined
        ? step("shelved", { rule: Journey.rules.shelved, offset })
        : step("diverted", { rule: Journey.rules.diverted[reason], reason, offset })
    return { ...record, headers: Journey.append(headers, next) }
  }
  return {
    routed: (pod, pushes) => {
      if (!pushes.some(isFollowed)) return pushes
      return pushes.map((push) => {
        const { headers } = push
        if (!Journey.isFollowed(headers)) return push
        const next = step("routed", { rule: Journey.rules.routed, pod, prev: String(push.prev) })
        return { ...push, headers: Journey.append(headers, next) }
      })
    },
    pushed: (pod, pushes) => {
      for (const push of pushes) {
        if (isFollowed(push)) late.offer(push.clientId, push.seq, step("pushed", { rule: Journey.rules.pushed, pod }))
      }
    },
    shelved: ({ records }) => (records.some(isFollowed) ? records.map(shelve) : records),
  }
})
