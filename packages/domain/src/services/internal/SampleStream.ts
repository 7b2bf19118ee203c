/** The sample task `stream`: it answers with the words of a text, one after the other, as a model does with its tokens. */
import { Effect, Schema, Stream } from "effect"
import { sampleLimits } from "../../Limits.ts"
import { makeTask } from "../Tasks.ts"

const { stream_chars, stream_every_ms, stream_most_ms } = sampleLimits

/** Each with the space behind it, so that the parts together are the text. */
export const wordsOf = (text: string): ReadonlyArray<string> => text.match(/\s*\S+\s*|\s+/gu) ?? []

/** Goes on behind what its earlier attempts have published, however their parts were joined. */
export const sampleStream = makeTask("stream", {
  input: Schema.Struct({
    text: Schema.String.check(Schema.isMaxLength(stream_chars)),
    every_ms: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: stream_most_ms }))),
  }),
  part: Schema.String,
  resumes: true,
  combine: "strings",
  handler: ({ every_ms = stream_every_ms, text }, { published }) =>
    Stream.unwrap(
      Effect.map(
        Stream.runFold(
          published,
          () => 0,
          (chars, part) => chars + part.length,
        ),
        (done) => paced(wordsOf(text.slice(done)), every_ms),
      ),
    ),
})

const paced = (words: ReadonlyArray<string>, every_ms: number): Stream.Stream<string> =>
  Stream.mapEffect(Stream.fromIterable(words), (word) => Effect.delay(Effect.succeed(word), every_ms))
