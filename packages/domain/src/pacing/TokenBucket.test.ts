import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { TokenBucket } from "./TokenBucket.ts"

const takeAll = (bucket: TokenBucket, asked: number, now_ms: number): number => {
  let taken = 0
  for (let i = 0; i < asked; i++) if (bucket.take(now_ms)) taken++
  return taken
}

const Gap = Schema.Int.check(Schema.isBetween({ minimum: -500, maximum: 5_000 }))
const PerSecond = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 }))

describe("TokenBucket", () => {
  it("gives as many per second as it has, however many are asked for", () => {
    const bucket = new TokenBucket(20, 0)
    assert.strictEqual(takeAll(bucket, 50_000, 0), 20)
    let taken = 0
    for (let now_ms = 250; now_ms <= 10_000; now_ms += 250) taken += takeAll(bucket, 12_500, now_ms)
    assert.strictEqual(taken, 200)
  })

  it("gives one at times where its rate is less than one for each look", () => {
    const bucket = new TokenBucket(1, 0)
    const taken = Array.from({ length: 8 }, (_, i) => takeAll(bucket, 10, i * 250))
    assert.deepStrictEqual(taken, [1, 0, 0, 0, 1, 0, 0, 0])
  })

  it("gives none at 0 per second", () => {
    assert.isFalse(new TokenBucket(0, 0).take(1_000_000))
  })

  it("gives a second's worth on credit without a wait, and then says how long to wait", () => {
    const bucket = new TokenBucket(10, 0)
    const waits = Array.from({ length: 11 }, () => bucket.spend(0))
    assert.deepStrictEqual(
      waits.slice(0, 9),
      Array.from({ length: 9 }, () => 0),
    )
    assert.strictEqual(waits[10], 200)
    assert.strictEqual(bucket.owed_ms(100), 100)
    assert.strictEqual(bucket.owed_ms(200), 0)
  })

  it.effect.prop(
    "never has more than one second's worth, and never gives more than time allows, also where the clock goes back",
    { per_second: Arbitrary.schema(PerSecond), gaps: Arbitrary.array(Arbitrary.schema(Gap)) },
    ({ gaps, per_second }) =>
      Effect.sync(() => {
        const bucket = new TokenBucket(per_second, 0)
        let [now_ms, latest_ms, taken] = [0, 0, 0]
        for (const gap_ms of gaps) {
          now_ms += gap_ms
          latest_ms = Math.max(latest_ms, now_ms)
          const now = takeAll(bucket, per_second + 1, now_ms)
          assert.isAtMost(now, per_second)
          taken += now
        }
        assert.isAtMost(taken, per_second + (latest_ms * per_second) / 1000 + 1e-6)
      }),
  )

  it.effect.prop(
    "spends no more than one second's worth and its rate over any stretch, where its waits are kept",
    { gaps: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 })))) },
    ({ gaps }) =>
      Effect.sync(() => {
        const per_second = 100
        const bucket = new TokenBucket(per_second, 0)
        let now_ms = 0
        let taken = 0
        for (const gap_ms of gaps) {
          now_ms += gap_ms + bucket.spend(now_ms + gap_ms)
          taken++
        }
        assert.isAtMost(taken, per_second + (now_ms * per_second) / 1000 + 1)
      }),
  )
})
