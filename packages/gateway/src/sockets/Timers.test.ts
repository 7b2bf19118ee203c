import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Timers } from "./Timers.ts"

describe("Timers", () => {
  it.effect("call once, in virtual time, in the order in which they are due", () =>
    Effect.gen(function* () {
      const timers = yield* Timers
      const called: Array<string> = []
      timers.after(20, () => called.push("second"))
      timers.after(10, () => called.push("first"))
      timers.after(20, () => called.push("third"))
      timers.after(5_000, () => called.push("much later"))
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(called, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(called, ["first"])
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(called, ["first", "second", "third"])
      yield* TestClock.adjust(4_979)
      assert.strictEqual(called.length, 3)
      yield* TestClock.adjust(101)
      assert.deepStrictEqual(called, ["first", "second", "third", "much later"])
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(called.length, 4)
    }).pipe(Effect.provide(Timers.layer)),
  )

  it.effect("are cancelled, or begin again", () =>
    Effect.gen(function* () {
      const timers = yield* Timers
      const called: Array<string> = []
      const cancelled = timers.after(10, () => called.push("cancelled"))
      const refreshed = timers.after(10, () => called.push("refreshed"))
      yield* TestClock.adjust(5)
      cancelled.cancel()
      refreshed.refresh()
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(called, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(called, ["refreshed"])
    }).pipe(Effect.provide(Timers.layer)),
  )

  it.effect("one that fails leaves the others alone, and none is called once its gateway is gone", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const timers = yield* Effect.map(Layer.buildWithScope(Timers.layer, scope), (context) => context)
      const called: Array<string> = []
      const { after } = yield* Effect.provide(Timers, timers)
      after(10, () => {
        throw new Error("a fault")
      })
      after(10, () => called.push("other"))
      after(20, () => called.push("too late"))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(called, ["other"])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(called, ["other"])
    }),
  )
})
