/**
 * What operators may ask and do, behind the admin API and the `nimbus` command alike. `ServiceOperations` answers from the
 * services of a process; the command has another implementation, which asks a server.
 *
 * Contract: every answer is bounded by `adminLimits`, and says where there was more. What only reads may be asked at any
 * time. `kick` and `drain` go through pod channels, which may lose them: asking again is safe. `replay` and `retry`
 * publish new events: asking again publishes them again.
 */
import type { ClientId, PodId, Seq } from "@nimbus/domain/protocol"
import type {
  AdminUnavailable,
  BadRequest,
  ClientRow,
  ClientView,
  Drained,
  Forgotten,
  JourneyView,
  Kicked,
  MailboxView,
  NotFound,
  NotPossible,
  PodView,
  QuarantinedRow,
  QuarantinedView,
  ReadsBusy,
  Republished,
  StatusView,
  TopicView,
  Unauthorized,
} from "@nimbus/domain/admin"
import { Context, type Effect } from "effect"
import type { ClientsAsked } from "./Census.ts"
import type { Place } from "./QuarantineViews.ts"

/** A service that is away; and where another process is asked, what that says of the asking itself, and that it is busy. */
export type AskError = AdminUnavailable | BadRequest | ReadsBusy | Unauthorized

export class Operations extends Context.Service<
  Operations,
  {
    readonly status: Effect.Effect<StatusView, AskError>
    /** Clients: those that replay first, then those that are offline with waiting records. */
    clients(
      asked: ClientsAsked & { readonly limit?: number | undefined },
    ): Effect.Effect<{ readonly clients: ReadonlyArray<ClientRow>; readonly more: boolean }, AskError>
    client(clientId: ClientId): Effect.Effect<ClientView, NotFound | AskError>
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
    /**
     * Of clients that will not come back: what waits for them counts as acknowledged, and the registry knows them no more.
     * One that is connected is left as it is, after a while in which it may go.
     */
    forget(clientIds: ReadonlyArray<ClientId>): Effect.Effect<Forgotten, AskError>
    /** Gateways, and the other processes that say that they are there. */
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
>()("@nimbus/gateway/Operations") {}
