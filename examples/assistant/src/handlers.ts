/**
 * The task `ask`. The words stand for the tokens of a model, and the pause for the time that each takes.
 *
 * It resumes: a worker that follows one that died gets what was published, and asks for the rest alone.
 */
import { Handlers } from "@nimbus/domain"
import { Effect, Schema, Stream } from "effect"
import { wordsOf } from "./Answers.ts"

const pause = "60 millis"

const ask = Handlers.task("ask", {
  input: Schema.Struct({ question: Schema.String }),
  part: Schema.String,
  combine: "strings",
  resumes: true,
  handler: ({ question }, { published }) =>
    Stream.unwrap(
      Effect.map(Stream.mkString(published), (said) =>
        Stream.mapEffect(Stream.fromIterable(unsaid(wordsOf(question), said)), (word) =>
          Effect.as(Effect.sleep(pause), word),
        ),
      ),
    ),
})

/** Words that were joined are one part: what counts is the text. */
const unsaid = (words: ReadonlyArray<string>, said: string): ReadonlyArray<string> => {
  let chars = 0
  return words.filter((word) => (chars += word.length) > said.length)
}

export default [ask]
