/**
 * What operators may ask and do, behind the admin API and the `nimbus` command alike. Made of services of
 * `@nimbus/domain` alone, so that it works inside a gateway and in a process that is none.
 *
 * Contract: every answer is bounded by `adminLimits`, and says where there was more. What only reads may be asked at any
 * time. `kick` and `drain` go through pod channels, which may lose them: asking again is safe. `replay` and `retry`
 * publish new events: asking again publishes them again.
 */
import { type ClientId, EventLog, type PodId, type Seq } from "@nimbus/domain"
import {
  type AdminUnavailable,
  type BadRequest,
  type ClientRow,
  type ClientView,
  type Drained,
  type JourneyView,
  type Kicked,
  type MailboxView,
  type NotFound,
  type NotPossible,
  type PodView,
  type QuarantinedRow,
  type QuarantinedView,
  type Republished,
  type StatusView,
  type TopicView,
  type Unauthorized,
} from "@nimbus/domain/admin"
import { Context, Effect, Layer, Option } from "effect"
import { Delivery } from "../delivery/Delivery.ts"
import { type ClientsAsked, makeCensus } from "./Census.ts"
import { type AdminLimits, adminLimits } from "../Limits.ts"
import { makeClientViews } from "./ClientViews.ts"
import { makeJourneys } from "./Journeys.ts"
import { makeLogReader } from "./LogReader.ts"
import { makeOrders } from "./Orders.ts"
import { makeQuarantineViews, type Place } from "./QuarantineViews.ts"
import { makeRepublishing } from "./Republishing.ts"
import { makeTopicViews } from "./TopicViews.ts"

/** A service that is away; and where another process is asked, what that says of the asking itself. */
export type AskError = AdminUnavailable | BadRequest | Unauthorized

export class Operations extends Context.Service<
  Operations,
  {
    readonly status: Effect.Effect<StatusView, AskError>
    /** Clients: those that replay first, then those that are away with mail. */
    clients(
      asked: ClientsAsked & { readonly limit?: number | undefined },
    ): Effect.Effect<{ readonly clients: ReadonlyArray<ClientRow>; readonly more: boolean }, AskError>
    client(clientId: ClientId): Effect.Effect<ClientView, AskError>
    mailbox(clientId: ClientId, limit?: number): Effect.Effect<MailboxView, AskError>
    journey(clientId: ClientId, seq: Seq): Effect.Effect<JourneyView, NotFound | AskError>
    /** Publishes the client's retained events from a seq on anew; `upTo`: not this one and none after it. */
    replay(asked: {
      readonly clientId: ClientId
      readonly from: Seq
      readonly upTo?: Seq | undefined
    }): Effect.Effect<Republished, NotPossible | AskError>
    /** Closes the client's connection, wherever it is. */
    kick(clientId: ClientId): Effect.Effect<Kicked, NotFound | NotPossible | AskError>
    readonly pods: Effect.Effect<ReadonlyArray<PodView>, AskError>
    /** Sends away the clients of a pod, which takes no new ones from then on. */
    drain(pod: PodId): Effect.Effect<Drained, NotFound | NotPossible | AskError>
    readonly topics: Effect.Effect<ReadonlyArray<TopicView>, AskError>
    quarantine(
      limit?: number,
    ): Effect.Effect<{ readonly records: ReadonlyArray<QuarantinedRow>; readonly more: boolean }, AskError>
    quarantined(place: Place): Effect.Effect<QuarantinedView, NotFound | AskError>
    /** Publishes a quarantined record's event anew. */
    retry(place: Place): Effect.Effect<Republished, NotFound | NotPossible | AskError>
  }
>()("@nimbus/gateway/Operations") {
  static readonly layerWith = (limits: Partial<AdminLimits>) =>
    Layer.effect(
      Operations,
      Effect.suspend(() => make({ ...adminLimits, ...limits })),
    )
  static readonly layer = Operations.layerWith({})
}

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
