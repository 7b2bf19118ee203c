/**
 * The HTTP API of a gateway as data: paths, parameters, bodies, statuses and codes. Gateways serve it as OpenAPI at
 * `/v1/openapi.json`; a typed client comes from it by `HttpApiClient.make(NimbusApi)`.
 *
 * The gateway's routes take their methods, paths, schemas and refusals from here and write their bodies by hand, as bytes
 * that nothing reads a second time. A test holds what they respond with and this declaration together.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { AdminApi } from "../admin/Api.ts"
import { portProblems, type Problem, problems } from "./Problems.ts"
import {
  CancelsBody,
  ClientPath,
  MessagesBody,
  MessagesPage,
  PageQuery,
  Receipts,
  ResultsPage,
  RoomPath,
  StreamQuery,
  Ticket,
} from "./Shapes.ts"

const schemasOf = <P extends ReadonlyArray<Problem>>(...several: P): ReadonlyArray<P[number]["schema"]> =>
  several.map(({ schema }) => schema)

const text = (status: number, description: string) =>
  Schema.String.annotate({ description }).pipe(HttpApiSchema.asText(), HttpApiSchema.status(status))

/** As text, of a gateway that waits for its services, or leaves. */
const notReady = text(503, "Not ready: the gateway is starting or stopping. Ask again after `Retry-After`.")

/** What the port of a gateway refuses, whatever is asked of it: there is nothing to provide, neither here nor there. */
export class AtThePort extends HttpApiMiddleware.Service<AtThePort>()("@nimbus/domain/AtThePort", {
  error: [...schemasOf(...Object.values(portProblems)), notReady],
}) {}

const described = (summary: string, description?: string) => OpenApi.annotations({ summary, description })

/** Where there are locks. */
const lockProblems = [
  problems.tokenMissing,
  problems.tokenInvalid,
  problems.tokenExpired,
  problems.tokenRevoked,
  problems.forbidden,
  problems.authUnavailable,
] as const

const publishProblems = [
  ...schemasOf(
    ...lockProblems,
    problems.tooManyLogins,
    problems.badRequest,
    problems.badNumber,
    problems.badBatch,
    problems.subjectFrames,
    problems.subjectBytes,
    problems.subjectNewIds,
    problems.notFound,
    problems.bodyTooBig,
    problems.tooLargeForLog,
    problems.logRefused,
    problems.unknownTopic,
    problems.logUnavailable,
  ),
  HttpApiSchema.Empty(408).annotate({ description: "The request did not come in in time." }),
] as const

const messages = HttpApiEndpoint.post("sendMessages", "/v1/clients/:clientId/messages", {
  params: ClientPath,
  payload: MessagesBody,
  success: Receipts,
  error: [...publishProblems, ...schemasOf(problems.subjectMail)],
}).annotateMerge(
  described(
    "Sends one message to a client, or several",
    "Returns once the log has them. The client gets them in this order, among its results. A request that is sent again after a lost response may deliver twice, unless its messages have ids: a message whose id was used for this client shortly before is a repeat, which the client gets without data and with `repeated`.",
  ),
)

const cancels = HttpApiEndpoint.post("cancelTasks", "/v1/clients/:clientId/cancels", {
  params: ClientPath,
  payload: CancelsBody,
  success: Receipts,
  error: publishProblems,
}).annotateMerge(
  described(
    "Cancels one task of a client, or several",
    "Returns once the log has the cancels. The client gets the end of each task that was open. One that has ended, or an id of none, is no error, and a request may be sent again.",
  ),
)

const ticket = HttpApiEndpoint.post("issueTicket", "/v1/tickets", {
  success: Ticket,
  error: schemasOf(
    problems.tokenMissing,
    problems.tokenInvalid,
    problems.tokenExpired,
    problems.tokenRevoked,
    problems.authUnavailable,
    problems.subjectTickets,
    problems.notFound,
  ),
}).annotateMerge(
  described(
    "A ticket for the token of this request",
    "For a connection of which nothing but the URL can say who it is: `?ticket=`. It counts once, for 30 s. Without locks there are none: 404.",
  ),
)

const pageErrors = schemasOf(
  ...lockProblems,
  problems.badRequest,
  problems.notFound,
  problems.noArchive,
  problems.readsBusy,
  problems.archiveUnavailable,
)

const results = HttpApiEndpoint.get("results", "/v1/clients/:clientId/results", {
  params: ClientPath,
  query: PageQuery,
  success: ResultsPage,
  error: pageErrors,
}).annotateMerge(described("A page of a client's results, from the archive"))

const roomMessages = HttpApiEndpoint.get("roomMessages", "/v1/rooms/:room/messages", {
  params: RoomPath,
  query: PageQuery,
  success: MessagesPage,
  error: pageErrors,
}).annotateMerge(described("A page of a room's messages, from the archive"))

const openMessages = HttpApiEndpoint.get("openMessages", "/v1/open/messages", {
  query: PageQuery,
  success: MessagesPage,
  error: schemasOf(
    ...lockProblems,
    problems.badRequest,
    problems.noArchive,
    problems.readsBusy,
    problems.archiveUnavailable,
  ),
}).annotateMerge(described("A page of the open chat's messages, from the archive"))

const webSocket = <const Name extends string, const Path extends `/${string}`>(
  name: Name,
  path: Path,
  description: string,
) =>
  HttpApiEndpoint.get(name, path, {
    query: StreamQuery,
    success: HttpApiSchema.Empty(101).annotate({ description: "The connection is a WebSocket from here on." }),
    error: problems.upgradeRequired.schema,
  }).annotateMerge(described("The WebSocket of one client", description))

const stream = webSocket(
  "stream",
  "/v1/stream",
  "Subprotocol `nimbus.v1` or none. The frames are described by `/v1/frames.schema.json`. A wrong parameter gets an `error` frame and close 4501.",
)
const approach3 = webSocket("approach3", "/approach3/events", "The frames of NimbusWS; results are routed.")
const approach2 = webSocket("approach2", "/approach2/events", "The frames of NimbusWS; results are read from the log.")

const json = (description: string) => Schema.Json.annotate({ description })

const openApi = HttpApiEndpoint.get("openApi", "/v1/openapi.json", { success: json("OpenAPI 3.1.") }).annotateMerge(
  described("This document"),
)
const frames = HttpApiEndpoint.get("framesSchema", "/v1/frames.schema.json", {
  success: json("JSON Schema, draft 2020-12.").pipe(HttpApiSchema.asJson({ contentType: "application/schema+json" })),
}).annotateMerge(described("The frames of `/v1/stream`"))

const clientScript = HttpApiEndpoint.get("clientScript", "/client.js", {
  success: Schema.String.annotate({ description: "An ES module." }).pipe(
    HttpApiSchema.asText({ contentType: "text/javascript; charset=utf-8" }),
  ),
}).annotateMerge(
  described(
    "The SDK for pages without a bundler",
    "Of the gateway's version; revalidated by its `ETag`. A gateway that was not built has none, and says so with 503.",
  ),
)

/** Probes and scrapers are let in by any name, and as often as they ask. */
const probeProblems = schemasOf(portProblems.tooManyConnections)

const healthz = HttpApiEndpoint.get("healthz", "/healthz", {
  success: text(200, "`ok`"),
  error: probeProblems,
}).annotateMerge(described("Whether the process is alive"))

const readyz = HttpApiEndpoint.get("readyz", "/readyz", {
  success: text(200, "`ready`"),
  error: [...probeProblems, text(503, "Not ready: which services it waits for.")],
}).annotateMerge(described("Whether the gateway takes clients"))

const metrics = HttpApiEndpoint.get("metrics", "/metrics", {
  success: Schema.String.annotate({ description: "Prometheus' text format." }).pipe(
    HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }),
  ),
  error: [...probeProblems, notReady],
}).annotateMerge(described("The metrics of this process"))

/** Every endpoint by its name. */
export const endpoints = {
  sendMessages: messages,
  cancelTasks: cancels,
  issueTicket: ticket,
  results,
  roomMessages,
  openMessages,
  stream,
  approach3,
  approach2,
  openApi,
  framesSchema: frames,
  clientScript,
  healthz,
  readyz,
  metrics,
}

const Clients = HttpApiGroup.make("clients", { topLevel: true }).add(messages, cancels, results, ticket, stream)
const Rooms = HttpApiGroup.make("rooms", { topLevel: true }).add(roomMessages, openMessages)
const NimbusWs = HttpApiGroup.make("nimbusws", { topLevel: true }).add(approach3, approach2)
const Documents = HttpApiGroup.make("documents", { topLevel: true }).add(openApi, frames, clientScript)
const Operations = HttpApiGroup.make("operations", { topLevel: true }).add(healthz, readyz, metrics)

const version = "1"

/** What anybody may ask who reaches the port. */
export class NimbusApi extends HttpApi.make("nimbus")
  .add(Clients, Rooms, NimbusWs, Documents)
  .middleware(AtThePort)
  .add(Operations)
  .annotateMerge(
    OpenApi.annotations({
      title: "Nimbus",
      version,
      description:
        "The HTTP API of a gateway. Refusals have a body `{code, message}`; docs/errors.md says what each code means. Another path is refused with 404 `NOT_FOUND`, another method with 405 `METHOD_NOT_ALLOWED`. The admin API has a document of its own, `/v1/admin/openapi.json`, where it is on.",
    }),
  ) {}

/** The document that gateways serve at `/v1/openapi.json`: OpenAPI 3.1. */
export const openApiDocument = (): JsonDocument => opened(OpenApi.fromApi(NimbusApi))

const admin = OpenApi.annotations({
  title: "Nimbus, admin API",
  version,
  description: "For operators: see docs/admin.md.",
})

/**
 * The document that gateways serve at `/v1/admin/openapi.json`, where the admin API is on: OpenAPI 3.1. It also has what
 * the port refuses.
 */
export const adminOpenApiDocument = (): JsonDocument =>
  opened(OpenApi.fromApi(AdminApi.middleware(AtThePort).annotateMerge(admin)))

type JsonDocument = Readonly<Record<string, unknown>>

/** Without the ban of other properties: decoders ignore those that they do not know, and a later version may have more. */
const opened = (document: object): JsonDocument =>
  Object.fromEntries(
    Object.entries(document)
      .filter(([key, value]) => key !== "additionalProperties" || value !== false)
      .map(([key, value]) => [key, openedValue(value)]),
  )

const openedValue = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(openedValue)
  return typeof value === "object" && value !== null ? opened(value) : value
}
