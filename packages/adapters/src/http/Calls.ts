/**
 * What the handlers and the tasks that HTTP services have share: a signed POST for each attempt, and the wait before the next.
 *
 * 1. A call is signed as Standard Webhooks has it, anew for each attempt. `webhook-id` is the same for all calls of one
 *    event, and another for each event. An event's own id, and so `Idempotency-Key`, is unique within its client.
 * 2. Connections are kept for the next call. What is no longer awaited is closed.
 * 3. The client is sent the message of a failure; what only operators may know is logged.
 */
import type { Caller } from "@nimbus/domain/access"
import type { ClientId, EventId } from "@nimbus/domain/protocol"
import { logFailure } from "@nimbus/domain/services"
import { Clock, Context, Effect, Layer, Redacted, Schedule, type Schema, type Scope, Stream } from "effect"
import {
  FetchHttpClient,
  HttpClient,
  type HttpClientError,
  HttpClientRequest,
  type HttpClientResponse,
} from "effect/http"
import { Webhook } from "standardwebhooks"
import { HttpHandlerUnavailable } from "../Errors.ts"
import type { Answer, HttpHandlerError } from "./Answer.ts"
import { isSecret, isTarget } from "./Settings.ts"

/** Where a service is. */
export interface Target {
  /** `http://…` or `https://…`, without a user or a password. */
  readonly url: string
  /** Signs what is sent: `whsec_` and 24 to 64 bytes in base64. */
  readonly secret: string | Redacted.Redacted
}

/** A service that events of one name are sent to. */
export interface Service {
  readonly name: string
  readonly url: string
  readonly webhook: Webhook
}

/** Throws where the address or the secret is not well-formed. */
export const serviceOf = (name: string, { secret, url }: Target): Service => {
  const key = Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
  if (!isTarget(url)) throw new TypeError(`the address of the handler ${name} must be http://… or https://…`)
  if (!isSecret(key))
    throw new TypeError(`the secret of the handler ${name} must be whsec_ and 24 to 64 bytes in base64`)
  return { name, url, webhook: new Webhook(key) }
}

/** Calls by `fetch`, whose connections all services share. */
const client = Context.add(
  Effect.runSync(Effect.scoped(Layer.build(FetchHttpClient.layer))),
  FetchHttpClient.RequestInit,
  { redirect: "manual" },
)

/** What is called for: `id` is the same for all calls of one matter. */
interface Call {
  readonly id: string
  /** By which the service knows the matter again, where it may be called more than once for it. */
  readonly key?: string
  /** What kind of answer is understood. */
  readonly accept: string
  /** Who caused the event; the service is told. */
  readonly caller?: Caller | undefined
  readonly body: Readonly<Record<string, Schema.Json>>
}

/** One call, up to the head of its answer. It is closed with the scope, wherever it is then (2). */
export const post = (
  { url, webhook }: Service,
  { accept, body, caller, id, key }: Call,
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpHandlerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const text = JSON.stringify(caller === undefined ? body : { ...body, caller })
    const at = new Date(yield* Clock.currentTimeMillis)
    const request = HttpClientRequest.post(url, {
      headers: {
        accept,
        ...(key !== undefined && { "idempotency-key": key }),
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
        "webhook-signature": webhook.sign(id, at, text),
      },
    }).pipe(HttpClientRequest.bodyText(text, "application/json"))
    return yield* HttpClient.withScope(yield* HttpClient.HttpClient).execute(request)
  }).pipe(Effect.mapError(unreachable("did not respond")), Effect.provideContext(client))

/** How the service knows an event. */
export const eventKey = (clientId: ClientId, eventId: EventId): { readonly id: string; readonly key: string } => {
  const key = headerOf(eventId)
  return { id: `${clientId}/${key}`, key }
}

/** Headers have printable ASCII alone. Other ids are escaped, and those with a `%`, so that no two ids become one. */
const headerOf = (id: string): string => (/^[!-$&-~]+$/.test(id) ? id : encodeURIComponent(id))

/** The bytes of an answer. */
export const bytesOf = (
  response: HttpClientResponse.HttpClientResponse,
): Stream.Stream<Uint8Array, HttpHandlerUnavailable> =>
  response.stream.pipe(
    Stream.catchIf(isEmpty, () => Stream.empty),
    Stream.mapError(unreachable("broke off its answer")),
  )

/** The whole of an answer, up to so many bytes. */
export const answerOf = (
  { headers, status }: HttpClientResponse.HttpClientResponse,
  bytes: Stream.Stream<Uint8Array, HttpHandlerUnavailable>,
  most_bytes: number,
): Effect.Effect<Answer, HttpHandlerUnavailable> =>
  Effect.suspend(() => {
    const parts: Array<Uint8Array> = []
    let length = 0
    const { location } = headers
    return Stream.runForEachWhile(bytes, (part) =>
      Effect.sync(() => {
        length += part.length
        parts.push(part)
        return length <= most_bytes
      }),
    ).pipe(Effect.map(() => ({ status, location, body: length <= most_bytes ? Buffer.concat(parts) : undefined })))
  })

const isEmpty = ({ reason }: HttpClientError.HttpClientError): boolean => reason._tag === "EmptyBodyError"

const unreachable =
  (reason: string) =>
  ({ reason: failed }: HttpClientError.HttpClientError): HttpHandlerUnavailable => {
    // `fetch` says what was wrong in the cause of its error.
    let cause: unknown = failed.cause ?? failed.message
    while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause
    return new HttpHandlerUnavailable({ reason, cause })
  }

/** No answer in time. */
export const tooLate = ({ url }: Service, reason: string): HttpHandlerUnavailable =>
  new HttpHandlerUnavailable({ reason, cause: url })

/** What the client is not told. What the service says to it is no failure of ours. */
export const logged = ({ name }: Service, error: HttpHandlerError): Effect.Effect<void> =>
  error._tag === "HttpHandlerRefused"
    ? Effect.void
    : Effect.annotateLogs(logFailure(`the HTTP handler ${name}`, `${error.message}: ${String(error.cause)}`), {
        code: error.code,
      })

/** Whether the same call would be of no use again. */
export const isFinal = ({ _tag }: { readonly _tag: string }): boolean =>
  _tag === "HttpHandlerRefused" || _tag === "HttpHandlerAnswerInvalid"

interface Waits {
  readonly retry_min_ms: number
  readonly retry_max_ms: number
}

/** The wait before the next call doubles each time. */
export const backoff = ({ retry_max_ms, retry_min_ms }: Waits) =>
  Schedule.jittered(Schedule.min([Schedule.exponential(retry_min_ms), Schedule.spaced(retry_max_ms)]))
