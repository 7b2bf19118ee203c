/** How HTTP says no: a status, and as JSON the code of its row in docs/errors.md with a sentence. It is counted. */
import { type Problem, problems } from "@nimbus/domain/http"
import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { Delivery } from "../delivery/Delivery.ts"

const respond = HttpServerResponse.schemaJson(
  Schema.Struct({ code: Schema.String, message: Schema.String, capability: Schema.optionalKey(Schema.String) }),
)

export const refuse = Effect.fnUntraced(function* (
  { code, status }: Pick<Problem, "code" | "status">,
  message: string,
  headers: Readonly<Record<string, string>> = {},
  more: { readonly capability?: string } = {},
) {
  const { counts } = yield* Delivery
  counts.addTo("refused", code)
  // What is refused is a text and a text: there is nothing in it that could not be encoded.
  return yield* Effect.orDie(respond({ code, message, ...more }, { status, headers }))
})

/** Of a request's target: without its query. */
export const pathOf = (url: string): string => url.replace(/[?#].*$/s, "")

export const refuseNowhere = (url: string) => refuse(problems.notFound, `there is no ${shownPath(url)} here`)

const shown_chars = 100

/** A path as it is told: its beginning, if it is long. */
export const shownPath = (url: string): string => {
  const path = pathOf(url)
  return path.length <= shown_chars ? path : `${path.slice(0, shown_chars - 1)}…`
}
