import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { ClientId, RouteId, Seq, start } from "../Ids.ts"
import type { Push } from "../Records.ts"
import { Held } from "./Held.ts"

const clientId = ClientId.make("c")
const own = RouteId.make("r.1")
const other = RouteId.make("r.2")
const push = (seq: number, bytes = 1, route = own): Push => ({
  _tag: "Push",
  clientId,
  prev: Seq.make(0),
  route,
  seq: Seq.make(seq),
  value: new Uint8Array(bytes),
})

/** Takes everything above `delivered`. */
const drain = (held: Held, delivered: number): ReadonlyArray<number> => {
  const seqs: Array<number> = []
  for (;;) {
    const next = held.next(Seq.make(delivered), own)
    if (next === undefined) return seqs
    seqs.push(next.seq)
    held.remove(next)
  }
}

const Pushes = Schema.Array(
  Schema.Struct({ seq: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 })), isOther: Schema.Boolean }),
)
const Delivered = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))

describe("Held", () => {
  it("refuses what is beyond its results or bytes", () => {
    const held = new Held(2, 10)
    assert.isTrue(held.add(push(1, 6)))
    assert.isFalse(held.add(push(2, 5)))
    assert.isTrue(held.add(push(2, 4)))
    assert.isFalse(held.add(push(3, 0)))
    assert.strictEqual(held.results, 2)
  })
  it("has room again for what was taken or became a repeat", () => {
    const held = new Held(2, 10)
    held.add(push(1, 5))
    held.add(push(2, 5))
    held.next(Seq.make(1), own)
    assert.isTrue(held.add(push(3, 5)))
    assert.deepStrictEqual(drain(held, 0), [2, 3])
    assert.isTrue(held.add(push(4, 10)))
  })
  it("knows how far what is before a push of its route reaches", () => {
    const held = new Held(9, 9)
    assert.strictEqual(held.before(push(5), start), -1)
    held.add(push(3))
    held.add(push(4, 1, other))
    held.add(push(5))
    assert.strictEqual(held.before(push(5), start), 3)
    assert.strictEqual(held.before(push(6), start), 5)
    assert.strictEqual(held.before(push(6), Seq.make(7)), 7)
  })
  it.prop(
    "gives what is above delivered of a route, by seq, each once, and keeps that of others",
    { pushes: Pushes, delivered: Delivered },
    (given) => {
      const held = new Held(1_000, 1_000)
      for (const { isOther, seq } of given.pushes) held.add(push(seq, 1, isOther ? other : own))
      const above = given.pushes.filter(({ seq }) => seq > given.delivered)
      const seqsOf = (isOther: boolean) => new Set(above.filter((one) => one.isOther === isOther).map(({ seq }) => seq))
      assert.deepStrictEqual(
        drain(held, given.delivered),
        [...seqsOf(false)].sort((a, b) => a - b),
      )
      assert.strictEqual(held.results, seqsOf(true).size)
    },
  )
  it("keeps its order through many thousands", () => {
    const held = new Held(1_000, 1_000)
    for (let seq = 2; seq < 10_000; seq += 2) {
      held.add(push(seq + 2))
      held.add(push(seq + 1))
      for (const next of [seq + 1, seq + 2]) {
        const found = held.next(Seq.make(next - 1), own)
        assert.strictEqual(found?.seq, next)
        if (found !== undefined) held.remove(found)
      }
    }
    assert.strictEqual(held.results, 0)
  })
})
