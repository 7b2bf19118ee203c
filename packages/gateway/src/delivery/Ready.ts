/** Ready: the log, the registry and the mailboxes answer, and the registry knows this pod's lease. */
import { EventLog, Mailbox, notReady, Registry, Topics } from "@nimbus/domain"
import { Effect } from "effect"
import { Delivery } from "./Delivery.ts"

/** What is missing to be ready; nothing: ready. */
export const missing = Effect.gen(function* () {
  const log = yield* EventLog
  const { events } = yield* Topics
  const { pod } = yield* Delivery
  return yield* notReady({
    log: Effect.as(log.end(events, 0), true),
    mailbox: Effect.as((yield* Mailbox).offset(0), true),
    lease: Effect.map((yield* Registry).livePods, (pods) => pods.includes(pod)),
  })
})
