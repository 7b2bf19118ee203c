import { assert, describe, it } from "@effect/vitest"
import { Incarnation, openLife, openRoom } from "@nimbus/domain/protocol"
import { isPlace, openOffsetOf } from "./OpenPosition.ts"
import { markOf, positionAt } from "./Position.ts"

const mark = markOf(openLife(Incarnation.make("log-1")), openRoom)
const said = (text: string) => ({ hello: 3, "7": 4, "a:8": 5 })[text]

describe("OpenPosition", () => {
  it("is the place that was given, as text or as a number", () => {
    assert.strictEqual(openOffsetOf(mark, positionAt(mark, 12), said), 12)
    assert.strictEqual(openOffsetOf(mark, 12, said), 12)
    assert.isUndefined(openOffsetOf(mark, undefined, said))
  })

  it("is that of the first message of this text, also where the text is a number or a place elsewhere", () => {
    assert.strictEqual(openOffsetOf(mark, "hello", said), 3)
    assert.strictEqual(openOffsetOf(mark, "7", said), 4)
    assert.strictEqual(openOffsetOf(mark, "a:8", said), 5)
  })

  it("is none where nobody has said it, and another's if it looks like one", () => {
    for (const given of ["8", "nothing", "", `${mark}:`, `${mark}:x`]) {
      assert.strictEqual(openOffsetOf(mark, given, said), "unknown")
    }
    assert.strictEqual(openOffsetOf(mark, "x:8", said), "other")
  })

  it("knows what would be taken for a place", () => {
    assert.isTrue(isPlace(mark, positionAt(mark, 0)))
    for (const text of ["hello", "7", `${mark}:`, ` ${mark}:7`, `x:7`, 7, null]) assert.isFalse(isPlace(mark, text))
  })
})
