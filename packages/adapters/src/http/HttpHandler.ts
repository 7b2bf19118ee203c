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
 * Its time, its retries and how many are called at once are the options that any handler has. After a crash of this
 * process an event is handled again, and `attempt` counts from 1 again. `Calls.ts` has what is sent.
 */
import { type Handler, type HandlerContext, Handlers } from "@nimbus/domain/services"
import { Effect, Schema } from "effect"
import { type HttpHandlerLimits, httpHandlerLimits } from "../Limits.ts"
import { resultOf } from "./Answer.ts"
import * as Calls from "./Calls.ts"

export { task } from "./HttpTask.ts"
export type { HttpTaskOptions } from "./HttpTask.ts"

/** Where the service of a handler is. Bounds that are not named are the defaults. */
export interface HttpHandlerOptions extends Calls.Target, Partial<HttpHandlerLimits> {}

/** A handler that calls an HTTP service. Throws where the address or the secret is not well-formed. */
export const make = (name: string, { secret, url, ...bounds }: HttpHandlerOptions): Handler<never> => {
  const limits: HttpHandlerLimits = { ...httpHandlerLimits, ...bounds }
  const service = Calls.serviceOf(name, { secret, url })
  return Handlers.make(name, {
    input: Schema.Json,
    output: Schema.Json,
    handler: (data, context) =>
      Effect.tapError(call(service, limits, data, context), (error) => Calls.logged(service, error)),
    timeout: limits.event_timeout_ms,
    retry: Calls.backoff(limits),
    final: Calls.isFinal,
    at_once: limits.calls_at_once,
  })
}

/** One call, within its time. */
const call = (
  service: Calls.Service,
  { answer_bytes, call_timeout_ms }: HttpHandlerLimits,
  data: Schema.Json,
  { attempt, caller, clientId, eventId, seq }: HandlerContext,
) =>
  Effect.gen(function* () {
    const body = { id: eventId, client: clientId, seq, attempt, name: service.name, data }
    const response = yield* Calls.post(service, {
      ...Calls.eventKey(clientId, eventId),
      accept: "application/json",
      caller,
      body,
    })
    const answer = yield* Calls.answerOf(response, Calls.bytesOf(response), answer_bytes)
    return yield* Effect.fromResult(resultOf(answer, answer_bytes))
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: call_timeout_ms,
      orElse: () => Effect.fail(Calls.tooLate(service, `did not answer within ${call_timeout_ms} ms`)),
    }),
  )
