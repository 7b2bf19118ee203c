import { assert, describe, it } from "@effect/vitest"
import { closeCodes } from "@nimbus/domain/protocol"
import { clientLimits } from "./Limits.ts"
import { delay_ms } from "./Reconnect.ts"

const limits = { ...clientLimits, reconnect_min_ms: 100, reconnect_max_ms: 1_000, retry_jitter_ms: 2_000 }

describe("delay_ms", () => {
  it("is a random part of the jitter for whoever was sent away, the first time", () => {
    for (const { code } of [closeCodes.goingAway, closeCodes.kicked]) {
      assert.strictEqual(delay_ms(code, 1, 0, limits), 0)
      assert.strictEqual(delay_ms(code, 1, 0.5, limits), 1_000)
      assert.strictEqual(delay_ms(code, 2, 0, limits), 200)
    }
  })

  it("grows with each attempt up to the maximum after any other close, less a random half", () => {
    const delays = [1, 2, 3, 4, 5, 100].map((attempt) => delay_ms(closeCodes.idle.code, attempt, 0, limits))
    assert.deepStrictEqual(delays, [100, 200, 400, 800, 1_000, 1_000])
    assert.strictEqual(delay_ms(closeCodes.idle.code, 1, 0.5, limits), 75)
  })
})
