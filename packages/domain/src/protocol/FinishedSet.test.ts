import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { finishedAbove, FinishedSet } from "./FinishedSet.ts"
import { Incarnation, seqUnsafe } from "./Ids.ts"
import { commitLimits } from "../Limits.ts"

const life = Incarnation.make("a life")
const offset = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 199 }))
const offsets = Schema.Array(offset)

const records = (end: number) => Array.from({ length: end }, (_, offset) => ({ offset }))

describe("FinishedSet", () => {
  it.prop("the commit is the lowest offset that is not finished, whatever is finished first", [offsets], ([order]) => {
    const set = new FinishedSet(0)
    set.read(records(200), 200)
    const done = new Set<number>()
    for (const offset of order) {
      set.finish(offset)
      done.add(offset)
      let lowest = 0
      while (done.has(lowest)) lowest++
      assert.strictEqual(set.next, lowest)
      assert.strictEqual(set.finishedAbove, [...done].filter((one) => one > lowest).length)
    }
  })

  it.prop("what is written with the commit says of each offset whether it is finished", [offsets], ([order]) => {
    const set = new FinishedSet(0)
    set.read(records(200), 200)
    for (const offset of order) set.finish(offset)
    const committed = set.committed(life)
    const above = finishedAbove(committed, life)
    const again = new FinishedSet(committed.next, above)
    assert.strictEqual(again.finishedAbove, set.finishedAbove)
    assert.strictEqual(above.count, set.finishedAbove)
    for (let offset = 0; offset < 200; offset++) {
      assert.strictEqual(again.has(offset), set.has(offset))
      if (offset >= committed.next) assert.strictEqual(above.has(offset), set.has(offset))
    }
    // Not read again yet, and still known.
    assert.deepStrictEqual(again.committed(life), committed)
  })

  it.prop("an offset that holds no record counts as finished", [offsets], ([kept]) => {
    const there = [...new Set(kept)].sort((a, b) => a - b)
    const set = new FinishedSet(0)
    set.read(
      there.map((offset) => ({ offset })),
      200,
    )
    assert.strictEqual(set.next, there[0] ?? 200)
    for (const offset of there) set.finish(offset)
    assert.strictEqual(set.next, 200)
    assert.strictEqual(set.finishedAbove, 0)
  })

  it("passes what an earlier owner has finished when it reads it again", () => {
    const before = new FinishedSet(10)
    before.read(records(30).slice(10), 30)
    for (let offset = 12; offset < 25; offset++) before.finish(offset)
    const committed = before.committed(life)
    const set = new FinishedSet(committed.next, finishedAbove(committed, life))
    set.read(records(20).slice(10), 20)
    assert.deepStrictEqual(
      records(30).filter(({ offset }) => !set.has(offset)),
      [10, 11, 25, 26, 27, 28, 29].map((offset) => ({ offset })),
    )
    set.finish(10)
    set.finish(11)
    assert.strictEqual(set.next, 20, "no further than was read")
    set.read(records(30).slice(20), 30)
    assert.strictEqual(set.next, 25)
  })

  it("is ignored with another offset, in another life of the topics, and where it is none of ours", () => {
    const set = new FinishedSet(5)
    set.read(records(9).slice(5), 9)
    set.finish(7)
    const committed = set.committed(life)
    assert.strictEqual(finishedAbove(committed, life).count, 1)
    assert.strictEqual(finishedAbove({ ...committed, next: 6 }, life).count, 0)
    assert.strictEqual(finishedAbove(committed, Incarnation.make("another life")).count, 0)
    for (const metadata of ["", "x", "1 5", "1 5 !!  a life", "2 5 BA==  a life", `${committed.metadata} `]) {
      assert.strictEqual(finishedAbove({ next: 5, metadata }, life).count, 0, metadata)
    }
  })

  it("says whose handler holds it back, whatever that is called, and leaves it out where it is too long", () => {
    const set = new FinishedSet(5)
    set.read(records(9).slice(5), 9)
    const held = { clientId: "c/1 ü", name: "a name, 100%", since_ms: 1_790_000_000_000 }
    const alone = finishedAbove(set.committed(life, { held }), life)
    assert.deepStrictEqual({ held: alone.held, count: alone.count }, { held, count: 0 })
    set.finish(7)
    const above = finishedAbove(set.committed(life, { held }), life)
    assert.deepStrictEqual({ held: above.held, count: above.count, has: above.has(7) }, { held, count: 1, has: true })
    const long = finishedAbove(set.committed(life, { held: { ...held, name: "ü".repeat(500) } }), life)
    assert.deepStrictEqual({ held: long.held, count: long.count }, { held: undefined, count: 1 })
    for (const text of ["%", "a/%/1", "a/b/c", "a"]) {
      assert.isUndefined(finishedAbove({ next: 5, metadata: `1 5 BA== ${text} a life` }, life).held)
    }
  })

  it("says how far back the next owner must read, and is otherwise written as it was before that was known", () => {
    const set = new FinishedSet(5)
    set.read(records(9).slice(5), 9)
    const oldest = seqUnsafe(3)
    const held = { clientId: "c1", name: "sq", since_ms: 1 }
    assert.deepInclude(finishedAbove(set.committed(life, { oldest }), life), { oldest, count: 0, held: undefined })
    set.finish(7)
    assert.strictEqual(set.committed(life).metadata, "1 5 BA==  a life")
    assert.strictEqual(set.committed(life, { oldest, held }).metadata, "2 5 BA== c1/sq/1 3 a life")
    const above = finishedAbove(set.committed(life, { oldest, held }), life)
    assert.deepInclude(above, { oldest, held, count: 1 })
    assert.isUndefined(finishedAbove({ next: 5, metadata: "1 5 BA==  a life" }, life).oldest)
    for (const bad of ["2 5 BA==  5 a life", "2 5 BA==  -1 a life", "2 5 BA==  x a life", "2 5 BA==  3 another"]) {
      assert.deepInclude(finishedAbove({ next: 5, metadata: bad }, life), { count: 0, oldest: undefined }, bad)
    }
  })

  it("keeps to the bound as it is written, whatever the incarnation is called, and keeps the lowest", () => {
    for (const name of ["a", "жизнь ".repeat(30).trim(), "x".repeat(256)]) {
      const incarnation = Incarnation.make(name)
      const set = new FinishedSet(1_000_000)
      const end = 1_000_000 + 100_000
      set.read(
        Array.from({ length: 100_000 }, (_, i) => ({ offset: 1_000_000 + i })),
        end,
      )
      for (let offset = 1_000_001; offset < end; offset++) set.finish(offset)
      const held = { clientId: "c".repeat(300), name: "n".repeat(300), since_ms: 1 }
      const committed = set.committed(incarnation, { held })
      const bytes = new TextEncoder().encode(committed.metadata).length
      assert.isAtMost(bytes, commitLimits.metadata_bytes)
      const above = finishedAbove(committed, incarnation)
      assert.isAbove(above.count, 6 * (commitLimits.metadata_bytes - 1_300))
      assert.isTrue(above.has(1_000_001))
      assert.isTrue(above.has(1_000_000 + above.count))
    }
  })

  it("keeps its place through many thousands", () => {
    const set = new FinishedSet(0)
    for (let from = 0; from < 1_000_000; from += 10_000) {
      set.read(
        Array.from({ length: 10_000 }, (_, i) => ({ offset: from + i })),
        from + 10_000,
      )
      for (let offset = from; offset < from + 10_000; offset++) if (offset % 10_000 !== 5) set.finish(offset)
      if (from > 0) set.finish(from - 10_000 + 5)
    }
    assert.strictEqual(set.next, 990_005)
    assert.strictEqual(set.finishedAbove, 9_994)
  })
})
