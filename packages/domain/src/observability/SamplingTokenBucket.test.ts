import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SamplingTokenBucket } from "./SamplingTokenBucket.ts"

const takeAll = (budget: SamplingTokenBucket, asked: number): number => {
  let taken = 0
  for (let i = 0; i < asked; i++) if (budget.take()) taken++
  return taken
}

const Elapsed = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: -500, maximum: 5_000 })))
const PerSecond = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 }))

describe("SamplingTokenBucket", () => {
  it("follows every event while they are few", () => {
    const budget = new SamplingTokenBucket(20)
    for (let second = 0; second < 100; second++) {
      assert.strictEqual(takeAll(budget, 20), 20)
      budget.pass(1_000)
    }
  })

  it("follows so many per second, however many there are", () => {
    const budget = new SamplingTokenBucket(20)
    takeAll(budget, 50_000)
    let taken = 0
    for (let tick = 0; tick < 40; tick++) {
      budget.pass(250)
      taken += takeAll(budget, 12_500)
    }
    assert.strictEqual(taken, 200)
  })

  it("follows one now and then where the budget is less than one for each tick", () => {
    const budget = new SamplingTokenBucket(1)
    const taken = Array.from({ length: 8 }, () => {
      const one = takeAll(budget, 10)
      budget.pass(250)
      return one
    })
    assert.deepStrictEqual(taken, [1, 0, 0, 0, 1, 0, 0, 0])
  })

  it("follows none at 0", () => {
    const budget = new SamplingTokenBucket(0)
    budget.pass(1_000_000)
    assert.isFalse(budget.take())
  })

  it.effect.prop(
    "never has more than one second's worth, and never follows more than time allows",
    [PerSecond, Elapsed],
    ([per_second, elapsed]) =>
      Effect.sync(() => {
        const budget = new SamplingTokenBucket(per_second)
        let allowed = per_second
        let taken = 0
        for (const elapsed_ms of elapsed) {
          const now = takeAll(budget, per_second + 1)
          assert.isAtMost(now, per_second)
          taken += now
          budget.pass(elapsed_ms)
          allowed += (Math.max(0, elapsed_ms) * per_second) / 1000
        }
        assert.isAtMost(taken, allowed + 1e-6)
      }),
  )
})
