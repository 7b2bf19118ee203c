import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parseJsonText } from "./JsonText.ts"

describe("JsonText", () => {
  it("says what a text says, or in a sentence why it says nothing", () => {
    assert.deepStrictEqual(parseJsonText(`{"a":[1]}`), Result.succeed({ a: [1] }))
    const refused = parseJsonText("x")
    assert.include(Result.isFailure(refused) ? refused.failure : "", "not valid JSON")
  })

  it("takes no stack of what it refuses, and leaves those of others as they are", () => {
    const { stackTraceLimit } = Error
    parseJsonText("x")
    assert.strictEqual(Error.stackTraceLimit, stackTraceLimit)
    assert.include(new Error("other").stack ?? "", "JsonText.test.ts")
  })
})
