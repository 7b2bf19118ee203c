import { assert, describe, it } from "@effect/vitest"
import { EventLoopTurns } from "./EventLoopTurns.ts"

describe("work that is asked for in heaps", () => {
  /** An event loop that goes round when it is told to. */
  const world = () => {
    const begun: Array<number> = []
    let due: Array<() => void> = []
    const turns = new EventLoopTurns(2, (act) => void due.push(act))
    const ask = (n: number) => turns.take(() => void begun.push(n))
    const goRound = () => {
      const now = due
      due = []
      for (const act of now) act()
    }
    return { begun, ask, goRound }
  }

  it("begins a few pieces at a time, in their order", () => {
    const { ask, begun, goRound } = world()
    for (let n = 1; n <= 5; n++) ask(n)
    assert.deepStrictEqual(begun, [1, 2])
    goRound()
    assert.deepStrictEqual(begun, [1, 2, 3, 4])
    ask(6)
    ask(7)
    goRound()
    assert.deepStrictEqual(begun, [1, 2, 3, 4, 5, 6])
    goRound()
    assert.deepStrictEqual(begun, [1, 2, 3, 4, 5, 6, 7])
  })

  it("passes over what was given up meanwhile", () => {
    const { ask, begun, goRound } = world()
    ask(1)
    ask(2)
    const giveUp = ask(3)
    ask(4)
    ask(5)
    giveUp()
    goRound()
    assert.deepStrictEqual(begun, [1, 2, 4, 5])
  })

  it("begins at once where little is asked for", () => {
    const { ask, begun, goRound } = world()
    for (const n of [1, 2, 3]) {
      ask(n)
      assert.strictEqual(begun.at(-1), n)
      goRound()
    }
  })
})
