import { assert, describe, it } from "@effect/vitest"
import { Context, Data, Effect, Exit, Fiber, Layer, Logger, Metric, Schedule, Schema, SchemaGetter } from "effect"
import { TestClock } from "effect/testing"
import { type Declared, type HandlerDeclaration, Handlers, type HandlerContext, type PlacedEvent } from "./Handlers.ts"
import { ClientId, EventId, seqUnsafe } from "../protocol/Ids.ts"
import { handlerLimits } from "../Limits.ts"
import { encodeResult, decodeResult, Event, type Result } from "../protocol/Records.ts"

describe("Handlers", () => {
  describe("the result of an event", () => {
    it.effect("is the handler's output, under the event's seq, id and name", () =>
      Effect.gen(function* () {
        const result = yield* given(Handlers.samples).when("sq", { number: 7 })
        assert.deepStrictEqual(result, {
          seq: seqUnsafe(12),
          id: EventId.make("e1"),
          name: "sq",
          data: { number: 7, result: 49 },
        })
      }),
    )

    it.effect("is UNKNOWN_EVENT where no handler has the name", () =>
      Effect.gen(function* () {
        const result = yield* given(Handlers.samples).when("nope", null)
        assert.deepStrictEqual(result.error, { code: "UNKNOWN_EVENT", message: `No handler is called "nope"` })
      }),
    )

    it.effect("is BAD_INPUT that says what does not fit", () =>
      Effect.gen(function* () {
        const { error } = yield* given(Handlers.samples).when("sq", { number: "7" })
        assert.strictEqual(error?.code, "BAD_INPUT")
        assert.include(error?.message, `["number"]`)
      }),
    )

    it.effect("is HANDLER_FAILED with the message of a typed failure", () =>
      Effect.gen(function* () {
        const { error } = yield* given([echo(() => Effect.fail(new Refused({ message: "not today" })))]).when("echo", 1)
        assert.deepStrictEqual(error, { code: "HANDLER_FAILED", message: "not today" })
      }),
    )

    it.effect("is HANDLER_FAILED with the tag of a typed failure that has no message", () =>
      Effect.gen(function* () {
        const { error } = yield* given([echo(() => Effect.fail({ _tag: "Refused" }))]).when("echo", 1)
        assert.deepStrictEqual(error, { code: "HANDLER_FAILED", message: "Refused" })
      }),
    )

    it.effect.each([
      ["dies at once", () => Effect.die(new Error("secret"))],
      ["dies later", () => Effect.andThen(Effect.yieldNow, Effect.die(new Error("secret")))],
      [
        "throws",
        () => {
          throw new Error("secret")
        },
      ],
      // As a handler may that was not compiled by TypeScript.
      ["returns no Effect", () => JSON.parse(`{"secret":1}`)],
    ] satisfies ReadonlyArray<[string, () => Effect.Effect<Schema.Json>]>)(
      "is HANDLER_FAILED where the handler %s; the defect is logged, not told",
      ([, dies]) =>
        Effect.gen(function* () {
          const logs: Array<string> = []
          const { error } = yield* given([echo(dies)])
            .when("echo", 1)
            .pipe(Effect.provide(captured(logs)))
          assert.deepStrictEqual(error, { code: "HANDLER_FAILED", message: "The handler failed unexpectedly" })
          assert.strictEqual(logs.length, 1)
          assert.match(logs[0] ?? "", /secret|returned no Effect/)
          assert.include(logs[0], "e1")
        }),
    )

    it.effect("is HANDLER_TIMEOUT where the handler is not done in time", () =>
      Effect.gen(function* () {
        const handling = yield* Effect.forkChild(given([echo(() => Effect.never)]).when("echo", 1), {
          startImmediately: true,
        })
        yield* TestClock.adjust(handlerLimits.handler_timeout_ms)
        const { error } = yield* Fiber.join(handling)
        assert.deepStrictEqual(error, { code: "HANDLER_TIMEOUT", message: "Not done within 10000 ms" })
      }),
    )

    it.effect("is BAD_OUTPUT where the output does not fit its schema; what does not is logged", () =>
      Effect.gen(function* () {
        const logs: Array<string> = []
        const half = Handlers.make("half", {
          input: Schema.Int,
          output: Schema.Int,
          handler: (n) => Effect.succeed(n / 2),
        })
        const { error } = yield* given([half])
          .when("half", 3)
          .pipe(Effect.provide(captured(logs)))
        assert.strictEqual(error?.code, "BAD_OUTPUT")
        assert.include(logs.join(), "Expected an integer")
      }),
    )

    it.effect.each(["at once", "later"])("is HANDLER_FAILED where the schema throws as it encodes, %s", (when) =>
      Effect.gen(function* () {
        const logs: Array<string> = []
        const output = Schema.Int.pipe(
          Schema.decodeTo(Schema.Int, {
            decode: SchemaGetter.passthrough(),
            encode: SchemaGetter.transform((): number => {
              throw new Error("secret")
            }),
          }),
        )
        const work = when === "at once" ? Effect.succeed(1) : Effect.as(Effect.yieldNow, 1)
        const { error } = yield* given([Handlers.make("throws", { input: Schema.Int, output, handler: () => work })])
          .when("throws", 3)
          .pipe(Effect.provide(captured(logs)))
        assert.deepStrictEqual(error, { code: "HANDLER_FAILED", message: "The handler failed unexpectedly" })
        assert.include(logs.join(), "secret")
      }),
    )

    it.effect("cuts off a message that is too long", () =>
      Effect.gen(function* () {
        const { error } = yield* given([echo(() => Effect.fail("x".repeat(5_000)))]).when("echo", 1)
        assert.strictEqual(error?.message.length, handlerLimits.failure_message_chars)
        assert.isTrue(error?.message.endsWith("…"))
      }),
    )

    it.effect("of a message is its data, whatever handlers there are", () =>
      Effect.gen(function* () {
        const handlers = yield* Handlers
        const event: Event = { type: "message", id: EventId.make("m1"), name: "sq", data: "not a number" }
        const result = yield* handlers.handle({ ...placed, event })
        assert.deepStrictEqual(result, { seq: placed.seq, id: event.id, name: "sq", data: "not a number" })
      }).pipe(Effect.provide(Handlers.layer(Handlers.samples))),
    )

    it.effect.prop("is a record that decodes, with data or an error, for whatever event", [Event], ([event]) =>
      Effect.gen(function* () {
        const handlers = yield* Handlers
        const result = yield* handlers.handle({ ...placed, event })
        assert.strictEqual("data" in result, !("error" in result))
        assert.strictEqual(decodeResult(encodeResult(result))._tag, "Success")
      }).pipe(Effect.provide(Handlers.layer(Handlers.samples))),
    )
  })

  describe("a handler", () => {
    it.effect("is given the client, the event's id, its seq and that it is the first attempt", () =>
      Effect.gen(function* () {
        const seen: Array<HandlerContext> = []
        yield* given([
          echo((_, context) => {
            seen.push(context)
            return Effect.succeed(null)
          }),
        ]).when("echo", 1)
        assert.deepStrictEqual(seen, [
          { clientId: placed.clientId, eventId: EventId.make("e1"), seq: placed.seq, attempt: 1, caller: undefined },
        ])
      }),
    )

    it.effect("gets its input decoded and has its output encoded", () =>
      Effect.gen(function* () {
        const tomorrow = Handlers.make("tomorrow", {
          input: Schema.DateFromString,
          output: Schema.Struct({ at: Schema.Date }),
          handler: (date) => Effect.succeed({ at: new Date(date.getTime() + 86_400_000) }),
        })
        const { data } = yield* given([tomorrow]).when("tomorrow", "2026-01-31T00:00:00.000Z")
        assert.deepStrictEqual(data, { at: "2026-02-01T00:00:00.000Z" })
      }),
    )

    it.effect("takes what it needs from the environment of the layer", () =>
      Effect.gen(function* () {
        const greet = Handlers.make("greet", {
          input: Schema.String,
          output: Schema.String,
          handler: (name) => Greeting.use((greeting) => Effect.succeed(`${greeting.word} ${name}`)),
        })
        const handlers = yield* Effect.provide(
          Handlers,
          Handlers.layer([greet, ...Handlers.samples]).pipe(Layer.provide(Layer.succeed(Greeting, { word: "hello" }))),
        )
        const { data } = yield* handlers.handle({ ...placed, event: eventOf("greet", "you") })
        assert.strictEqual(data, "hello you")
      }),
    )

    it.effect("is refused if another has its name", () =>
      Effect.gen(function* () {
        const layer = Handlers.layer([...Handlers.samples, ...Handlers.samples])
        const refused = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        assert.strictEqual(refused._tag, "DuplicateHandler")
        assert.strictEqual(refused.message, `two handlers are called "sq"`)
      }),
    )

    it.effect.each([
      [{ timeout: 0 }, `the handler "h": its timeout must be from 1 ms to 2147483647 ms, and is 0 ms`],
      [{ timeout: "Infinity" }, /is Infinity ms$/],
      [{ timeout: "30 days" }, /is 2592000000 ms$/],
      [{ at_once: 0 }, `the handler "h": its at_once must be a whole number from 1 on, and is 0`],
      [{ at_once: 1.5 }, /is 1.5$/],
    ] satisfies ReadonlyArray<
      [Partial<HandlerDeclaration<unknown, unknown, unknown, unknown, never, never>>, string | RegExp]
    >)("is refused if it says of itself what can't be: %j", ([options, message]) =>
      Effect.gen(function* () {
        const handler = Handlers.make("h", { ...json, handler: Effect.succeed, ...options })
        const refused = yield* Effect.flip(Effect.scoped(Layer.build(Handlers.layer([handler]))))
        assert.strictEqual(refused._tag, "BadHandler")
        if (typeof message === "string") assert.strictEqual(refused.message, message)
        else assert.match(refused.message, message)
      }),
    )

    it.effect("has the time that it says, for all its attempts together", () =>
      Effect.gen(function* () {
        let attempts = 0
        const slow = Handlers.make("echo", {
          ...json,
          handler: () =>
            Effect.andThen(
              Effect.sleep("2 seconds"),
              Effect.suspend(() => Effect.fail(++attempts)),
            ),
          timeout: "5 seconds",
          retry: Schedule.forever,
        })
        const handling = yield* Effect.forkChild(given([slow]).when("echo", 1), { startImmediately: true })
        yield* TestClock.adjust("5 seconds")
        const { error } = yield* Fiber.join(handling)
        assert.deepStrictEqual(error, { code: "HANDLER_TIMEOUT", message: "Not done within 5000 ms" })
        assert.strictEqual(attempts, 2)
      }),
    )

    it.effect("may take longer than those that say nothing", () =>
      Effect.gen(function* () {
        const slow = Handlers.make("echo", {
          ...json,
          handler: (n) => Effect.as(Effect.sleep("1 minute"), n),
          timeout: "2 minutes",
        })
        const handling = yield* Effect.forkChild(given([slow]).when("echo", 1), { startImmediately: true })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Fiber.join(handling)).data, 1)
      }),
    )
  })

  describe("a retry", () => {
    const failing = (times: number, failure: () => Effect.Effect<never, Refused>) => {
      const seen = { attempts: 0, told: new Array<number>() }
      const handler = Handlers.make("echo", {
        ...json,
        handler: (data, { attempt }) =>
          Effect.suspend(() => {
            seen.told.push(attempt)
            return ++seen.attempts <= times ? failure() : Effect.succeed(data)
          }),
        retry: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 3 })),
        final: ({ message }) => message === "never",
      })
      const outcome = Effect.gen(function* () {
        const handling = yield* Effect.forkChild(given([handler]).when("echo", 7), { startImmediately: true })
        yield* TestClock.adjust("4 seconds")
        return { result: yield* Fiber.join(handling), ...seen }
      })
      return outcome
    }
    const refused = (message: string) => () => Effect.fail(new Refused({ message }))

    it.effect("runs the handler again by its schedule after a typed failure, and is counted", () =>
      Effect.gen(function* () {
        const { attempts, result, told } = yield* failing(2, refused("not yet"))
        assert.deepStrictEqual([attempts, result.data], [3, 7])
        assert.deepStrictEqual(told, [1, 2, 3])
        const snapshot = yield* Metric.snapshot
        const counted = snapshot.find(
          ({ attributes, id }) => id === "nimbus_handler_retries_total" && attributes?.["handler"] === "echo",
        )
        assert.deepStrictEqual(counted?.state, { count: 2, incremental: true })
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())),
    )

    it.effect("ends with the last failure when the schedule ends", () =>
      Effect.gen(function* () {
        const { attempts, result } = yield* failing(9, refused("not yet"))
        assert.deepStrictEqual([attempts, result.error], [4, { code: "HANDLER_FAILED", message: "not yet" }])
      }),
    )

    it.effect("is not made after a failure that is final", () =>
      Effect.gen(function* () {
        const { attempts, result } = yield* failing(9, refused("never"))
        assert.deepStrictEqual([attempts, result.error], [1, { code: "HANDLER_FAILED", message: "never" }])
      }),
    )

    it.effect("is not made after a defect", () =>
      Effect.gen(function* () {
        const { attempts, result } = yield* failing(9, () => Effect.die(new Error("a bug")))
        assert.deepStrictEqual([attempts, result.error?.code], [1, "HANDLER_FAILED"])
      }).pipe(Effect.provide(captured([]))),
    )

    it.effect("is not made for input or output that does not fit", () =>
      Effect.gen(function* () {
        let attempts = 0
        const half = Handlers.make("half", {
          input: Schema.Int,
          output: Schema.Int,
          handler: (n) => Effect.sync(() => (attempts++, n / 2)),
          retry: Schedule.forever,
        })
        const { when } = given([half])
        assert.strictEqual((yield* when("half", "one")).error?.code, "BAD_INPUT")
        assert.strictEqual((yield* when("half", 3)).error?.code, "BAD_OUTPUT")
        assert.strictEqual(attempts, 1)
      }).pipe(Effect.provide(captured([]))),
    )

    it.effect("does not begin the first attempt twice", () =>
      Effect.gen(function* () {
        let begun = 0
        const handler = Handlers.make("echo", {
          ...json,
          handler: (n) => (begun++, Effect.andThen(Effect.yieldNow, Effect.succeed(n))),
          retry: Schedule.forever,
        })
        assert.strictEqual((yield* given([handler]).when("echo", 1)).data, 1)
        assert.strictEqual(begun, 1)
      }),
    )
  })

  it.effect("knows its names, and how many of each may run at once", () =>
    Effect.gen(function* () {
      const few = Handlers.make("few", { ...json, handler: Effect.succeed, at_once: 2 })
      const handlers = yield* Effect.provide(Handlers, Handlers.layer([few, ...Handlers.samples]))
      assert.deepStrictEqual(
        ["few", "sq", "nope"].map((name) => handlers.knows(name)),
        [true, true, false],
      )
      assert.deepStrictEqual(
        ["few", "sq"].map((name) => handlers.limitOf(name)),
        [2, undefined],
      )
      for (let i = 0; i < 2; i++) handlers.slots.take("few")
      assert.deepStrictEqual(
        ["few", "sq"].map((name) => handlers.slots.has(name)),
        [false, true],
      )
    }),
  )

  describe("the sample sq", () => {
    it.effect.prop("squares any integer whose square is a safe integer", [root], ([number]) =>
      Effect.gen(function* () {
        const { data } = yield* given(Handlers.samples).when("sq", { number })
        assert.deepStrictEqual(data, { number, result: number * number })
      }),
    )

    it.effect.each([94_906_266, -94_906_266, 2 ** 60, 0.5])("refuses %d", (number) =>
      Effect.gen(function* () {
        const { error } = yield* given(Handlers.samples).when("sq", { number })
        assert.strictEqual(error?.code, "BAD_INPUT")
      }),
    )
  })

  it.effect.prop("the sample event echoes any data", [Schema.Json], ([data]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* given(Handlers.samples).when("event", data)).data, data)
    }),
  )

  it.effect("the sample slow answers after as many ms as it is told, and is told no more than 10 s", () =>
    Effect.gen(function* () {
      const asked = yield* Effect.forkChild(given(Handlers.samples).when("slow", { ms: 3_000 }))
      yield* TestClock.adjust(2_999)
      assert.isUndefined(asked.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual((yield* Fiber.join(asked)).data, { ms: 3_000 })
      const { error } = yield* given(Handlers.samples).when("slow", { ms: 10_001 })
      assert.strictEqual(error?.code, "BAD_INPUT")
    }),
  )

  it.effect("what is done without waiting is there at once, an error too", () =>
    Effect.gen(function* () {
      const handlers = yield* Handlers
      for (const [name, data] of [
        ["sq", { number: 3 }],
        ["sq", "no number"],
        ["nope", null],
      ] as const) {
        assert.isTrue(Exit.isExit(handlers.handle({ ...placed, event: eventOf(name, data) })), name)
      }
    }).pipe(Effect.provide(Handlers.layer(Handlers.samples))),
  )
})

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

class Greeting extends Context.Service<Greeting, { readonly word: string }>()("test/Greeting") {}

const root = Schema.Int.check(Schema.isBetween({ minimum: -94_906_265, maximum: 94_906_265 }))

const placed = { clientId: ClientId.make("c1"), seq: seqUnsafe(12) } satisfies Omit<PlacedEvent, "event">

const eventOf = (name: string, data: Schema.Json): Event => ({ type: "event", id: EventId.make("e1"), name, data })

const json = { input: Schema.Json, output: Schema.Json }

const echo = <E>(handler: (data: Schema.Json, context: HandlerContext) => Effect.Effect<Schema.Json, E>) =>
  Handlers.make("echo", { input: Schema.Json, output: Schema.Json, handler })

const given = (handlers: ReadonlyArray<Declared<never>>) => ({
  when: (name: string, data: Schema.Json): Effect.Effect<Result> =>
    Handlers.use((service) => service.handle({ ...placed, event: eventOf(name, data) })).pipe(
      Effect.provide(Handlers.layer(handlers)),
      Effect.orDie,
    ),
})

/** Keeps what is logged. */
const captured = (logs: Array<string>) => Logger.layer([Logger.map(Logger.formatJson, (line) => void logs.push(line))])
