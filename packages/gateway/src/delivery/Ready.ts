/**
 * Ready: the log, the registry and the mailboxes answer, the registry knows this pod's lease, nobody drains this gateway, and
 * there is no fault that an operator has to put right first.
 */
import { Alarms, EventLog, Mailbox, notReady, Registry, Topics } from "@nimbus/domain/services"
import { Effect } from "effect"
import { Delivery } from "./Delivery.ts"

/** What is missing to be ready; nothing: ready. */
export const missing = Effect.gen(function* () {
  const log = yield* EventLog
  const { events } = yield* Topics
  const { draining, pod } = yield* Delivery
  const parts = yield* notReady({
    draining: Effect.sync(() => !draining.isDraining),
    log: Effect.as(log.end(events, 0), true),
    mailbox: Effect.as((yield* Mailbox).offset(0), true),
    lease: Effect.map((yield* Registry).livePods, (pods) => pods.includes(pod)),
  })
  return [...parts, ...(yield* (yield* Alarms).blocking)]
})
