import { assert, describe, it } from "@effect/vitest"
import { isSound, none } from "./Ledger.ts"
import { type TaskItem, taskBreachesOf, type TaskName } from "./TasksSeen.ts"

/** `a.p` is a part, `a.p=done` the end. */
const seen = (name: TaskName, told: string, cancelAt?: number) => ({
  name,
  parts: 3,
  cancelAt,
  items: told.split(" ").map((text, i): TaskItem => {
    const [, attempt, part, end] = /^(\d)\.(\d)(?:=(\w+))?$/.exec(text) ?? []
    return {
      seq: i,
      attempt: Number(attempt),
      part: Number(part),
      data: end === undefined ? Number(part) : undefined,
      end,
    }
  }),
})

describe("what a client was shown of a task", () => {
  it("is sound", () => {
    assert.deepStrictEqual(taskBreachesOf(seen("count", "1.0 1.1 2.2 2.3=done")), none)
    assert.deepStrictEqual(taskBreachesOf(seen("tell", "1.0 1.1 2.0 2.1 2.2 2.3=done")), none)
    assert.deepStrictEqual(taskBreachesOf(seen("tell", "1.0 1.1=cancelled", 1)), none)
    assert.deepStrictEqual(taskBreachesOf(seen("tell", "0.0=cancelled", 0)), none)
  })

  it.each([
    ["count", "1.0 1.1 1.2 1.3=done 1.3=done"],
    ["count", "1.0 1.1 1.2 1.3=done 2.3=cancelled"],
    ["count", "1.0 1.1 2.1 2.2 2.3=done"],
    ["count", "1.0 2.2 2.3=done"],
    ["count", "1.0 1.1 1.2=done"],
    ["count", "1.0 1.1 1.2"],
    ["count", "2.0 1.1 1.2 1.3=done"],
    ["count", "1.0 1.1 1.2=cancelled"],
    ["tell", "1.0 1.1 2.0 1.2 2.1 2.2 2.3=done"],
    ["tell", "1.0 1.0 1.1 1.2 1.3=done"],
    ["tell", "1.0 2.1 2.2 2.3=done"],
  ] as const)("%s %s is not", (name, told) => {
    assert.isFalse(isSound(taskBreachesOf(seen(name, told))))
  })
})
