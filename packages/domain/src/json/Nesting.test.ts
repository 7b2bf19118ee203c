import { assert, describe, it } from "@effect/vitest"
import { Frames } from "../index.ts"
import { jsonLimits } from "../Limits.ts"
import { isNestedTooDeeply } from "./Nesting.ts"

const arrays = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
const objects = (levels: number) => `${'{"a":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}`

describe("Nesting", () => {
  it.each([arrays, objects])("takes as many levels as the bound says, and not one more", (nested) => {
    const { nesting_levels } = jsonLimits
    for (const levels of [1, nesting_levels, nesting_levels + 1, 100_000]) {
      const text = nested(levels)
      assert.strictEqual(isNestedTooDeeply(JSON.parse(text), text.length), levels > nesting_levels)
      assert.strictEqual(isNestedTooDeeply(JSON.parse(text)), levels > nesting_levels)
    }
    assert.isFalse(isNestedTooDeeply(JSON.parse(`[${arrays(9)},"${"[".repeat(1_000)}"]`)))
  })

  it.each(['"id":"e1",', ""])("a frame that is nested too deeply is a bad one, with {%s}", (id) => {
    const frame = Frames.parseClientFrame(`{"type":"event",${id}"name":"n","data":${arrays(40_000)}}`)
    assert.isTrue(frame._tag === "Failure" && frame.failure.code === "BAD_FRAME")
    assert.strictEqual(frame._tag === "Failure" ? frame.failure.id : "", id === "" ? undefined : "e1")
  })
})
