import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, FiberSet } from "effect"
import { KafkaUnavailable } from "../Errors.ts"
import { Coalesced } from "./Coalesced.ts"

/** Answers each question with how many loads there had been before, when it is let. */
const make = Effect.gen(function* () {
  const loads: Array<{
    readonly keys: ReadonlyArray<string>
    readonly done: Deferred.Deferred<void, KafkaUnavailable>
  }> = []
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const questions = new Coalesced<string, number>((keys) => {
    const done = Deferred.makeUnsafe<void, KafkaUnavailable>()
    const number = loads.push({ keys, done })
    return Effect.as(Deferred.await(done), new Map(keys.filter((key) => key !== "?").map((key) => [key, number])))
  }, fork)
  const ask = (key: string) => Effect.forkChild(questions.ask(key), { startImmediately: true })
  const loaded = (count: number) =>
    Effect.whileLoop({ while: () => loads.length < count, body: () => Effect.yieldNow, step: () => {} })
  return { loads, ask, loaded }
})

describe("Coalesced", () => {
  it.effect("asks once for all who ask in one turn, and answers each", () =>
    Effect.gen(function* () {
      const { ask, loaded, loads } = yield* make
      const asking = yield* Effect.forEach(["a", "b", "a", "?"], ask)
      yield* loaded(1)
      yield* Deferred.succeed(loads[0]!.done, undefined)
      assert.deepStrictEqual(yield* Fiber.joinAll(asking), [1, 1, 1, undefined])
      assert.deepStrictEqual(loads[0]!.keys, ["a", "b", "?"])
    }),
  )

  it.effect(
    "never answers with what was asked for before: who comes while a request is under way shares the next",
    () =>
      Effect.gen(function* () {
        const { ask, loaded, loads } = yield* make
        const first = yield* ask("a")
        yield* loaded(1)
        const second = yield* ask("a")
        const third = yield* ask("b")
        assert.lengthOf(loads, 1)
        yield* Deferred.succeed(loads[0]!.done, undefined)
        assert.strictEqual(yield* Fiber.join(first), 1)
        yield* loaded(2)
        yield* Deferred.succeed(loads[1]!.done, undefined)
        assert.deepStrictEqual(yield* Fiber.joinAll([second, third]), [2, 2])
      }),
  )

  it.effect("a request that fails fails those who shared it, and nobody else", () =>
    Effect.gen(function* () {
      const { ask, loaded, loads } = yield* make
      const first = yield* ask("a")
      yield* loaded(1)
      const second = yield* ask("a")
      yield* Deferred.fail(loads[0]!.done, new KafkaUnavailable({ cause: new Error("away") }))
      assert.strictEqual((yield* Effect.flip(Fiber.join(first)))._tag, "KafkaUnavailable")
      yield* loaded(2)
      yield* Deferred.succeed(loads[1]!.done, undefined)
      assert.strictEqual(yield* Fiber.join(second), 2)
      const third = yield* ask("a")
      yield* loaded(3)
      yield* Deferred.succeed(loads[2]!.done, undefined)
      assert.strictEqual(yield* Fiber.join(third), 3)
    }),
  )
})
