/** `Operations` on the services of this process: of a gateway, or of a command that serves nobody. */
import { EventLog } from "@nimbus/domain"
import type { StatusView, TopicView } from "@nimbus/domain/admin"
import { Effect, Layer, Option } from "effect"
import { Delivery } from "../delivery/Delivery.ts"
import { type AdminLimits, adminLimits } from "../Limits.ts"
import { makeCensus } from "./Census.ts"
import { makeClientViews } from "./ClientViews.ts"
import { makeJourneys } from "./Journeys.ts"
import { makeLogReader } from "./LogReader.ts"
import { Operations } from "./Operations.ts"
import { makeOrders } from "./Orders.ts"
import { makeQuarantineViews } from "./QuarantineViews.ts"
import { makeRepublishing } from "./Republishing.ts"
import { makeTopicViews } from "./TopicViews.ts"

export const layerWith = (limits: Partial<AdminLimits>) =>
  Layer.effect(
    Operations,
    Effect.suspend(() => make({ ...adminLimits, ...limits })),
  )

export const layer = layerWith({})

const make = Effect.fnUntraced(function* (limits: AdminLimits) {
  const log = yield* EventLog
  const delivery = yield* Effect.serviceOption(Delivery)
  const census = yield* makeCensus(limits)
  const topics = yield* makeTopicViews
  const reader = yield* makeLogReader(limits)
  const views = yield* makeClientViews(reader, limits)
  const quarantine = yield* makeQuarantineViews(reader, limits)
  const republishing = yield* makeRepublishing(reader, limits)
  const orders = yield* makeOrders

  const status = Effect.gen(function* () {
    const [{ clients, clientsMore, pods }, views] = yield* Effect.all([census({}, 0), topics], { concurrency: 2 })
    return {
      ...(Option.isSome(delivery) ? { pod: delivery.value.pod } : {}),
      incarnation: log.incarnation,
      partitions: log.partitions,
      clients,
      clientsMore,
      pods,
      ...backlogOf(views),
    }
  })

  return Operations.of({
    status,
    clients: ({ limit = limits.rows, ...asked }) =>
      Effect.map(census(asked, limit), ({ rows, rowsMore }) => ({ clients: rows, more: rowsMore })),
    pods: Effect.map(census({}, 0), ({ pods }) => pods),
    topics,
    client: views.client,
    mailbox: (clientId, limit = limits.mailbox_records) => views.mailbox(clientId, limit),
    journey: yield* makeJourneys(reader, limits),
    replay: ({ clientId, from, upTo }) => republishing.replay(clientId, from, upTo),
    kick: orders.kick,
    drain: orders.drain,
    quarantine: (limit = limits.rows) => quarantine.list(limit),
    quarantined: quarantine.show,
    retry: republishing.retry,
  })
})

/** What the topics say of what is yet to be done. */
export const backlogOf = (topics: ReadonlyArray<TopicView>): Pick<StatusView, "lag" | "quarantined"> => {
  const of = (kind: TopicView["kind"]) => topics.find((topic) => topic.kind === kind)
  const lag = (kind: TopicView["kind"]) => of(kind)?.lag ?? 0
  return {
    lag: { events: lag("events"), results: lag("results"), dlq: lag("dlq") },
    quarantined: of("quarantine")?.retained ?? 0,
  }
}
