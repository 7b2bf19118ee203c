import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { jsonLimits } from "../Limits.ts"
import { parseExactJson } from "./ExactJson.ts"

const faultOf = (text: string) => Result.getFailure(parseExactJson(text))
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)

describe("parseExactJson", () => {
  it("gives the value of a text", () => {
    assert.deepStrictEqual(Result.getOrThrow(parseExactJson(`{"a":[1,"b",null]}`)), { a: [1, "b", null] })
    assert.isTrue(Result.isSuccess(parseExactJson(nested(jsonLimits.nesting_levels))))
  })

  it.each([
    ["syntax", "{"],
    ["nesting", nested(jsonLimits.nesting_levels + 1)],
    ["number", "9007199254740993"],
    ["number", "1e999"],
  ] as const)("names the fault: %s", (fault, text) => {
    const found = faultOf(text)
    assert.strictEqual(found._tag === "Some" && found.value.fault, fault)
  })
})
