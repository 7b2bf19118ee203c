/**
 * Forgets clients that will not come back, as the sample clients of a page that was closed: nobody else ever would, for a
 * client may be away for as long as it likes.
 *
 * ```
 *   OFFLINE? ── no ──▶ asked again, for a while: its socket may just be closing ──▶ it is left as it is
 *      └─ yes ──▶ its entry goes ──▶ what the log has for it by now counts as acknowledged: its mail goes, and what is on
 *                                    its way to its mailbox is dropped there
 * ```
 *
 * A client that does come back begins at the end of the log, as one that has acknowledged everything.
 */
import type { LogError, MailboxUnavailable, RegistryUnavailable } from "@nimbus/domain/errors"
import { type ClientId, Cursor, partitionOf } from "@nimbus/domain/protocol"
import { EventLog, Mailbox, Registry, Topics } from "@nimbus/domain/services"
import { AdminUnavailable, type Forgotten } from "@nimbus/domain/admin"
import { Effect, Ref, Schedule } from "effect"
import type { AdminLimits } from "../Limits.ts"

export const makeForgetting = Effect.fnUntraced(function* (limits: AdminLimits) {
  const log = yield* EventLog
  const { events } = yield* Topics
  const mailbox = yield* Mailbox
  const registry = yield* Registry

  const endOf = (clientId: ClientId) => log.end(events, partitionOf(clientId, log.partitions))

  const forgetOnce = Effect.fnUntraced(function* (connected: Ref.Ref<ReadonlyArray<ClientId>>) {
    const clientIds = yield* Ref.get(connected)
    const gone = yield* registry.forget(clientIds)
    const forgotten = clientIds.filter((_, i) => gone[i])
    const acks = yield* Effect.forEach(
      forgotten,
      (clientId) => Effect.map(endOf(clientId), (end) => ({ clientId, seq: Cursor.make(end - 1) })),
      { concurrency: limits.at_once },
    )
    yield* mailbox.ack(acks.filter(({ seq }) => seq >= 0))
    const left = clientIds.filter((_, i) => !gone[i])
    yield* Ref.set(connected, left)
    return left.length
  })

  return Effect.fn("Forgetting.forget")(function* (asked: ReadonlyArray<ClientId>) {
    const connected = yield* Ref.make(asked)
    const looks = Math.ceil(limits.forget_wait_ms / limits.forget_every_ms)
    yield* Effect.repeat(forgetOnce(connected), {
      schedule: Schedule.max([Schedule.spaced(limits.forget_every_ms), Schedule.recurs(looks)]),
      until: (left) => left === 0,
    })
    const left = yield* Ref.get(connected)
    return { forgotten: asked.filter((clientId) => !left.includes(clientId)), connected: left } satisfies Forgotten
  }, Effect.mapError(unavailable))
})

const unavailable = ({ code }: LogError | MailboxUnavailable | RegistryUnavailable) =>
  new AdminUnavailable({ message: `not all could be forgotten: ${code}` })
