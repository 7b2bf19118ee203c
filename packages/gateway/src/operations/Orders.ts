/** What a gateway is told to do, over its pod's channel, which may lose it: asking again is safe. */
import type { ChannelUnavailable, RegistryUnavailable } from "@nimbus/domain/errors"
import { type ClientId, type PodId, type PodMessage, Status } from "@nimbus/domain/protocol"
import { PodChannel, Registry } from "@nimbus/domain/services"
import { AdminUnavailable, type Drained, type Kicked, NotFound } from "@nimbus/domain/admin"
import { Effect } from "effect"

export const makeOrders = Effect.gen(function* () {
  const registry = yield* Registry
  const channel = yield* PodChannel

  const send = (pod: PodId, message: PodMessage) => channel.publish(pod, [message])

  const kick = Effect.fn("Orders.kick")(function* (clientId: ClientId) {
    const [stored] = yield* registry.statuses([clientId])
    if (stored === undefined) return yield* new NotFound({ message: `the registry knows no client ${clientId}` })
    const { pod } = stored
    const isHere = Status.seenWith(stored, new Set(yield* registry.livePods)) !== "OFFLINE"
    const received = isHere && (yield* send(pod, { _tag: "Kick", clientId }))
    return { clientId, pod, received } satisfies Kicked
  }, Effect.mapError(unavailable))

  const drain = Effect.fn("Orders.drain")(function* (pod: PodId) {
    const livePods = yield* registry.livePods
    if (!livePods.includes(pod)) return yield* new NotFound({ message: `there is no live pod ${pod}` })
    return { pod, received: yield* send(pod, { _tag: "Drain" }) } satisfies Drained
  }, Effect.mapError(unavailable))

  return { kick, drain }
})

const unavailable = (error: NotFound | RegistryUnavailable | ChannelUnavailable) =>
  error._tag === "NotFound" ? error : new AdminUnavailable({ message: `the gateway can't be notified: ${error.code}` })
