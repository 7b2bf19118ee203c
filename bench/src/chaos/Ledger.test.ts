import { assert, describe, it } from "@effect/vitest"
import { breachesOf, none, upToLastShown } from "./Ledger.ts"

const of = (accepted: number, shown: Array<number>, seqs: Array<number> = shown.map((_, i) => i)) =>
  breachesOf({ accepted, shown, seqs })

describe("Ledger", () => {
  it("finds nothing wrong with each answer once, in order", () => {
    assert.deepStrictEqual(of(3, [1, 2, 3]), none)
    assert.deepStrictEqual(of(0, []), none)
  })

  it("finds what was accepted and never answered, at the end too", () => {
    assert.deepStrictEqual(of(4, [1, 3]), { ...none, lost: 2 })
  })

  it("finds an answer that is shown again", () => {
    assert.deepStrictEqual(of(3, [1, 2, 2, 3, 1]), { ...none, repeated: 2 })
  })

  it("finds numbers and seqs that fall", () => {
    assert.deepStrictEqual(of(3, [1, 3, 2]), { ...none, outOfOrder: 1 })
    assert.deepStrictEqual(of(3, [1, 2, 3], [4, 9, 9]), { ...none, outOfOrder: 1 })
  })

  it("finds what nobody sent", () => {
    assert.deepStrictEqual(of(2, [1, Number.NaN, 2, 3]), { ...none, foreign: 2 })
  })

  it("finds while more is under way what is missing before the last answer, and no more", () => {
    const soFar = { accepted: 9, shown: [1, 2, 4], seqs: [0, 1, 3] }
    assert.deepStrictEqual(breachesOf(upToLastShown(soFar)), { ...none, lost: 1 })
    assert.deepStrictEqual(breachesOf(upToLastShown({ accepted: 3, shown: [], seqs: [] })), none)
  })
})
