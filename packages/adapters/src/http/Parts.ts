/**
 * Reads the parts of a task out of the answer of its service, while it comes in.
 *
 * ```
 *   application/x-ndjson   {"word":"a"}⏎        text/event-stream   data: {"word":"a"}⏎⏎
 * ```
 *
 * 1. Each line, or the data of each event, is a part: one JSON text. Empty lines, comments, and the names, ids and `retry` of
 *    events mean nothing here.
 * 2. The answer ends with the end of a line, or of an event. One that ends within was cut off: that passes, and is no end.
 * 3. Beyond the bounds nothing more is read.
 */
import { parseExactJson } from "@nimbus/domain/json"
import { Effect, Result, Schema, SchemaIssue, SchemaTransformation, Stream } from "effect"
import { Sse } from "effect/encoding"
import { HttpHandlerAnswerInvalid, HttpHandlerUnavailable } from "../Errors.ts"

/** By the media type of the answer. */
const formats = { "application/x-ndjson": "lines", "text/event-stream": "events" } as const
export type Format = (typeof formats)[keyof typeof formats]

/** What a service of a task may answer with. */
export const accept = Object.keys(formats).join(", ")

const isFormat = (type: string): type is keyof typeof formats => Object.hasOwn(formats, type)

/** By its head, of a status of 2xx. */
export const formatOf = (
  headers: Readonly<Record<string, string | undefined>>,
): Result.Result<Format, HttpHandlerAnswerInvalid> => {
  const [type = ""] = (headers["content-type"] ?? "").split(";")
  const name = type.trim().toLowerCase()
  if (!isFormat(name)) return invalid(`is neither ${Object.keys(formats).join(" nor ")}`, name)
  // A connection that is closed would be its end (2).
  if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined)
    return invalid("has neither a length nor chunks: its end can't be told from a cut")
  return Result.succeed(formats[name])
}

/** A part as the service has written it: whatever is no JSON, or would not come back as it was, is no part. */
export const PartText = Schema.Json.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transformEffect({
      decode: (json) => Effect.succeed(JSON.stringify(json)),
      encode: (text) => {
        const parsed = parseExactJson(text)
        if (Result.isSuccess(parsed) && isJson(parsed.success)) return Effect.succeed(parsed.success)
        const message = Result.isFailure(parsed) ? parsed.failure.message : "it is no JSON"
        return Effect.fail(new SchemaIssue.InvalidValue({ message }))
      },
    }),
  ),
)
/** Always so for what `JSON.parse` has given. */
const isJson = Schema.is(Schema.Json)

/** In bytes. */
export interface PartsLimits {
  readonly part_bytes: number
  readonly parts_bytes: number
}

/** The texts of the parts. */
export const partsOf = <E>(
  format: Format,
  answer: Stream.Stream<Uint8Array, E>,
  limits: PartsLimits,
): Stream.Stream<string, E | HttpHandlerAnswerInvalid | HttpHandlerUnavailable> => {
  const texts = textsOf(bounded(answer, limits))
  return format === "lines" ? Stream.filter(Stream.splitLines(texts), (line) => line !== "") : eventsOf(texts, limits)
}

const lineFeed = 10

/** The same bytes, as far as their lines and their number are within the bounds, and up to the end of a line. */
const bounded = <E>(answer: Stream.Stream<Uint8Array, E>, { part_bytes, parts_bytes }: PartsLimits) =>
  Stream.suspend(() => {
    let total = 0
    /** Of the line that has not ended yet. */
    let line = 0
    const check = (bytes: Uint8Array) => {
      total += bytes.length
      let start = 0
      for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
        if (line + end - start > part_bytes) return Effect.fromResult(tooLong(part_bytes))
        line = 0
        start = end + 1
      }
      line += bytes.length - start
      if (line > part_bytes) return Effect.fromResult(tooLong(part_bytes))
      return total > parts_bytes
        ? Effect.fromResult(invalid(`is larger than ${parts_bytes} bytes`))
        : Effect.succeed(bytes)
    }
    const cut = Stream.suspend(() => (line === 0 ? Stream.empty : Stream.fail(cutOff("a line"))))
    return Stream.concat(Stream.mapEffect(answer, check), cut)
  })

const textsOf = <E>(answer: Stream.Stream<Uint8Array, E>) =>
  Stream.suspend(() => {
    const decoder = new TextDecoder("utf-8", { fatal: true })
    return Stream.mapEffect(answer, (bytes) =>
      Effect.try({
        try: () => decoder.decode(bytes, { stream: true }),
        catch: (cause) => new HttpHandlerAnswerInvalid({ reason: "is no UTF-8", cause }),
      }),
    )
  })

const eventsOf = <E>(texts: Stream.Stream<string, E>, { part_bytes }: PartsLimits) =>
  Stream.suspend(() => {
    let found: Array<string> = []
    const parser = Sse.makeParser((event) => event._tag === "Event" && found.push(event.data), {
      maxEventSize: part_bytes,
    })
    const read = (text: string) => {
      const refused = parser.feed(text)
      const events = found
      found = []
      return refused === undefined ? Effect.succeed(events) : Effect.fromResult(tooLong(part_bytes))
    }
    // What an empty line would have ended was not sent to its end.
    const cut = Stream.suspend(() => {
      parser.feed("\n\n")
      return found.length === 0 ? Stream.empty : Stream.fail(cutOff("an event"))
    })
    return Stream.concat(Stream.flattenIterable(Stream.mapEffect(texts, read)), cut)
  })

const invalid = (reason: string, cause: unknown = reason) =>
  Result.fail(new HttpHandlerAnswerInvalid({ reason, cause }))

const tooLong = (part_bytes: number) => invalid(`has a part of more than ${part_bytes} bytes`)

const cutOff = (where: string) => new HttpHandlerUnavailable({ reason: `stopped within ${where}`, cause: where })
