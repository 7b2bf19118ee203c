/** `Operations` of another process, by its admin API. */
import { AdminApi, AdminAuthorization, AdminUnavailable } from "@nimbus/domain/admin"
import { Operations } from "@nimbus/gateway/admin"
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
  const asked = <A, E, R>(question: Effect.Effect<A, E | OnTheWay, R>) =>
    question.pipe(
      Effect.mapError((error) => (isOnTheWay(error) ? unavailable(url, error) : error)),
      Effect.timeoutOrElse({
        duration: answer_within_ms,
        orElse: () => Effect.fail(new AdminUnavailable({ message: `${url} did not answer in time` })),
      }),
    )
  return Operations.of({
    status: asked(admin.status()),
    clients: (query) => asked(admin.clients({ query })),
    client: (clientId) => asked(admin.client({ params: { clientId } })),
    mailbox: (clientId, limit) => asked(admin.mailbox({ params: { clientId }, query: { limit } })),
    journey: (clientId, seq) => asked(admin.journey({ params: { clientId, seq } })),
    replay: ({ clientId, ...payload }) => asked(admin.replay({ params: { clientId }, payload })),
    kick: (clientId) => asked(admin.kick({ params: { clientId } })),
    forget: ([first, ...rest]) =>
      first === undefined
        ? Effect.succeed({ forgotten: [], connected: [] })
        : asked(admin.forget({ payload: { clientIds: [first, ...rest] } })),
    pods: asked(admin.pods()),
    drain: (pod) => asked(admin.drain({ params: { pod } })),
    topics: asked(admin.topics()),
    quarantine: (limit) => asked(admin.quarantine({ query: { limit } })),
    quarantined: (params) => asked(admin.quarantined({ params })),
    retry: (params) => asked(admin.retry({ params })),
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
