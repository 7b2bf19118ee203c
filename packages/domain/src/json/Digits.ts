/**
 * Whole numbers that come as text: in a URL, in the metadata of a call, in a socket's handshake.
 *
 * A number has one spelling: decimal digits without a sign, a blank or a leading zero, or a minus and such digits.
 * `Number` would take more, and an empty text for 0, which as a client's `after` acknowledges a result that never came.
 */
import { Schema, SchemaTransformation } from "effect"

/** At most 16 digits, which the largest safe integer has; what is larger than that one the integer's own schema refuses. */
const spelling = /^(?:0|-?[1-9]\d{0,15})$/

const shown_chars = 40

const Digits = Schema.String.annotate({ message: "must be one text of digits" }).check(
  Schema.makeFilter(
    (text) => spelling.test(text) || `must be digits, not ${JSON.stringify(text.slice(0, shown_chars))}`,
    { toJsonSchema: () => ({ pattern: spelling.source }) },
  ),
)

/** The integer that digits spell, checked by its own schema. `description`: of the text, for documents of an API. */
export const fromDigits = <A extends number, RD>(integer: Schema.Codec<A, number, RD>, description?: string) =>
  (description === undefined ? Digits : Digits.annotate({ description })).pipe(
    Schema.decodeTo(integer, SchemaTransformation.transform({ decode: Number, encode: String })),
  )

/** The same by hand, where a refusal needs no words: a natural number, or `undefined`. */
export const naturalOf = (text: string): number | undefined => {
  const number = spelling.test(text) ? Number(text) : -1
  return number >= 0 && Number.isSafeInteger(number) ? number : undefined
}
