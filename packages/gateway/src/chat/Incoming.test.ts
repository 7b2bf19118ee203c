import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { incomingOf } from "./Incoming.ts"

describe("Incoming", () => {
  it.each([129, 5_000, 40_000])("refuses data that is nested %i levels deep, whatever its size", (levels) => {
    const data: unknown = JSON.parse("[".repeat(levels) + "]".repeat(levels))
    const incoming = incomingOf([data], 1_000_000)
    assert.isTrue(Result.isFailure(incoming) && incoming.failure.code === "BAD_MESSAGE")
  })
})
