import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { TokenBucket } from "./TokenBucket.ts"

describe("TokenBucket", () => {
  it("lets a second's worth through at once, then asks to wait", () => {
    const bucket = new TokenBucket(10, 0)
    const waits = Array.from({ length: 11 }, () => bucket.take(0))
    assert.deepStrictEqual(
      waits.slice(0, 9),
      Array.from({ length: 9 }, () => 0),
    )
    assert.isAbove(waits[10]!, 0)
  })

  it.effect.prop(
    "over any stretch lets through no more than one second's worth and its rate, if its waits are kept",
    { gaps: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 })))) },
    ({ gaps }) =>
      Effect.sync(() => {
        const per_second = 100
        const bucket = new TokenBucket(per_second, 0)
        let now_ms = 0
        let taken = 0
        for (const gap_ms of gaps) {
          now_ms += gap_ms + bucket.take(now_ms + gap_ms)
          taken++
        }
        assert.isAtMost(taken, per_second + (now_ms * per_second) / 1000 + 1)
      }),
  )
})
