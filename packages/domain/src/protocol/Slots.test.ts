import { assert, describe, it } from "@effect/vitest"
import { Slots, type SlotWaiter } from "./Slots.ts"

const limits = new Map([["few", 2]])
const made = () => new Slots(3, (name) => limits.get(name) ?? Infinity)

/** Waits since its number, and takes one slot when it is asked, where it can. */
const waiter = (slots: Slots, asked: Array<string>, name: string, since: number, takes = true): SlotWaiter => ({
  waitsSince: (of) => (of === "few" ? since : undefined),
  pump: () => {
    asked.push(name)
    if (takes) slots.take("few")
  },
})

describe("Slots", () => {
  it("has as many of a name as it may have, and as many in all", () => {
    const slots = made()
    slots.take("few")
    slots.take("few")
    assert.deepStrictEqual(
      [slots.has("few"), slots.has("other"), slots.takenBy("few"), slots.taken],
      [false, true, 2, 2],
    )
    slots.take("other")
    assert.isFalse(slots.has("other"))
    slots.free("few")
    assert.deepStrictEqual([slots.has("few"), slots.has("other")], [true, true])
  })

  it("asks the one that has waited longest first, passes those that can't take it, and stops when there is none left", () => {
    const slots = made()
    const asked: Array<string> = []
    slots.take("few")
    slots.join(waiter(slots, asked, "third", 7))
    slots.join(waiter(slots, asked, "second", 5))
    slots.join(waiter(slots, asked, "full", 2, false))
    const gone = waiter(slots, asked, "gone", 1)
    slots.join(gone)
    slots.leave(gone)
    slots.tell("few")
    assert.deepStrictEqual(asked, ["full", "second"])
  })

  it("gives each a number above all earlier ones", () => {
    const slots = made()
    const numbers = [slots.turn(), slots.turn(), slots.turn()]
    assert.deepStrictEqual(numbers, [1, 2, 3])
  })
})
