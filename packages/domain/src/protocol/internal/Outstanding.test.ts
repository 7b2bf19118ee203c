import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { ClientId } from "../Ids.ts"
import { Outstanding } from "./Outstanding.ts"

const a = ClientId.make("a")
const b = ClientId.make("b")

/** In which order the marks of records 0, 1, 2, … become done: by the rank of each. */
const Order = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 })))

describe("Outstanding", () => {
  it.prop("commits what comes after the done prefix, whatever becomes done first", [Order], ([ranks]) => {
    const outstanding = new Outstanding()
    const indexes = ranks.map((_, offset) => outstanding.spilled(offset))
    const done = new Set<number>()
    let committed: number | undefined
    for (const offset of ranks.map((_, i) => i).sort((i, j) => ranks[i]! - ranks[j]!)) {
      outstanding.done(indexes[offset]!)
      done.add(offset)
      let prefix = 0
      while (done.has(prefix)) prefix++
      const expected = prefix === 0 || prefix === committed ? undefined : prefix
      const commit = outstanding.takeCommit()
      assert.strictEqual(commit, expected)
      committed = commit ?? committed
    }
  })
  it("passes over what has no mark with the mark before it, or at once where there is none", () => {
    const outstanding = new Outstanding()
    outstanding.passed(4)
    assert.strictEqual(outstanding.takeCommit(), 4)
    const mark = outstanding.spilled(4)
    outstanding.passed(9)
    assert.strictEqual(outstanding.takeCommit(), undefined)
    outstanding.done(mark)
    assert.strictEqual(outstanding.takeCommit(), 9)
  })
  it("knows whose push is the oldest, and whose are as old as a tick", () => {
    const outstanding = new Outstanding()
    assert.strictEqual(outstanding.oldestPushed(), undefined)
    outstanding.spilled(0)
    const first = outstanding.pushed(1, a, 1)
    outstanding.pushed(2, b, 2)
    outstanding.pushed(3, a, 3)
    assert.strictEqual(outstanding.oldestPushed(), a)
    assert.deepStrictEqual([...outstanding.pushedBefore(0)], [])
    assert.deepStrictEqual([...outstanding.pushedBefore(1)], [a])
    assert.deepStrictEqual([...outstanding.pushedBefore(2)], [a, b])
    outstanding.diverted(first)
    assert.strictEqual(outstanding.oldestPushed(), b)
    assert.deepStrictEqual([...outstanding.pushedBefore(1)], [])
  })
  it("keeps its place through many thousands", () => {
    const outstanding = new Outstanding()
    const held = outstanding.spilled(0)
    const marks = Array.from({ length: 20_000 }, (_, i) => outstanding.pushed(i + 1, a, i))
    for (const mark of marks.slice(0, 15_000)) outstanding.done(mark)
    assert.strictEqual(outstanding.takeCommit(), undefined)
    outstanding.done(held)
    assert.strictEqual(outstanding.takeCommit(), 15_001)
    for (const mark of marks.slice(15_000)) outstanding.done(mark)
    assert.strictEqual(outstanding.takeCommit(), 20_001)
  })
})
