/**
 * The admin API as data: what the page, `nimbus` and other tools may ask a gateway. Served by `@nimbus/gateway`; a typed
 * client comes from it by `HttpApiClient.make(AdminApi)`.
 *
 * The pod channel that carries `kick` and `drain` may lose them: asking again is safe.
 */
import { Context, Schema } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
} from "effect/http-api"
import type { AdminRole } from "../access/Capability.ts"
import { StoredAuditEntry } from "../access/AuditBook.ts"
import { revocationLimits } from "../Limits.ts"
import { ClientId, EventId, PodId, Seq } from "../protocol/Ids.ts"
import { StatusName } from "../protocol/Status.ts"
import {
  AdminUnavailable,
  BadRequest,
  LoginUnavailable,
  NotFound,
  NotPossible,
  ReadsBusy,
  RoleMissing,
  TooManyLogins,
  Unauthorized,
} from "./Errors.ts"
import {
  AuditView,
  Cancelled,
  ClientRow,
  ClientView,
  Drained,
  Forgotten,
  JourneyView,
  Kicked,
  MailboxView,
  Snapshot,
  PodView,
  Pulse,
  QuarantinedRow,
  QuarantinedView,
  Republished,
  RevocationsView,
  Revoked,
  RoleView,
  StatusView,
  TasksView,
  TopicView,
} from "./Views.ts"

/** `Authorization: Bearer <token>`, where one is needed: of whom the endpoint's role is asked. */
export class AdminAuthorization extends HttpApiMiddleware.Service<AdminAuthorization>()(
  "@nimbus/domain/AdminAuthorization",
  {
    requiredForClient: true,
    security: { bearer: HttpApiSecurity.bearer },
    error: [Unauthorized, RoleMissing, TooManyLogins, LoginUnavailable],
  },
) {}

/** The role that an endpoint asks for. Each names one; one that forgot to would be the owner's. */
export class RoleNeeded extends Context.Reference<AdminRole>("@nimbus/domain/RoleNeeded", {
  defaultValue: () => "owner",
}) {}

/** Says what is wrong with a request. */
export class AdminRequests extends HttpApiMiddleware.Service<AdminRequests>()("@nimbus/domain/AdminRequests", {
  error: BadRequest,
}) {}

/** Reads in its turn: all that is asked takes a bounded part of a gateway. */
export class AdminReads extends HttpApiMiddleware.Service<AdminReads>()("@nimbus/domain/AdminReads", {
  error: ReadsBusy,
}) {}

const Natural = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Limit = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))

const Text = Schema.String.check(Schema.isMaxLength(128))

/** Which clients: with this status, and with this text in their ids. */
const Which = {
  status: Schema.optional(StatusName),
  search: Schema.optional(Text),
}

const client = { clientId: ClientId }

/** A subject, or the id of a token. */
const Name = Schema.String.check(Schema.isBetweenLength(1, revocationLimits.revocation_chars))
const Seconds = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8_640_000_000_000 }))
/** By default the first issuer of the settings. */
const ofIssuer = { issuer: Schema.optional(Name) }
/** Clients that one request forgets, at most. */
const forgotten_at_once = 100
const error = AdminUnavailable

/**
 * What operators may ask and do, wherever they ask: each by its name, with its input, its output and its errors. The
 * routes, the OpenAPI document, the client and `Operations` come from here.
 */
const operations = [
  HttpApiEndpoint.get("status", "/status", { success: StatusView, error }).annotate(RoleNeeded, "viewer"),
  /** Those that replay first, then those that are offline with waiting records. */
  HttpApiEndpoint.get("clients", "/clients", {
    query: { ...Which, limit: Schema.optional(Limit) },
    success: Schema.Struct({ clients: Schema.Array(ClientRow), more: Schema.Boolean }),
    error,
  }).annotate(RoleNeeded, "viewer"),
  HttpApiEndpoint.get("client", "/clients/:clientId", {
    params: client,
    success: ClientView,
    /** Nothing here knows of the client, or all of it is gone. */
    error: [NotFound, AdminUnavailable],
  }).annotate(RoleNeeded, "viewer"),
  HttpApiEndpoint.get("mailbox", "/clients/:clientId/mailbox", {
    params: client,
    query: { limit: Schema.optional(Limit) },
    success: MailboxView,
    error,
  }).annotate(RoleNeeded, "viewer"),
  HttpApiEndpoint.get("journey", "/clients/:clientId/journey/:seq", {
    params: { ...client, seq: Seq },
    success: JourneyView,
    error: [NotFound, AdminUnavailable],
  }).annotate(RoleNeeded, "viewer"),
  /** Publishes the client's retained events from a seq on anew. */
  HttpApiEndpoint.post("replay", "/clients/:clientId/replay", {
    params: client,
    /** `upTo`: not this one and none after it. Default: up to the end of the log as it is now. */
    payload: Schema.Struct({ from: Seq, upTo: Schema.optional(Seq) }),
    success: Republished,
    error: [NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "operator"),
  /** Closes the client's connection, wherever it is. */
  HttpApiEndpoint.post("kick", "/clients/:clientId/kick", {
    params: client,
    success: Kicked,
    error: [NotFound, NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "operator"),
  /**
   * Of clients that will not come back: what waits for them counts as acknowledged, and the registry knows them no more.
   * One that is connected is left as it is, after a while in which it may go.
   */
  HttpApiEndpoint.post("forget", "/forget", {
    payload: Schema.Struct({
      clientIds: Schema.NonEmptyArray(ClientId).check(Schema.isMaxLength(forgotten_at_once)),
    }),
    success: Forgotten,
    error,
  }).annotate(RoleNeeded, "operator"),
  /** What has not ended, by the log: it is shown for some moments after its end. */
  HttpApiEndpoint.get("tasks", "/tasks", {
    query: {
      clientId: Schema.optional(ClientId),
      name: Schema.optional(Text),
      limit: Schema.optional(Limit),
    },
    success: TasksView,
    error,
  }).annotate(RoleNeeded, "viewer"),
  /** Ends the client's latest open task whose event has this id as `cancelled`. One that has ended stays as it is. */
  HttpApiEndpoint.post("cancel", "/clients/:clientId/cancel", {
    params: client,
    payload: Schema.Struct({ id: EventId }),
    success: Cancelled,
    error,
  }).annotate(RoleNeeded, "operator"),
  /** Gateways, and the other processes that say that they are there. */
  HttpApiEndpoint.get("pods", "/pods", { success: Schema.Array(PodView), error }).annotate(RoleNeeded, "viewer"),
  /** Sends away the clients of a pod, which takes no new ones from then on. */
  HttpApiEndpoint.post("drain", "/pods/:pod/drain", {
    params: { pod: PodId },
    success: Drained,
    error: [NotFound, NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "operator"),
  HttpApiEndpoint.get("topics", "/topics", { success: Schema.Array(TopicView), error }).annotate(RoleNeeded, "viewer"),
  HttpApiEndpoint.get("quarantine", "/quarantine", {
    query: { limit: Schema.optional(Limit) },
    success: Schema.Struct({ records: Schema.Array(QuarantinedRow), more: Schema.Boolean }),
    error,
  }).annotate(RoleNeeded, "viewer"),
  HttpApiEndpoint.get("quarantined", "/quarantine/:partition/:offset", {
    params: { partition: Natural, offset: Natural },
    success: QuarantinedView,
    error: [NotFound, AdminUnavailable],
  }).annotate(RoleNeeded, "viewer"),
  /** Publishes a quarantined record's event anew. */
  HttpApiEndpoint.post("retry", "/quarantine/:partition/:offset/retry", {
    params: { partition: Natural, offset: Natural },
    success: Republished,
    error: [NotFound, NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "operator"),
  /** What counts no more: tokens, and blocked subjects. */
  HttpApiEndpoint.get("revocations", "/revocations", {
    query: { search: Schema.optional(Text), limit: Schema.optional(Limit) },
    success: RevocationsView,
    error: [NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "owner"),
  /**
   * Revokes one token, by its `jti`, or all tokens of a subject that were issued up to a moment; by default up to now.
   * `expires_s`: when the token ends by itself, by default in a year. Times are in seconds since 1970.
   */
  HttpApiEndpoint.post("revoke", "/revocations", {
    payload: Schema.Union([
      Schema.Struct({ ...ofIssuer, tokenId: Name, expires_s: Schema.optional(Seconds) }),
      Schema.Struct({ ...ofIssuer, subject: Name, issued_s: Schema.optional(Seconds) }),
    ]),
    success: Revoked,
    error: [NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "owner"),
  /** Lets a subject in no more, whatever it shows, and closes its connections. */
  HttpApiEndpoint.post("block", "/blocks", {
    payload: Schema.Struct({ ...ofIssuer, subject: Name }),
    success: Revoked,
    error: [NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "owner"),
  HttpApiEndpoint.post("unblock", "/blocks/end", {
    payload: Schema.Struct({ ...ofIssuer, subject: Name }),
    success: Revoked,
    error: [NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "owner"),
  /** Who did what, by the topic of the audit. */
  HttpApiEndpoint.get("audit", "/audit", {
    query: {
      subject: Schema.optional(Name),
      clientId: Schema.optional(Text),
      address: Schema.optional(Text),
      action: Schema.optional(StoredAuditEntry.fields.action),
      outcome: Schema.optional(Text),
      limit: Schema.optional(Limit),
    },
    success: AuditView,
    error: [NotPossible, AdminUnavailable],
  }).annotate(RoleNeeded, "owner"),
] as const

/** One of them. */
export type Operation = (typeof operations)[number]

/** What a gateway is asked about itself alone, as its page does. */
const ofThisProcess = [
  HttpApiEndpoint.get("roles", "/roles", { success: Schema.Array(RoleView) }).annotate(RoleNeeded, "viewer"),
  /** Stops or starts a consumer of the pipeline, where this process runs it. */
  HttpApiEndpoint.post("setRole", "/roles/:role", {
    params: { role: Schema.String },
    payload: Schema.Struct({ isRunning: Schema.Boolean }),
    success: RoleView,
    error: [NotFound, NotPossible],
  }).annotate(RoleNeeded, "operator"),
  /** The last minutes, oldest first: for charts that have just been opened. */
  HttpApiEndpoint.get("history", "/history", { success: Schema.Array(Pulse) }).annotate(RoleNeeded, "viewer"),
  /** A picture a second, for as long as the connection lasts. */
  HttpApiEndpoint.get("pictures", "/pictures", {
    query: Which,
    success: HttpApiSchema.StreamNdjson({ schema: Snapshot }),
    error: NotPossible,
  }).annotate(RoleNeeded, "viewer"),
] as const

class AdminGroup extends HttpApiGroup.make("admin")
  .add(...operations, ...ofThisProcess)
  .middleware(AdminReads)
  .middleware(AdminRequests)
  .middleware(AdminAuthorization)
  .prefix("/v1/admin") {}

/** The admin API. `HttpApiClient.make(AdminApi)` makes a typed client of it. */
export class AdminApi extends HttpApi.make("nimbus-admin").add(AdminGroup) {}
