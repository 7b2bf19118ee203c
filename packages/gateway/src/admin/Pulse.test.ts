import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { type Bucket, pulseOf, quantile, type Reading } from "./Pulse.ts"

const Values = Schema.NonEmptyArray(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 16 })))

const zero: Reading = {
  at: 10_000,
  accepted: 100,
  delivered: 50,
  replayed: 40,
  latency: [
    [0.001, 5],
    [0.01, 5],
    [Infinity, 5],
  ],
  ends: undefined,
}

describe("pulseOf", () => {
  it("gives rates per second, whatever lies between the two looks", () => {
    const pulse = pulseOf(zero, { ...zero, at: 10_500, accepted: 200, delivered: 60, replayed: 42 })
    assert.deepStrictEqual(pulse, { at: 10_500, accepted_per_s: 200, delivered_per_s: 20, replayed_per_s: 4 })
  })

  it("gives the rates of the topics where both looks had them", () => {
    const ends = { events: 10, results: 20, dlq: 30 }
    const later = { ...zero, at: 11_000, ends: { events: 13, results: 20, dlq: 31 } }
    assert.deepStrictEqual(pulseOf({ ...zero, ends }, later).topics, {
      events_per_s: 3,
      results_per_s: 0,
      dlq_per_s: 1,
    })
    assert.isUndefined(pulseOf(zero, later).topics)
  })

  it("counts only what came between the two looks into the latency", () => {
    const latency: ReadonlyArray<Bucket> = [
      [0.001, 5],
      [0.01, 105],
      [Infinity, 105],
    ]
    const pulse = pulseOf(zero, { ...zero, at: 11_000, latency })
    assert.closeTo(pulse.latency?.p50_ms ?? NaN, 5.5, 1e-9)
    assert.closeTo(pulse.latency?.p99_ms ?? NaN, 9.91, 1e-9)
  })

  it("takes counters that began again for standing still, and two looks at once for a millisecond", () => {
    assert.deepStrictEqual(pulseOf(zero, { ...zero, accepted: 0, delivered: 51 }), {
      at: 10_000,
      accepted_per_s: 0,
      delivered_per_s: 1_000,
      replayed_per_s: 0,
    })
  })
})

describe("quantile", () => {
  it("of nothing is nothing", () => {
    assert.isUndefined(quantile([], 0.5))
    assert.isUndefined(quantile([[1, 0]], 0.5))
  })

  it("beyond the highest bound is that bound", () => {
    assert.strictEqual(
      quantile(
        [
          [1, 1],
          [Infinity, 10],
        ],
        0.9,
      ),
      1,
    )
  })

  it.prop("lies between the smallest and the largest of what was counted", [Values], ([values]) => {
    const bounds = [1, 2, 4, 8, 16, Infinity]
    const buckets = bounds.map((bound): Bucket => [bound, values.filter((value) => value <= bound).length])
    const p50 = quantile(buckets, 0.5) ?? NaN
    const p99 = quantile(buckets, 0.99) ?? NaN
    assert.isAtMost(p50, p99)
    assert.isAtLeast(p50, 0)
    assert.isAtMost(p99, 16)
    // Half of all lie at or below the bound of the bucket that the median is in.
    const bound = bounds.find((bound) => bound >= p50) ?? Infinity
    assert.isAtLeast(values.filter((value) => value <= bound).length, values.length / 2)
  })
})
