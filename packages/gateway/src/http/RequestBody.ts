/**
 * The JSON of a request's body. How large it may be, and how slow, `Fallback` and the server see to; here its bytes must
 * be UTF-8, its text JSON, and its numbers such that they come back. A decoder that puts a replacement for what is no
 * UTF-8 would change what somebody sent.
 */
import { type JsonFault, parseExactJson } from "@nimbus/domain/json"
import { Effect, Result } from "effect"
import { HttpServerRequest } from "effect/http"
import { BodyInvalid } from "../Errors.ts"

export const json = Effect.gen(function* () {
  const { arrayBuffer } = yield* HttpServerRequest.HttpServerRequest
  return yield* Effect.fromResult(parse(yield* arrayBuffer))
})

const decoder = new TextDecoder("utf-8", { fatal: true })

const parse = (bytes: ArrayBuffer): Result.Result<unknown, BodyInvalid> => {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch {
    return invalid("the body is not UTF-8")
  }
  return Result.mapError(parseExactJson(text), refusal)
}

const refusal = ({ fault, message }: JsonFault): BodyInvalid =>
  new BodyInvalid({
    code: fault === "number" ? "BAD_NUMBER" : "BAD_REQUEST",
    reason: fault === "syntax" ? `the body is not JSON: ${message}` : message,
  })

const invalid = (reason: string) => Result.fail(new BodyInvalid({ code: "BAD_REQUEST", reason }))
