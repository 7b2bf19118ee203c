import { assert, describe, it } from "@effect/vitest"
import type { Block } from "./Block.ts"
import { Fifo } from "./Fifo.ts"
import { TailCache } from "./TailCache.ts"

const block = (from: number, bytes = 1_000): Block => {
  const record = { key: "", value: new Uint8Array(bytes), offset: from, timestamp: 0 }
  return { from, next: from + 1, bytes, records: [record] }
}
const all = (tail: Fifo<Block>) => Array.from({ length: tail.length }, (_, i) => tail.at(i).from)

describe("TailCache", () => {
  it("keeps within its bytes over all tails: the oldest block of any goes", () => {
    const cache = new TailCache(5_000)
    const [a, b] = [new Fifo<Block>(), new Fifo<Block>()]
    cache.add(a, block(0))
    cache.add(b, block(0))
    cache.add(a, block(1))
    for (let i = 2; i < 4; i++) cache.add(a, block(i))
    assert.deepStrictEqual(all(a), [1, 2, 3])
    assert.deepStrictEqual(all(b), [])
    assert.isAtMost(cache.bytes, 5_000)
  })

  it("holds nothing of a block larger than the bound", () => {
    const cache = new TailCache(5_000)
    const tail = new Fifo<Block>()
    cache.add(tail, block(0))
    cache.add(tail, block(1, 10_000))
    assert.deepStrictEqual(all(tail), [])
    assert.strictEqual(cache.bytes, 0)
  })

  it("forgets what was trimmed, and keeps within its bytes however much is trimmed", () => {
    const cache = new TailCache(5_000)
    const tail = new Fifo<Block>()
    for (let i = 0; i < 5_000; i++) {
      cache.add(tail, block(i))
      cache.trim(tail, i)
      assert.deepStrictEqual(all(tail), [i])
      assert.isAtMost(cache.bytes, 5_000)
    }
  })
})
