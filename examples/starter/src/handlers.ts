/** What the application does with the events that clients send. */
import { Handlers } from "@nimbus/domain"
import { Effect, Schedule, Schema, Stream } from "effect"

/** A handler: one answer to each event `greet`. The events of one client are handled in order, one at a time. */
export const greet = Handlers.make("greet", {
  input: Schema.Struct({ name: Schema.NonEmptyString }),
  output: Schema.Struct({ text: Schema.String }),
  handler: ({ name }) => Effect.succeed({ text: `Hello, ${name}!` }),
})

/**
 * A task: an answer in parts, each sent as soon as it is there, while other events of the client are handled. If this process
 * dies in the middle, the next one goes on behind the parts that were published.
 */
export const tell = Handlers.task("tell", {
  input: Schema.Struct({ hero: Schema.NonEmptyString }),
  part: Schema.String,
  resumes: true,
  handler: ({ hero }, { published }) =>
    Stream.unwrap(
      Effect.map(Stream.runCount(published), (count) =>
        Stream.fromIterable(wordsAbout(hero).slice(count)).pipe(Stream.schedule(Schedule.spaced("150 millis"))),
      ),
    ),
})

const wordsAbout = (hero: string): ReadonlyArray<string> =>
  `Once upon a time ${hero} went out to sea, and came back with a story.`.split(/(?<= )/)
