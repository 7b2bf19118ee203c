/**
 * A task in any language: each event is a POST to an HTTP service, whose answer is read part by part while it comes in.
 *
 * ```
 *   POST url                                   2xx  application/x-ndjson   each line is a part
 *   Idempotency-Key: e1                        2xx  text/event-stream      the data of each event is a part
 *   webhook-id: c1/e1                          4xx                         a final failure
 *   webhook-timestamp, webhook-signature       5xx, silence, a cut in the middle, no connection: the next attempt
 *   { "id": "e1", "client": "c1", "seq": 7, "attempt": 1, "published": 0, "name": "ask", "data": … }
 * ```
 *
 * 1. `attempt` counts over all workers. `published` is how many parts earlier attempts have published, if the task resumes:
 *    then the answer begins behind them. Otherwise it is 0, and the answer begins from the start.
 * 2. A task that is cancelled, or taken over, closes its call.
 * 3. Parts that are joined can't be counted, so a task either resumes or joins them.
 */
import { type Combine, Handlers, type Task, type TaskContext } from "@nimbus/domain/services"
import { Effect, Schema, Stream } from "effect"
import { type HttpTaskLimits, httpTaskLimits } from "../Limits.ts"
import { failureOf } from "./Answer.ts"
import * as Calls from "./Calls.ts"
import { accept, formatOf, partsOf, PartText } from "./Parts.ts"

/** Where the service of a task is. Bounds that are not named are the defaults. */
export interface HttpTaskOptions extends Calls.Target, Partial<HttpTaskLimits> {
  /** The service goes on behind the parts that are `published`. Default: false, each attempt begins from the start. */
  readonly resumes?: boolean
  /** Parts that come shortly after each other are joined: what each of them is. Not if it `resumes`. Default: none are. */
  readonly combine?: Combine | undefined
}

/**
 * A task that an HTTP service has. Throws where the address or the secret is not well-formed, or where it would both resume and
 * join parts.
 */
export const task = (name: string, options: HttpTaskOptions): Task<never> => {
  const { combine, resumes = false, secret, url, ...bounds } = options
  if (resumes && combine !== undefined) throw new TypeError(`the task ${name} can't both resume and join its parts`)
  const limits: HttpTaskLimits = { ...httpTaskLimits, ...bounds }
  const service = Calls.serviceOf(name, { secret, url })
  return Handlers.task(name, {
    input: Schema.Json,
    part: PartText,
    handler: (data, context) =>
      Stream.unwrap(
        Effect.map(Stream.runCount(context.published), (published) =>
          Stream.tapError(answer(service, limits, { data, context, published }), (error) =>
            Calls.logged(service, error),
          ),
        ),
      ),
    resumes,
    ...(combine === undefined ? {} : { combine }),
    timeout: limits.task_timeout_ms,
    retry: Calls.backoff(limits),
    final: Calls.isFinal,
    at_once: limits.calls_at_once,
  })
}

interface Attempt {
  readonly data: Schema.Json
  readonly context: TaskContext<string>
  readonly published: number
}

/** The parts of one attempt (1, 2). */
const answer = (service: Calls.Service, limits: HttpTaskLimits, { context, data, published }: Attempt) =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { begin_timeout_ms, part_bytes, silence_timeout_ms } = limits
      const { attempt, caller, clientId, eventId, seq } = context
      const body = { id: eventId, client: clientId, seq, attempt, published, name: service.name, data }
      const response = yield* Calls.post(service, { ...Calls.eventKey(clientId, eventId), accept, caller, body }).pipe(
        Effect.timeoutOrElse({
          duration: begin_timeout_ms,
          orElse: () => Effect.fail(Calls.tooLate(service, `did not answer within ${begin_timeout_ms} ms`)),
        }),
      )
      const bytes = Stream.timeoutOrElse(Calls.bytesOf(response), {
        duration: silence_timeout_ms,
        orElse: () => Stream.fail(Calls.tooLate(service, `said nothing for ${silence_timeout_ms} ms`)),
      })
      if (response.status >= 300) {
        return yield* Effect.fromResult(failureOf(yield* Calls.answerOf(response, bytes, part_bytes)))
      }
      return partsOf(yield* Effect.fromResult(formatOf(response.headers)), bytes, limits)
    }),
  )
