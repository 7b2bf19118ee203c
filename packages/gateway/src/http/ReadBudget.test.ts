import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Limits, readLimits } from "../Limits.ts"
import { ReadBudget } from "./ReadBudget.ts"

const limits = {
  ...readLimits,
  reads_at_once: 2,
  reads_waiting: 3,
  reads_wait_ms: 1_000,
  reads_ms: 5_000,
  reads_rest: 4,
}
const budget = (more: Partial<typeof limits> = {}) =>
  ReadBudget.layer.pipe(Layer.provide(Limits.layerWith({ reads: { ...limits, ...more } })))

/** Reads that take so long, and how many of them have begun, were ended and interrupted. */
const makeReads = Effect.map(ReadBudget, ({ read }) => {
  const seen = { began: 0, ended: 0, interrupted: 0 }
  const take = (takes_ms: number) =>
    read(
      Effect.gen(function* () {
        seen.began++
        yield* Effect.sleep(takes_ms)
        seen.ended++
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => void seen.interrupted++))),
    )
  return { seen, fork: (takes_ms: number) => Effect.forkChild(take(takes_ms), { startImmediately: true }) }
})

const codeOf = <A>(fiber: Fiber.Fiber<A, { readonly code: string }>) =>
  Effect.map(Effect.flip(Fiber.join(fiber)), ({ code }) => code)

describe("ReadBudget", () => {
  it.effect("lets as many read as may, lets some wait, and refuses the others", () =>
    Effect.gen(function* () {
      const { fork, seen } = yield* makeReads
      const fibers = yield* Effect.forEach(Array(7).keys(), () => fork(100))
      yield* TestClock.adjust(10)
      assert.strictEqual(seen.began, 2)
      assert.strictEqual(yield* codeOf(fibers[5]!), "READS_BUSY")
      assert.strictEqual(yield* codeOf(fibers[6]!), "READS_BUSY")
      yield* TestClock.adjust(90)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fibers[0]!)))
    }).pipe(Effect.provide(budget())),
  )

  it.effect("keeps a place empty for a part of the time that it was taken", () =>
    Effect.gen(function* () {
      const { fork, seen } = yield* makeReads
      yield* Effect.forEach(Array(3).keys(), () => fork(100))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(seen, { began: 2, ended: 2, interrupted: 0 })
      yield* TestClock.adjust(399)
      assert.strictEqual(seen.began, 2)
      yield* TestClock.adjust(1)
      assert.strictEqual(seen.began, 3)
    }).pipe(Effect.provide(budget())),
  )

  it.effect("refuses whoever waits too long, and ends what reads too long", () =>
    Effect.gen(function* () {
      const { fork, seen } = yield* makeReads
      const [first, , third] = yield* Effect.forEach(Array(3).keys(), () => fork(10_000))
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* codeOf(third!), "READS_BUSY")
      yield* TestClock.adjust(4_000)
      assert.strictEqual(yield* codeOf(first!), "READS_BUSY")
      assert.deepStrictEqual(seen, { began: 2, ended: 0, interrupted: 2 })
    }).pipe(Effect.provide(budget())),
  )

  it.effect("has the places again of those who ask no more, whether they read or wait", () =>
    Effect.gen(function* () {
      const { fork, seen } = yield* makeReads
      const fibers = yield* Effect.forEach(Array(5).keys(), () => fork(1_000))
      yield* TestClock.adjust(10)
      yield* Fiber.interruptAll(fibers)
      assert.deepStrictEqual(seen, { began: 2, ended: 0, interrupted: 2 })
      yield* TestClock.adjust(40)
      yield* Effect.forEach(Array(5).keys(), () => fork(1))
      assert.strictEqual(seen.began, 4)
    }).pipe(Effect.provide(budget())),
  )
})
