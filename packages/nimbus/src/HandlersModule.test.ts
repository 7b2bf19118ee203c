import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { ClientId, EventId, Seq } from "@nimbus/domain/protocol"
import { Handlers } from "@nimbus/domain/services"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as HandlersModule from "./HandlersModule.ts"
import { temporaryDirectory } from "./testing/Processes.ts"

const packages = fileURLToPath(new URL("../node_modules", import.meta.url))

const imports = `import { Handlers } from "@nimbus/domain"
import { Context, Effect, Layer, Schema, Stream } from "effect"
const task = (name) => Handlers.task(name, { input: Schema.Json, part: Schema.Json, handler: () => Stream.empty })
const make = (name, handler) => Handlers.make(name, { input: Schema.Json, output: Schema.Json, handler })
`

/** A module with this code; without code there is no file. */
const moduleOf = Effect.fnUntraced(function* (code: string | undefined, name = "handlers.mjs") {
  const directory = yield* temporaryDirectory
  symlinkSync(packages, join(directory, "node_modules"))
  const path = join(directory, name)
  if (code !== undefined) writeFileSync(path, code)
  return path
})

/** What an event of this name has as its result. */
const resultOf = (name: string) =>
  Effect.flatMap(Handlers, (handlers) =>
    handlers.handle({
      clientId: ClientId.make("c1"),
      seq: Seq.make(0),
      event: { type: "event", id: EventId.make("e1"), name, data: 7 },
    }),
  )

const handled = (path: string) =>
  Effect.gen(function* () {
    const layer = HandlersModule.layerOf(yield* HandlersModule.load(path))
    return yield* Effect.provide(resultOf("twice"), layer)
  })

describe("a module of handlers", () => {
  it.live.each([
    {
      what: "an array in TypeScript",
      name: "handlers.ts",
      code: `import { Handlers } from "@nimbus/domain"
        import { Effect, Schema } from "effect"
        const twice = (number: number): number => 2 * number
        const input: Schema.Codec<number> = Schema.Number
        export default [Handlers.make("twice", { input, output: input, handler: (n) => Effect.succeed(twice(n)) })]`,
    },
    { what: "an array", code: `${imports}export default [make("twice", (n) => Effect.succeed(2 * n))]` },
    {
      what: "a layer with what its handlers need",
      code: `${imports}
        class Factor extends Context.Service()("Factor") {}
        const twice = make("twice", (n) => Effect.map(Factor, ({ factor }) => factor * n))
        export default Handlers.layer([twice]).pipe(Layer.provide(Layer.succeed(Factor, { factor: 2 })))`,
    },
  ])("is $what", ({ code, name }) =>
    Effect.gen(function* () {
      const path = yield* moduleOf(code, name)
      assert.deepInclude(yield* handled(path), { name: "twice", data: 14 })
    }),
  )

  it.live("may have tasks beside handlers", () =>
    Effect.gen(function* () {
      const path = yield* moduleOf(
        `${imports}export default [make("twice", (n) => Effect.succeed(2 * n)), task("ask")]`,
      )
      const handlers = yield* Effect.provide(Handlers, HandlersModule.layerOf(yield* HandlersModule.load(path)))
      assert.deepStrictEqual([...handlers.tasks.keys()], ["ask"])
      assert.isTrue(handlers.knows("twice"))
    }),
  )

  it.live.each([
    { what: "is not there", code: undefined, says: /there is no file \S+handlers\.mjs$/ },
    { what: "throws", code: `throw new Error("boom")`, says: /it can't be loaded: boom$/ },
    { what: "throws no error", code: `throw 5`, says: /it can't be loaded: 5$/ },
    { what: "imports what is not there", code: `import "nowhere"`, says: /it can't be loaded: .*nowhere/ },
    {
      what: "has no default export",
      code: `export const handlers = []`,
      says: /it has no default export; it must be an/,
    },
    { what: "exports a number", code: `export default 5`, says: /its default export is a number; it must be an/ },
    { what: "exports nothing", code: `export default undefined`, says: /its default export is undefined; it must/ },
    { what: "exports one handler", code: `${imports}export default make("a", Effect.succeed)`, says: /is an object; / },
    {
      what: "has an element that is no handler",
      code: `${imports}export default [make("a", Effect.succeed), { name: "b" }]`,
      says: /element 1 of its default export is an object and no handler$/,
    },
    {
      what: "has an element that is no task",
      code: `${imports}export default [{ kind: "task", name: "b" }]`,
      says: /element 0 of its default export is an object and no handler$/,
    },
    {
      what: "has a task and a handler of one name",
      code: `${imports}export default [make("a", Effect.succeed), task("a")]`,
      says: /"?a"?/,
      code_: "DUPLICATE_HANDLER",
    },
    {
      what: "has a hole",
      code: `export default [null]`,
      says: /element 0 of its default export is null and no handler$/,
    },
    {
      what: "has two handlers of one name",
      code: `${imports}export default [make("a", Effect.succeed), make("a", Effect.succeed)]`,
      says: /"?a"?/,
      code_: "DUPLICATE_HANDLER",
    },
    {
      what: "has them in a layer",
      code: `${imports}export default Handlers.layer([make("a", Effect.succeed), make("a", Effect.succeed)])`,
      says: /its layer failed: two handlers are called "a"$/,
    },
    {
      what: "is a layer of something else",
      code: `${imports}export default Layer.succeed(class Other extends Context.Service()("Other") {}, {})`,
      says: /its default export is a layer without Handlers; it must be an/,
    },
    {
      what: "is a layer that fails",
      code: `${imports}export default Layer.effect(Handlers, Effect.fail(new Error("no database")))`,
      says: /its layer failed: no database$/,
    },
    {
      what: "is a layer that lacks something",
      code: `${imports}
        class Database extends Context.Service()("Database") {}
        export default Layer.effect(Handlers, Database)`,
      says: /its layer failed: .*Database/,
    },
  ])("that $what is refused in one line", ({ code, code_ = "HANDLERS_MODULE_BAD", says }) =>
    Effect.gen(function* () {
      const path = yield* moduleOf(code)
      const error = yield* Effect.flip(handled(path))
      assert.strictEqual(error.code, code_)
      assert.match(error.message, says)
    }),
  )

  it.live("that is a folder is refused", () =>
    Effect.gen(function* () {
      const path = yield* moduleOf(undefined, "folder")
      mkdirSync(path)
      const error = yield* Effect.flip(handled(path))
      assert.strictEqual(error.code, "HANDLERS_MODULE_BAD")
    }),
  )

  it.effect("that waits for ever at its top level is refused", () =>
    Effect.gen(function* () {
      const path = yield* moduleOf(`await new Promise((resolve) => setTimeout(resolve, 2 ** 30).unref())`)
      const fiber = yield* Effect.forkChild(Effect.flip(handled(path)), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.include((yield* Fiber.join(fiber)).message, "it is not loaded after 60000 ms")
    }),
  )
})
