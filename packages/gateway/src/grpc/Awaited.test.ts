import { assert, describe, it } from "@effect/vitest"
import { Awaited } from "./Awaited.ts"

const sent = (...ids: ReadonlyArray<string>) => {
  const awaited = new Awaited(3)
  for (const id of ids) awaited.sent(id)
  return awaited
}

const result = (id: string) => ({ id })

describe("Awaited", () => {
  it("waits for the result of each event, in whichever order they come", () => {
    const awaited = sent("a", "b")
    awaited.saw(result("b"))
    assert.isFalse(awaited.isNothing)
    awaited.saw(result("another"))
    awaited.saw(result("a"))
    assert.isTrue(awaited.isNothing)
  })

  it("waits for the end of a task, and not for its parts", () => {
    const awaited = sent("a")
    awaited.saw({ id: "t1.1.0", of: "a" })
    assert.isFalse(awaited.isNothing)
    awaited.saw({ id: "t1.end", of: "a", end: "cancelled" })
    assert.isTrue(awaited.isNothing)
  })

  it("waits once for each time that an id was sent: one of them is answered as a repeat", () => {
    const awaited = sent("a", "a")
    awaited.saw(result("a"))
    assert.isFalse(awaited.isNothing)
    awaited.saw({ id: "t1.end", of: "a", end: "done" })
    assert.isTrue(awaited.isNothing)
  })

  it("waits until the log has each cancel", () => {
    const awaited = sent()
    awaited.cancelled()
    awaited.cancelled()
    awaited.logged(1)
    assert.isFalse(awaited.isNothing)
    awaited.logged(1)
    assert.isTrue(awaited.isNothing)
  })

  it("waits for the newest alone once results are lost, and for no more than so many", () => {
    const some = sent("a", "b", "c")
    some.lost()
    some.saw(result("c"))
    assert.isTrue(some.isNothing)
    const many = sent("a", "b", "c", "d")
    for (const id of ["b", "c", "d"]) many.saw(result(id))
    assert.isTrue(many.isNothing)
  })
})
