import { assert, describe, it } from "@effect/vitest"
import { Context, Data, Effect, Exit, Fiber, Layer, Logger, Schema, SchemaGetter } from "effect"
import { TestClock } from "effect/testing"
import { type Handler, Handlers, type HandlerContext, type PlacedEvent } from "./Handlers.ts"
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
    it.effect("is given the client, the event's id and its seq", () =>
      Effect.gen(function* () {
        const seen: Array<HandlerContext> = []
        yield* given([
          echo((_, context) => {
            seen.push(context)
            return Effect.succeed(null)
          }),
        ]).when("echo", 1)
        assert.deepStrictEqual(seen, [{ clientId: placed.clientId, eventId: EventId.make("e1"), seq: placed.seq }])
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
        assert.deepStrictEqual({ code: refused.code, name: refused.name }, { code: "DUPLICATE_HANDLER", name: "sq" })
        assert.strictEqual(refused.message, `two handlers are called "sq"`)
      }),
    )
  })

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

const echo = <E>(handler: (data: Schema.Json, context: HandlerContext) => Effect.Effect<Schema.Json, E>) =>
  Handlers.make("echo", { input: Schema.Json, output: Schema.Json, handler })

const given = (handlers: ReadonlyArray<Handler<never>>) => ({
  when: (name: string, data: Schema.Json): Effect.Effect<Result> =>
    Handlers.use((service) => service.handle({ ...placed, event: eventOf(name, data) })).pipe(
      Effect.provide(Handlers.layer(handlers)),
      Effect.orDie,
    ),
})

/** Keeps what is logged. */
const captured = (logs: Array<string>) => Logger.layer([Logger.map(Logger.formatJson, (line) => void logs.push(line))])
