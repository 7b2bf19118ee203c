/**
 * What the answer of a handler's service means.
 *
 * | status | body | |
 * | --- | --- | --- |
 * | 2xx | JSON | the result |
 * | 2xx | anything else, or too much | invalid |
 * | 3xx | | invalid: redirects are not followed |
 * | 4xx | `{ "message": … }` or anything else | refused, with that message |
 * | 5xx | | unavailable: the call is made again |
 *
 * Pure: what was read comes in, and what to do comes out. The client is sent the message of a failure, so there is
 * nothing of the service's own in it, but for what the service says in `message`.
 */
import { parseExactJson, parseJsonText } from "@nimbus/domain/json"
import { Predicate, Result, Schema } from "effect"
import { HttpHandlerAnswerInvalid, HttpHandlerRefused, HttpHandlerUnavailable } from "../Errors.ts"

export interface Answer {
  readonly status: number
  /** Where a redirect points to. */
  readonly location?: string | undefined
  /** `undefined`: there was more than `answer_bytes`. */
  readonly body: Uint8Array | undefined
}

export type HttpHandlerError = HttpHandlerRefused | HttpHandlerUnavailable | HttpHandlerAnswerInvalid

/** The result of the event, or why there is none. */
export const resultOf = (answer: Answer, answer_bytes: number): Result.Result<Schema.Json, HttpHandlerError> => {
  const { body } = answer
  if (answer.status >= 300) return failureOf(answer)
  if (body === undefined) return invalid(`is larger than ${answer_bytes} bytes`)
  return jsonOf(body)
}

/** Why an answer of a status beyond 2xx is none. */
export const failureOf = ({ body, location, status }: Answer): Result.Result<never, HttpHandlerError> => {
  if (status >= 500) return unavailable(`answered HTTP ${status}`, status)
  if (status >= 400) return Result.fail(refused(status, body))
  return invalid(`is a redirect (HTTP ${status}), which is not followed`, location)
}

const unavailable = (reason: string, cause: unknown) => Result.fail(new HttpHandlerUnavailable({ reason, cause }))

const invalid = (reason: string, cause: unknown = reason) =>
  Result.fail(new HttpHandlerAnswerInvalid({ reason, cause }))

/** Always so for what `JSON.parse` has given. */
const isJson = Schema.is(Schema.Json)

const utf8 = new TextDecoder("utf-8", { fatal: true })

const textOf = (body: Uint8Array): string | undefined => {
  try {
    return utf8.decode(body)
  } catch {
    return undefined
  }
}

const jsonOf = (body: Uint8Array): Result.Result<Schema.Json, HttpHandlerAnswerInvalid> => {
  const text = textOf(body)
  if (text === undefined) return invalid("is no UTF-8")
  const parsed = parseExactJson(text)
  if (Result.isFailure(parsed)) {
    const { fault, message } = parsed.failure
    if (fault === "syntax") return invalid("is no JSON", message)
    return invalid(fault === "nesting" ? `is ${message}` : `has a fault: ${message}`)
  }
  return isJson(parsed.success) ? Result.succeed(parsed.success) : invalid("is no JSON")
}

const refused = (status: number, body: Uint8Array | undefined): HttpHandlerRefused => {
  const said = body === undefined ? undefined : messageIn(body)
  return new HttpHandlerRefused(said === undefined ? { status } : { status, reason: said })
}

/** What the service says to the client. */
const messageIn = (body: Uint8Array): string | undefined => {
  const parsed = parseJsonText(textOf(body) ?? "")
  if (Result.isFailure(parsed) || !Predicate.hasProperty(parsed.success, "message")) return undefined
  const { message } = parsed.success
  return typeof message === "string" && message !== "" ? message : undefined
}
