import { assert, describe, it } from "@effect/vitest"
import { backoff_ms } from "./Backoff.ts"

describe("backoff_ms", () => {
  it("doubles from the minimum to the maximum, and stays there however often it fails", () => {
    const waits = [0, 1, 2, 3, 4, 1_000_000].map((failures) => backoff_ms(failures, 100, 1_000))
    assert.deepStrictEqual(waits, [100, 200, 400, 800, 1_000, 1_000])
  })
})
