import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Stream } from "effect"
import { ClientId, EventId, seqUnsafe } from "../protocol/Ids.ts"
import { type TaskContext, Tasks } from "./Tasks.ts"

const context: TaskContext<Schema.Json> = {
  clientId: ClientId.make("ann"),
  eventId: EventId.make("e1"),
  seq: seqUnsafe(1),
  attempt: 2,
  published: Stream.make("a", "b"),
}

const say = Tasks.make("say", {
  input: Schema.Struct({ words: Schema.Array(Schema.String) }),
  part: Schema.String,
  resumes: true,
  handler: ({ words }, { published }) =>
    Stream.unwrap(Effect.map(Stream.runCount(published), (done) => Stream.fromIterable(words.slice(done)))),
})

describe("Tasks", () => {
  it.effect("gives the parts as JSON, behind those of earlier attempts", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(say.run({ words: ["a", "b", 'c"', "d"] }, context))
      assert.deepStrictEqual([...parts], [String.raw`"c\""`, '"d"'])
    }),
  )

  it.effect("says what is wrong with an input, a part, a published part, and a handler", () =>
    Effect.gen(function* () {
      const part = Schema.String.check(Schema.isMaxLength(1))
      const of = (handler: (input: string, about: TaskContext<string>) => Stream.Stream<string, unknown>) =>
        Tasks.make("one", { input: Schema.String, part, handler })
      const codeOf = (task: ReturnType<typeof of>, data: Schema.Json) =>
        Effect.map(Effect.flip(Stream.runDrain(task.run(data, context))), ({ code, message }) => [code, message])
      assert.strictEqual(
        (yield* codeOf(
          of((input) => Stream.make(input)),
          7,
        ))[0],
        "BAD_INPUT",
      )
      assert.strictEqual(
        (yield* codeOf(
          of((input) => Stream.make(input)),
          "ab",
        ))[0],
        "BAD_OUTPUT",
      )
      const failed = yield* codeOf(
        of(() => Stream.fail(new Error("no more"))),
        "a",
      )
      assert.deepStrictEqual(failed, ["HANDLER_FAILED", "no more"])
      const unexpected = "The handler failed unexpectedly"
      assert.deepStrictEqual(
        yield* codeOf(
          of(() => Stream.die("a bug")),
          "a",
        ),
        ["HANDLER_FAILED", unexpected],
      )
      const thrower = of(() => {
        throw new Error("a bug")
      })
      assert.deepStrictEqual(yield* codeOf(thrower, "a"), ["HANDLER_FAILED", unexpected])
    }),
  )

  it.effect("refuses two tasks of one name", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Tasks.pipe(Effect.provide(Tasks.layer([say, say]))))
      assert.isTrue(Exit.isFailure(exit))
    }),
  )
})
