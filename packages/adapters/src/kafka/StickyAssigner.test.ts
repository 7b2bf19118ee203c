import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import {
  assign,
  decodeAssignment,
  decodeClaim,
  encodeAssignment,
  encodeClaim,
  type MemberClaim,
} from "./StickyAssigner.ts"

const partitions = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))
const claims = Arbitrary.array(Arbitrary.schema(Schema.Array(partitions)))

const membersOf = (all: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<MemberClaim> =>
  all.slice(0, 12).map((had, i) => ({ memberId: `m${i}`, topics: ["t"], had: [...new Set(had)] }))

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i)

describe("StickyAssigner", () => {
  it.effect.prop(
    "every partition has one owner, shares differ by at most one, whatever is claimed",
    { claims, count: Arbitrary.schema(partitions) },
    ({ claims, count }) =>
      Effect.sync(() => {
        const members = membersOf(claims)
        if (members.length === 0) return
        const shares = [...assign(members, "t", count).values()]
        assert.deepStrictEqual(
          shares.flat().sort((a, b) => a - b),
          upTo(count),
        )
        const sizes = shares.map(({ length }) => length)
        assert.strictEqual(shares.length, members.length)
        assert.isAtMost(Math.max(...sizes) - Math.min(...sizes), 1)
      }),
  )

  it.effect.prop(
    "nothing moves when the same members join again, in any order",
    { claims, count: Arbitrary.schema(partitions) },
    ({ claims, count }) =>
      Effect.sync(() => {
        const first = assign(membersOf(claims), "t", count)
        const again = [...first].map(([memberId, had]) => ({ memberId, topics: ["t"], had })).reverse()
        assert.deepStrictEqual(new Map([...assign(again, "t", count)].sort()), new Map([...first].sort()))
      }),
  )

  it("a new member takes no more than its share, and the others keep the rest", () => {
    const had = { a: [0, 1, 2, 3, 4, 5], b: [6, 7, 8, 9, 10, 11], c: [] }
    const members = Object.entries(had).map(([memberId, had]) => ({ memberId, topics: ["t"], had }))
    const shares = assign(members, "t", 12)
    assert.deepStrictEqual(shares.get("a"), [0, 1, 2, 3])
    assert.deepStrictEqual(shares.get("b"), [6, 7, 8, 9])
    assert.deepStrictEqual(shares.get("c"), [4, 5, 10, 11])
  })

  it("a member that reads another topic gets nothing, and what it claims is nobody's loss", () => {
    const ours = { memberId: "a", topics: ["t"], had: [] }
    const stranger = { memberId: "b", topics: ["other"], had: [0, 1, 2, 3] }
    assert.deepStrictEqual(assign([stranger, ours], "t", 4), new Map([["a", [0, 1, 2, 3]]]))
  })

  it("what a member had and what it gets pass through Kafka's protocol; what is not ours counts as nothing", () => {
    const claim = { memberId: "m", topics: ["t"], had: [3, 1, 2] }
    assert.deepStrictEqual(decodeClaim("m", encodeClaim("t", [3, 1, 2])), claim)
    assert.deepStrictEqual(decodeClaim("m", encodeClaim("t", [])), { ...claim, had: [] })
    assert.deepStrictEqual(decodeAssignment("t", encodeAssignment("t", [0, 7])), { partitions: [0, 7], others: [] })
    const ofAnother = { partitions: [], others: ["t"] }
    assert.deepStrictEqual(decodeAssignment("other", encodeAssignment("t", [0, 7])), ofAnother)
    assert.deepStrictEqual(decodeAssignment("t", Buffer.alloc(0)), { partitions: [], others: [] })
    const foreign = Buffer.from(encodeClaim("t", [1]))
    foreign.write("[x", foreign.length - 3)
    assert.deepStrictEqual(decodeClaim("m", foreign).had, [])
  })
})
