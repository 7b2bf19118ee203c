import { assert, describe, it } from "@effect/vitest"
import { Seq } from "../Ids.ts"
import { Window } from "./Window.ts"

const filled = (max_results: number, max_bytes: number, ...sizes: ReadonlyArray<number>): Window => {
  const window = new Window(max_results, max_bytes)
  sizes.forEach((bytes, i) => window.add(Seq.make(i + 1), bytes))
  return window
}

const roomOf = ({ freeBytes, freeResults }: Window) => ({ results: freeResults, bytes: freeBytes })

describe("Window", () => {
  it("is open until it is full of results or of bytes", () => {
    assert.isTrue(filled(2, 10, 5).isOpen)
    assert.isFalse(filled(2, 10, 1, 1).isOpen)
    assert.isFalse(filled(2, 10, 10).isOpen)
    assert.isTrue(filled(2, 10, 9).isOpen)
  })
  it("frees everything up to an ack, whether that seq was sent or not", () => {
    const window = new Window(9, 99)
    for (const seq of [2, 4, 6]) window.add(Seq.make(seq), 10)
    window.acknowledge(Seq.make(5))
    assert.strictEqual(window.results, 1)
    assert.deepStrictEqual(roomOf(window), { results: 8, bytes: 89 })
    window.acknowledge(Seq.make(1))
    assert.strictEqual(window.results, 1)
    window.acknowledge(Seq.make(9))
    assert.deepStrictEqual(roomOf(window), { results: 9, bytes: 99 })
  })
  it("counts right through many thousands", () => {
    const window = new Window(3_000, 30_000)
    for (let seq = 0; seq < 20_000; seq++) {
      window.add(Seq.make(seq), 10)
      if (seq >= 2_000) window.acknowledge(Seq.make(seq - 2_000))
    }
    assert.deepStrictEqual(roomOf(window), { results: 1_000, bytes: 10_000 })
  })
})
