import { assert, describe, it } from "@effect/vitest"
import { advance } from "./Producer.ts"

describe("sequence numbers", () => {
  it("go on from one batch to the next, and begin again at zero after the largest, in the middle of a batch too", () => {
    const largest = 2 ** 31 - 1
    assert.strictEqual(advance(0, 5), 5)
    assert.strictEqual(advance(largest - 5, 5), largest)
    assert.strictEqual(advance(largest, 1), 0)
    assert.strictEqual(advance(largest - 5, 6), 0)
    assert.strictEqual(advance(largest - 5, 10), 4)
  })
})
