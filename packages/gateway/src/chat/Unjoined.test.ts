import { assert, describe, it } from "@effect/vitest"
import { Unjoined } from "./Unjoined.ts"

describe("connections that have not joined the chat", () => {
  it("are so many at most: the oldest makes room", () => {
    const closed: Array<string> = []
    const unjoined = new Unjoined<string>(2, (connection) => void closed.push(connection))
    for (const connection of ["a", "b", "c"]) unjoined.add(connection)
    assert.deepStrictEqual(closed, ["a"])
    unjoined.remove("b")
    unjoined.add("d")
    assert.deepStrictEqual(closed, ["a"])
    unjoined.add("e")
    assert.deepStrictEqual(closed, ["a", "c"])
    assert.strictEqual(unjoined.size, 2)
  })
})
