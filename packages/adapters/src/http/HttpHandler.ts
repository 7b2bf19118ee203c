/**
 * A handler in any language: each event is a POST to an HTTP service, which answers with the result.
 *
 * ```
 *   POST url                                   2xx  JSON   the result
 *   Idempotency-Key: e1                        4xx         a final failure
 *   webhook-id: c1/e1                          5xx, no answer in time, no connection: called again
 *   webhook-timestamp, webhook-signature
 *   { "id": "e1", "client": "c1", "seq": 7, "attempt": 1, "name": "order", "data": … }
 * ```
 *
 * 1. A call is signed as Standard Webhooks has it, anew for each attempt. `webhook-id` is the same for all calls of one
 *    event, and another for each event. An event's own id, and so `Idempotency-Key`, is unique within its client.
 * 2. Its time, its retries and how many are called at once are the options that any handler has. After a crash of this
 *    process an event is handled again, and `attempt` counts from 1 again.
 * 3. Connections are kept for the next call.
 * 4. The client is sent the message of a failure; what only operators may know is logged.
 */
import { type Handler, type HandlerContext, Handlers, logFailure } from "@nimbus/domain/services"
import { Clock, Context, Effect, Layer, Redacted, Schedule, Schema, Stream } from "effect"
import {
  FetchHttpClient,
  HttpClient,
  type HttpClientError,
  HttpClientRequest,
  type HttpClientResponse,
} from "effect/http"
import { Webhook } from "standardwebhooks"
import { HttpHandlerUnavailable } from "../Errors.ts"
import { type HttpHandlerLimits, httpHandlerLimits } from "../Limits.ts"
import { type Answer, type HttpHandlerError, resultOf } from "./Answer.ts"
import { isSecret, isTarget } from "./Settings.ts"

/** Where the service of a handler is. Bounds that are not named are the defaults. */
export interface HttpHandlerOptions extends Partial<HttpHandlerLimits> {
  /** `http://…` or `https://…`, without a user or a password. */
  readonly url: string
  /** Signs what is sent: `whsec_` and 24 to 64 bytes in base64. */
  readonly secret: string | Redacted.Redacted
}

/** A handler that calls an HTTP service. Throws where the address or the secret is not well-formed. */
export const make = (name: string, { secret, url, ...bounds }: HttpHandlerOptions): Handler<never> => {
  const limits: HttpHandlerLimits = { ...httpHandlerLimits, ...bounds }
  const key = Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
  if (!isTarget(url)) throw new TypeError(`the address of the handler ${name} must be http://… or https://…`)
  if (!isSecret(key))
    throw new TypeError(`the secret of the handler ${name} must be whsec_ and 24 to 64 bytes in base64`)
  const service: Service = { name, url, webhook: new Webhook(key), limits }
  return Handlers.make(name, {
    input: Schema.Json,
    output: Schema.Json,
    handler: (data, context) => Effect.tapError(call(service, data, context), (error) => logged(name, error)),
    timeout: limits.event_timeout_ms,
    retry: backoff(limits),
    final: (error) => error._tag !== "HttpHandlerUnavailable",
    at_once: limits.calls_at_once,
  })
}

interface Service {
  readonly name: string
  readonly url: string
  readonly webhook: Webhook
  readonly limits: HttpHandlerLimits
}

/** What the client is not told. What the service says to it is no failure of ours. */
const logged = (name: string, error: HttpHandlerError): Effect.Effect<void> =>
  error._tag === "HttpHandlerRefused"
    ? Effect.void
    : Effect.annotateLogs(logFailure(`the HTTP handler ${name}`, `${error.message}: ${String(error.cause)}`), {
        code: error.code,
      })

const backoff = ({ retry_max_ms, retry_min_ms }: HttpHandlerLimits) =>
  Schedule.jittered(Schedule.min([Schedule.exponential(retry_min_ms), Schedule.spaced(retry_max_ms)]))

/** Calls by `fetch`, whose connections all handlers share. */
const client = Context.add(
  Effect.runSync(Effect.scoped(Layer.build(FetchHttpClient.layer))),
  FetchHttpClient.RequestInit,
  { redirect: "manual" },
)

/** One call, within its time. */
const call = ({ limits, name, url, webhook }: Service, data: Schema.Json, context: HandlerContext) =>
  Effect.gen(function* () {
    const { attempt, clientId, eventId, seq } = context
    const body = JSON.stringify({ id: eventId, client: clientId, seq, attempt, name, data })
    const at = new Date(yield* Clock.currentTimeMillis)
    const key = headerOf(eventId)
    const id = `${clientId}/${key}`
    const request = HttpClientRequest.post(url, {
      headers: {
        accept: "application/json",
        "idempotency-key": key,
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
        "webhook-signature": webhook.sign(id, at, body),
      },
    }).pipe(HttpClientRequest.bodyText(body, "application/json"))
    const response = yield* HttpClient.execute(request)
    return yield* Effect.fromResult(resultOf(yield* answerIn(response, limits.answer_bytes), limits.answer_bytes))
  }).pipe(
    Effect.catchTag("HttpClientError", (error) => Effect.fail(unreachable(error))),
    Effect.timeoutOrElse({
      duration: limits.call_timeout_ms,
      orElse: () => {
        const reason = `did not answer within ${limits.call_timeout_ms} ms`
        return Effect.fail(new HttpHandlerUnavailable({ reason, cause: url }))
      },
    }),
    Effect.provideContext(client),
  )

/** Headers have printable ASCII alone. Other ids are escaped, and those with a `%`, so that no two ids become one. */
const headerOf = (id: string): string => (/^[!-$&-~]+$/.test(id) ? id : encodeURIComponent(id))

/** What the service answers, up to so many bytes. Beyond, the connection is closed. */
const answerIn = (
  response: HttpClientResponse.HttpClientResponse,
  most_bytes: number,
): Effect.Effect<Answer, HttpClientError.HttpClientError> =>
  Effect.suspend(() => {
    const parts: Array<Uint8Array> = []
    let bytes = 0
    const { status } = response
    const { location } = response.headers
    return Stream.runForEachWhile(response.stream, (part) =>
      Effect.sync(() => {
        bytes += part.length
        parts.push(part)
        return bytes <= most_bytes
      }),
    ).pipe(
      Effect.catchIf(isEmpty, () => Effect.void),
      Effect.map(() => ({ status, location, body: bytes <= most_bytes ? Buffer.concat(parts) : undefined })),
    )
  })

const isEmpty = ({ reason }: HttpClientError.HttpClientError): boolean => reason._tag === "EmptyBodyError"

const unreachable = ({ reason }: HttpClientError.HttpClientError): HttpHandlerUnavailable => {
  // `fetch` says what was wrong in the cause of its error.
  let cause: unknown = reason.cause ?? reason.message
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause
  return new HttpHandlerUnavailable({ reason: "did not respond", cause })
}
