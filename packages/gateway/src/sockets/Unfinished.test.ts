import { assert, describe, it } from "@effect/vitest"
import { Unfinished } from "./Unfinished.ts"

describe("what is not whole", () => {
  const make = () => {
    const ended: Array<string> = []
    return { ended, unfinished: new Unfinished<string>(100, (owner) => void ended.push(owner)) }
  }

  it("ends whoever has brought the most, once all have brought too much together", () => {
    const { ended, unfinished } = make()
    unfinished.set("small", 10)
    unfinished.set("large", 60)
    unfinished.set("medium", 30)
    assert.deepStrictEqual(ended, [])
    unfinished.set("small", 11)
    assert.deepStrictEqual(ended, ["large"])
    unfinished.set("medium", 80)
    assert.deepStrictEqual(ended, ["large"])
    unfinished.set("medium", 90)
    assert.deepStrictEqual(ended, ["large", "medium"])
  })

  it("counts no more what has become a message, or has gone", () => {
    const { ended, unfinished } = make()
    for (let n = 0; n < 10; n++) {
      unfinished.set("a", 90)
      unfinished.set("a", 0)
      unfinished.set("b", 90)
      unfinished.remove("b")
    }
    assert.deepStrictEqual(ended, [])
    // And nothing that was never brought: the bound is what it was.
    unfinished.set("c", 101)
    assert.deepStrictEqual(ended, ["c"])
  })

  it("counts what is whole until it is done with, and does not end it", () => {
    const { ended, unfinished } = make()
    unfinished.set("whole", 90)
    unfinished.finish("whole")
    unfinished.set("coming", 20)
    assert.deepStrictEqual(ended, ["coming"])
    unfinished.set("whole", 120)
    assert.deepStrictEqual(ended, ["coming"])
    unfinished.remove("whole")
    unfinished.set("later", 100)
    assert.deepStrictEqual(ended, ["coming"])
  })
})
