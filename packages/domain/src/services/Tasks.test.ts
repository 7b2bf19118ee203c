import { assert, describe, it } from "@effect/vitest"
import { Context, Data, Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ClientId, EventId, seqUnsafe } from "../protocol/Ids.ts"
import { Handlers } from "./Handlers.ts"
import type { TaskContext, TaskDeclaration } from "./Tasks.ts"

const context: TaskContext<Schema.Json> = {
  clientId: ClientId.make("ann"),
  eventId: EventId.make("e1"),
  seq: seqUnsafe(1),
  attempt: 2,
  published: Stream.make("a", "b"),
}

const say = Handlers.task("say", {
  input: Schema.Struct({ words: Schema.Array(Schema.String) }),
  part: Schema.String,
  resumes: true,
  handler: ({ words }, { published }) =>
    Stream.unwrap(Effect.map(Stream.runCount(published), (done) => Stream.fromIterable(words.slice(done)))),
})

describe("Tasks", () => {
  it.effect("gives the parts as JSON, behind those of earlier attempts", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(say.begin({ words: ["a", "b", 'c"', "d"] }).attempt(context))
      assert.deepStrictEqual([...parts], [String.raw`"c\""`, '"d"'])
    }),
  )

  it.effect("says what is wrong with an input, a part, a published part, and a handler", () =>
    Effect.gen(function* () {
      const part = Schema.String.check(Schema.isMaxLength(1))
      const of = (handler: (input: string, about: TaskContext<string>) => Stream.Stream<string, unknown>) =>
        Handlers.task("one", { input: Schema.String, part, handler })
      const codeOf = (task: ReturnType<typeof of>, data: Schema.Json) =>
        Effect.map(Effect.flip(Stream.runDrain(task.begin(data).attempt(context))), ({ code, message }) => [
          code,
          message,
        ])
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

  describe("the sample stream", () => {
    const [, , , stream] = Handlers.samples
    const text = " one  two\nthree "
    const answer = (published: ReadonlyArray<string>, input: Schema.Json = { text, every_ms: 0 }) =>
      Effect.gen(function* () {
        const about = { ...context, published: Stream.fromIterable(published) }
        const parts = yield* Effect.forkChild(Stream.runCollect(stream.begin(input).attempt(about)))
        yield* TestClock.adjust(1)
        return yield* Fiber.join(parts)
      })

    it.effect("answers the words of a text, which together are the text", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* answer([]), ['" one  "', String.raw`"two\n"`, '"three "'])
        assert.deepStrictEqual(yield* answer([], { text: "" }), [])
      }),
    )

    it.effect("goes on behind what was published, however it was joined", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* answer([" one  ", "two\n"]), ['"three "'])
        assert.deepStrictEqual(yield* answer([" one  two\n"]), ['"three "'])
        assert.deepStrictEqual(yield* answer([text]), [])
      }),
    )

    it.effect("takes its time, and no longer text or pause than it may", () =>
      Effect.gen(function* () {
        const about = { ...context, published: Stream.empty }
        const asked = yield* Effect.forkChild(Stream.runCollect(stream.begin({ text: "a b" }).attempt(about)))
        yield* TestClock.adjust(399)
        assert.isUndefined(asked.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* Fiber.join(asked), ['"a "', '"b"'])
        for (const input of [{ text: "x".repeat(4_001) }, { text, every_ms: 1_001 }]) {
          const { code } = yield* Effect.flip(answer([], input))
          assert.strictEqual(code, "BAD_INPUT")
        }
      }),
    )
  })

  it.effect("are in one array with handlers, and no two of them have the same name", () =>
    Effect.gen(function* () {
      const { knows, limitOf, tasks } = yield* Handlers.pipe(Effect.provide(Handlers.layer([...Handlers.samples, say])))
      assert.deepStrictEqual([...tasks.keys()], ["stream", "say"])
      assert.isTrue(knows("say") && knows("sq") && !knows("ask"))
      // It takes no slot of handlers.
      assert.isUndefined(limitOf("say"))
      const sq = Handlers.task("sq", { input: Schema.Json, part: Schema.Json, handler: () => Stream.empty })
      for (const both of [
        [say, say],
        [...Handlers.samples, sq],
        [sq, ...Handlers.samples],
      ]) {
        const refused = yield* Effect.flip(Effect.provide(Handlers, Handlers.layer(both)))
        assert.strictEqual(refused.code, "DUPLICATE_HANDLER")
      }
    }),
  )

  it.effect.each([
    [{ timeout: 0 }, "its timeout must be from 1 ms to 2147483647 ms, and is 0 ms"],
    [{ timeout: "25 days" }, "its timeout must be from 1 ms to 2147483647 ms, and is 2160000000 ms"],
    [{ at_once: 0 }, "its at_once must be a whole number from 1 on, and is 0"],
    [{ at_once: { all: 1.5 } }, "its at_once must be a whole number from 1 on, and is 1.5"],
    [{ at_once: { client: NaN } }, "its at_once of one client must be a whole number from 1 on, and is NaN"],
    [{ join_ms: -1 }, "its join_ms must be from 0 ms to 2147483647 ms, and is -1 ms"],
    [{ join_ms: NaN }, "its join_ms must be from 0 ms to 2147483647 ms, and is NaN ms"],
  ] satisfies ReadonlyArray<[Partial<Options>, string]>)(
    "that say of themselves what can't be are refused: %j",
    ([options, reason]) =>
      Effect.gen(function* () {
        const task = Handlers.task("one", {
          input: Schema.Json,
          part: Schema.Json,
          handler: () => Stream.empty,
          ...options,
        })
        const refused = yield* Effect.flip(Effect.provide(Handlers, Handlers.layer([task])))
        assert.deepInclude(refused, { code: "BAD_HANDLER", reason })
      }),
  )

  it.effect("say how they are run, or are given the defaults", () =>
    Effect.gen(function* () {
      const said = { timeout: "1 minute", at_once: { all: 20, client: 2 }, combine: "strings", join_ms: 0 } as const
      const task = Handlers.task("one", {
        input: Schema.Json,
        part: Schema.String,
        handler: () => Stream.empty,
        ...said,
      })
      const { tasks } = yield* Handlers.pipe(Effect.provide(Handlers.layer([task, say])))
      const { combine, join_ms } = said
      const one = { timeout_ms: 60_000, at_once: 20, client_at_once: 2, combine, join_ms, resumes: false }
      assert.deepInclude({ ...tasks.get("one") }, one)
      const none = { at_once: undefined, client_at_once: undefined, combine: undefined }
      assert.deepInclude({ ...tasks.get("say") }, { timeout_ms: 3_600_000, join_ms: 20, resumes: true, ...none })
    }),
  )

  it.effect("fail, and are retried by their schedule, unless the failure is final or not of their handler", () =>
    Effect.gen(function* () {
      let failures: Array<Stream.Stream<string, Busy | Gone>> = []
      const task = Handlers.task("one", {
        input: Schema.String,
        part: Schema.String.check(Schema.isMaxLength(3)),
        handler: () => failures.shift() ?? Stream.make("ok"),
        retry: Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 2 })),
        final: (failure) => failure._tag === "Gone",
      })
      const waits = Effect.fnUntraced(function* (data: Schema.Json, of: typeof failures) {
        failures = of
        const work = task.begin(data)
        const waits: Array<number | undefined> = []
        for (let failed = true; failed;) {
          failed = yield* Stream.runDrain(work.attempt(context)).pipe(
            Effect.as(false),
            Effect.catch(() => Effect.succeed(true)),
          )
          if (!failed) return waits
          const retry_ms = yield* work.retry_ms
          waits.push(retry_ms)
          if (retry_ms === undefined) return waits
        }
        return waits
      })
      const busy = Stream.fail(new Busy())
      assert.deepStrictEqual(yield* waits("a", [busy, Stream.concat(Stream.make("a"), busy)]), [100, 200])
      assert.deepStrictEqual(yield* waits("a", [busy, busy, busy, busy]), [100, 200, undefined])
      assert.deepStrictEqual(yield* waits("a", [busy, Stream.fail(new Gone())]), [100, undefined])
      assert.deepStrictEqual(yield* waits("a", [busy, Stream.die("a bug")]), [100, undefined])
      assert.deepStrictEqual(yield* waits("a", [busy, Stream.make("long")]), [100, undefined])
      assert.deepStrictEqual(yield* waits(7, []), [undefined])
    }),
  )

  it.effect("take what they need from the layer's environment", () =>
    Effect.gen(function* () {
      const task = Handlers.task("one", {
        input: Schema.Json,
        part: Schema.String,
        handler: () => Stream.fromEffect(Effect.map(Words, (words) => words.join(" "))),
      })
      const layer = Handlers.layer([task]).pipe(Layer.provide(Layer.succeed(Words, ["a", "b"])))
      const { tasks } = yield* Effect.provide(Handlers, layer)
      const one = tasks.get("one") ?? assert.fail("no task")
      assert.deepStrictEqual([...(yield* Stream.runCollect(one.begin(null).attempt(context)))], ['"a b"'])
    }),
  )
})

type Options = Pick<
  TaskDeclaration<Schema.Json, Schema.Json, Schema.Json, Schema.Json, never, never>,
  "timeout" | "at_once" | "join_ms"
>

class Busy extends Data.TaggedError("Busy") {}
class Gone extends Data.TaggedError("Gone") {}
class Words extends Context.Service<Words, ReadonlyArray<string>>()("test/Words") {}
