import { assert, describe, it } from "@effect/vitest"
import { Ring } from "./Ring.ts"

const ringOf = (capacity: number, count: number) => {
  const ring = new Ring<number>(capacity)
  for (let n = 1; n <= count; n++) ring.push(n)
  return ring
}

describe("Ring", () => {
  it("keeps everything, oldest first, until it is full", () => {
    assert.deepStrictEqual(ringOf(3, 0).toArray(), [])
    assert.strictEqual(ringOf(3, 0).newest, undefined)
    assert.deepStrictEqual(ringOf(3, 3).toArray(), [1, 2, 3])
    assert.strictEqual(ringOf(3, 2).newest, 2)
  })

  it("forgets the oldest from then on", () => {
    for (const [pushed, kept] of [
      [4, [2, 3, 4]],
      [6, [4, 5, 6]],
      [8, [6, 7, 8]],
    ] as const) {
      const ring = ringOf(3, pushed)
      assert.deepStrictEqual(ring.toArray(), [...kept])
      assert.strictEqual(ring.newest, pushed)
    }
  })

  it("begins anew when it is cleared", () => {
    const ring = ringOf(3, 5)
    ring.clear()
    ring.push(9)
    assert.deepStrictEqual(ring.toArray(), [9])
  })
})
