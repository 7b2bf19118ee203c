import { assert, describe, it } from "@effect/vitest"
import { Incarnation, RoomId } from "@nimbus/domain/protocol"
import { Effect, Schema } from "effect"
import { markOf, offsetOf, positionAt } from "./Position.ts"

const [log, other] = [Incarnation.make("log-1"), Incarnation.make("log-2")]
const room = RoomId.make("r")
const mark = markOf(log, room)
const Offset = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1e15 - 1 }))

describe("Position", () => {
  it.effect.prop("a place is read as it was given", [Offset], ([offset]) =>
    Effect.sync(() => {
      for (const given of [positionAt(mark, offset), `${offset}`, offset]) {
        assert.strictEqual(offsetOf(mark, given), offset)
      }
    }),
  )

  it("the place before the first is one, if its room is named", () => {
    assert.strictEqual(offsetOf(mark, positionAt(mark, -1)), -1)
    assert.strictEqual(offsetOf(mark, positionAt(markOf(other, room), -1)), "other")
    assert.strictEqual(offsetOf(mark, -1), "unknown")
  })

  it("a place of another room or another log is told from one of this", () => {
    assert.strictEqual(offsetOf(mark, positionAt(markOf(other, room), 7)), "other")
    assert.strictEqual(offsetOf(mark, positionAt(markOf(log, RoomId.make("s")), 7)), "other")
  })

  it.each([undefined, null])("%s is no place that was given", (given) => {
    assert.isUndefined(offsetOf(mark, given))
  })

  it.each([
    "",
    " ",
    " 1",
    "01",
    "0x10",
    `${mark}:+1`,
    "x",
    -1,
    1.5,
    NaN,
    "-1",
    `${mark}:`,
    `${mark}:-2`,
    `${mark}:1:2`,
    "1790000000000-0",
    {},
    "1e3",
    "9".repeat(16),
    true,
    1e300,
  ])("%j is no place", (given) => assert.strictEqual(offsetOf(mark, given), "unknown"))
})
