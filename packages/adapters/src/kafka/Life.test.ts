import { assert, describe, it } from "@effect/vitest"
import { Incarnation } from "@nimbus/domain/protocol"
import { baseOf, decide } from "./Life.ts"

const base = Incarnation.make("kafka-c-n")
const noted = (ids: string, incarnation = base) => ({ ids, incarnation })

describe("the life of topics", () => {
  it("is what their names make where the broker tells no ids, whatever is noted", () => {
    assert.strictEqual(decide({ base, ids: undefined, noted: undefined, isEmpty: true }), base)
    assert.strictEqual(decide({ base, ids: undefined, noted: noted("1", Incarnation.make("x")), isEmpty: false }), base)
  })

  it("is what is noted with their ids", () => {
    const old = Incarnation.make("kafka-c-n-0")
    assert.strictEqual(decide({ base, ids: "1", noted: noted("1"), isEmpty: false }), base)
    assert.strictEqual(decide({ base, ids: "1", noted: noted("1", old), isEmpty: true }), old)
  })

  it("is another one where other ids are noted, or none and they are new", () => {
    assert.strictEqual(decide({ base, ids: "2", noted: noted("1"), isEmpty: false }), "kafka-c-n-2")
    assert.strictEqual(decide({ base, ids: "2", noted: undefined, isEmpty: true }), "kafka-c-n-2")
  })

  it("is what their names make where they have records from before anything was noted", () => {
    assert.strictEqual(decide({ base, ids: "1", noted: undefined, isEmpty: false }), base)
  })

  it("has the same base in whatever order the topics are named", () => {
    assert.strictEqual(baseOf("c", ["a", "b"]), baseOf("c", ["b", "a"]))
    assert.notStrictEqual(baseOf("c", ["a", "b"]), baseOf("c", ["a"]))
  })
})
