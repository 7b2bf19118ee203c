import { assert, describe, it } from "@effect/vitest"
import { growthOf, isGrowth, type Sample } from "./Samples.ts"

describe("growth", () => {
  /** One value per minute, over nine minutes. */
  const of = (values: ReadonlyArray<number>) => {
    const samples = values.map((value, minute): Sample => ({ minute, process: "p", measure: "RSS, MB", value }))
    return isGrowth("RSS, MB", growthOf(samples, "p", "RSS, MB", values.length))
  }

  it("is what goes on after the process has warmed up", () => {
    assert.isTrue(of([100, 100, 100, 200, 200, 200, 300, 300, 300]))
    assert.isFalse(of([100, 200, 300, 300, 300, 300, 300, 300, 300]))
  })

  it("is neither a peak nor a little", () => {
    assert.isFalse(of([200, 200, 200, 200, 200, 200, 200, 900, 200]))
    assert.isFalse(of([200, 200, 200, 200, 200, 200, 230, 230, 230]))
    assert.isFalse(of([20, 20, 20, 20, 20, 20, 50, 50, 50]))
  })
})
