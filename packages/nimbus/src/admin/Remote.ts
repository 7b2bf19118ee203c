/** `Operations` of another process, by its admin API. */
import { AdminApi, AdminAuthorization, AdminUnavailable, Operations } from "@nimbus/domain/admin"
import { Effect, Layer, Option, type Redacted, Schema } from "effect"
import { FetchHttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"

export interface Server {
  /** Where its HTTP port is: `http://host:port`. */
  readonly url: string
  readonly token: Option.Option<Redacted.Redacted>
}

/** How long an answer may take. */
const answer_within_ms = 30_000

const make = Effect.fnUntraced(function* (url: string) {
  const { admin } = yield* HttpApiClient.make(AdminApi, { baseUrl: url })
  /** What goes wrong on the way is the server's being unavailable. */
  const asking =
    <I extends ReadonlyArray<unknown>, A, E>(ask: (...input: I) => Effect.Effect<A, E | OnTheWay>) =>
    (...input: I) =>
      ask(...input).pipe(
        Effect.mapError((error) => (isOnTheWay(error) ? unavailable(url, error) : error)),
        Effect.timeoutOrElse({
          duration: answer_within_ms,
          orElse: () => Effect.fail(new AdminUnavailable({ message: `${url} did not answer in time` })),
        }),
      )
  return Operations.of({
    status: asking(admin.status),
    clients: asking(admin.clients),
    client: asking(admin.client),
    mailbox: asking(admin.mailbox),
    journey: asking(admin.journey),
    replay: asking(admin.replay),
    kick: asking(admin.kick),
    forget: asking(admin.forget),
    tasks: asking(admin.tasks),
    cancel: asking(admin.cancel),
    pods: asking(admin.pods),
    drain: asking(admin.drain),
    topics: asking(admin.topics),
    quarantine: asking(admin.quarantine),
    quarantined: asking(admin.quarantined),
    retry: asking(admin.retry),
    revocations: asking(admin.revocations),
    revoke: asking(admin.revoke),
    block: asking(admin.block),
    unblock: asking(admin.unblock),
    audit: asking(admin.audit),
  })
})

/** What comes of the way between here and there. */
type OnTheWay = HttpClientError.HttpClientError | Schema.SchemaError

const isOnTheWay = (error: unknown): error is OnTheWay =>
  HttpClientError.isHttpClientError(error) || Schema.isSchemaError(error)

const unavailable = (url: string, error: OnTheWay): AdminUnavailable =>
  new AdminUnavailable({
    message: Schema.isSchemaError(error)
      ? `${url} answers otherwise than this version of Nimbus expects`
      : `${url} does not answer as an admin API does: ${error.message}`,
  })

/** Without a token none is sent: a server on a loopback address may let this machine in. */
const authorization = (token: Server["token"]) =>
  HttpApiMiddleware.layerClient(AdminAuthorization, ({ next, request }) =>
    next(Option.isSome(token) ? HttpClientRequest.bearerToken(request, token.value) : request),
  )

export const layerWith = ({ token, url }: Server) =>
  Layer.effect(Operations, make(url)).pipe(Layer.provide([authorization(token), FetchHttpClient.layer]))
