import { create } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { EventRequestSchema } from "./gen/nimbus_pb.js"
import { eventOf } from "./Requests.ts"

describe("Requests", () => {
  it.each([129, 5_000, 40_000])("refuses data_json that is nested %i levels deep, in a sentence", (levels) => {
    const dataJson = "[".repeat(levels) + "]".repeat(levels)
    const event = eventOf(create(EventRequestSchema, { eventName: "sq", dataJson }), () => "e1")
    assert.isTrue(Result.isFailure(event))
    assert.match(Result.isFailure(event) ? event.failure.message : "", /^data_json: nested more than 128 levels/)
  })

  it.each(["9007199254740993", `{"n":[1e400]}`, "0.1234567890123456789"])(
    "refuses data_json with a number that would change: %s",
    (dataJson) => {
      const event = eventOf(create(EventRequestSchema, { eventName: "event", dataJson }), () => "e1")
      assert.strictEqual(Result.isFailure(event) ? event.failure.code : "", "BAD_NUMBER")
    },
  )
})
