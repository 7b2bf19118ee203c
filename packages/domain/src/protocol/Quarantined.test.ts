import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Quarantined from "./Quarantined.ts"

const Natural = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1e15 - 1 }))
const Label = Schema.Struct({
  reason: Schema.String.check(Schema.isMaxLength(512)),
  from: Schema.Struct({ topic: Schema.NonEmptyString, partition: Natural, offset: Natural }),
  time: Natural,
})

describe("Quarantined", () => {
  it.effect.prop("reads what it wrote, whatever else stands beside it", [Label], ([label]) =>
    Effect.sync(() => {
      assert.deepStrictEqual(Quarantined.decode({ other: "x", ...Quarantined.encode(label) }), label)
    }),
  )

  it("reads nothing where a part is missing, or is none", () => {
    const whole = Quarantined.encode({ reason: "r", from: { topic: "t", partition: 1, offset: 2 }, time: 3 })
    assert.isUndefined(Quarantined.decode(undefined))
    assert.isUndefined(Quarantined.decode({}))
    for (const name of ["topic", "partition", "offset", "time"] as const) {
      assert.isUndefined(Quarantined.decode({ ...whole, [Quarantined.headers[name]]: name === "topic" ? "" : "-1" }))
    }
  })
})
