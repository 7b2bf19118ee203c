/** `Operations` on the services of this process: of a gateway, or of a command that serves nobody. */
import { EventLog } from "@nimbus/domain/services"
import { Operations, type StatusView, type TopicView } from "@nimbus/domain/admin"
import { Effect, Layer, Option } from "effect"
import { Delivery } from "../delivery/Delivery.ts"
import { type AdminLimits, adminLimits } from "../Limits.ts"
import { makeAuditViews } from "./AuditViews.ts"
import { makeCensus } from "./Census.ts"
import { makeClientViews } from "./ClientViews.ts"
import { makeForgetting } from "./Forgetting.ts"
import { makeJourneys } from "./Journeys.ts"
import { makeLogReader } from "./LogReader.ts"
import { makeOrders } from "./Orders.ts"
import { makePodViews } from "./PodViews.ts"
import { makeQuarantineViews } from "./QuarantineViews.ts"
import { makeRepublishing } from "./Republishing.ts"
import { makeRevoking } from "./Revoking.ts"
import { makeTaskViews } from "./TaskViews.ts"
import { makeTopicViews } from "./TopicViews.ts"

/** Operations within these bounds; the others are those of `adminLimits`. */
export const layerWith = (limits: Partial<AdminLimits>) =>
  Layer.effect(
    Operations,
    Effect.suspend(() => make({ ...adminLimits, ...limits })),
  )

/** Operations within the bounds of `adminLimits`. */
export const layer = layerWith({})

/** What the log alone tells. */
const logStatus = Effect.gen(function* () {
  const { incarnation, partitions } = yield* EventLog
  const topics = yield* makeTopicViews
  return Effect.map(topics, (views) => ({ incarnation, partitions, ...backlogOf(views) }))
})

/** What the registry alone tells. */
const clientStatus = Effect.fnUntraced(function* (limits: AdminLimits) {
  const census = yield* makeCensus(limits)
  const podViews = yield* makePodViews
  return Effect.gen(function* () {
    const { clients, clientsMore, pods } = yield* census({}, 0)
    return { clients, clientsMore, pods: (yield* podViews(pods)).gateways }
  })
})

/** The two for themselves, once, where only one of the two services may be there. */
export const parts = { log: Effect.flatten(logStatus), clients: Effect.flatten(clientStatus(adminLimits)) }

const make = Effect.fnUntraced(function* (limits: AdminLimits) {
  const delivery = yield* Effect.serviceOption(Delivery)
  const census = yield* makeCensus(limits)
  const topics = yield* makeTopicViews
  const podViews = yield* makePodViews
  const reader = yield* makeLogReader(limits)
  const views = yield* makeClientViews(reader, limits)
  const quarantine = yield* makeQuarantineViews(reader, limits)
  const republishing = yield* makeRepublishing(reader, limits)
  const orders = yield* makeOrders
  const journey = yield* makeJourneys(reader, limits)
  const tasks = yield* makeTaskViews(reader, limits)
  const forget = yield* makeForgetting(limits)
  const revoking = yield* makeRevoking(limits)
  const audit = yield* makeAuditViews(reader, limits)

  const both = Effect.all([yield* clientStatus(limits), yield* logStatus], { concurrency: 2 })
  const status = Effect.map(both, ([clients, log]) => ({
    ...(Option.isSome(delivery) ? { pod: delivery.value.pod } : {}),
    ...clients,
    ...log,
  }))

  return Operations.of({
    status: () => status,
    clients: ({ query: { limit = limits.rows, ...asked } }) =>
      Effect.map(census(asked, limit), ({ rows, rowsMore }) => ({ clients: rows, more: rowsMore })),
    pods: () =>
      Effect.flatMap(census({}, 0), ({ pods }) =>
        Effect.map(podViews(pods), ({ gateways, others }) => [...gateways, ...others]),
      ),
    topics: () => topics,
    client: ({ params }) => views.client(params.clientId),
    mailbox: ({ params, query: { limit = limits.mailbox_records } }) => views.mailbox(params.clientId, limit),
    journey: ({ params }) => journey(params.clientId, params.seq),
    replay: ({ params, payload }) => republishing.replay(params.clientId, payload.from, payload.upTo),
    kick: ({ params }) => orders.kick(params.clientId),
    forget: ({ payload }) => forget(payload.clientIds),
    tasks: ({ query: { limit = limits.rows, ...asked } }) => tasks.list(asked, limit),
    cancel: ({ params, payload }) => tasks.cancel(params.clientId, payload.id),
    drain: ({ params }) => orders.drain(params.pod),
    quarantine: ({ query: { limit = limits.rows } }) => quarantine.list(limit),
    quarantined: ({ params }) => quarantine.show(params),
    retry: ({ params }) => republishing.retry(params),
    revocations: ({ query }) => revoking.list(query),
    revoke: ({ payload }) => revoking.revoke(payload),
    block: ({ payload }) => revoking.block(payload),
    unblock: ({ payload }) => revoking.unblock(payload),
    audit: ({ query }) => audit(query),
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
