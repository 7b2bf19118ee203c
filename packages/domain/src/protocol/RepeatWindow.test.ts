import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Incarnation } from "./Ids.ts"
import { repeatLimits } from "../Limits.ts"
import { RepeatWindow } from "./RepeatWindow.ts"

const life = Incarnation.make("a life")

interface Use {
  readonly offset: number
  readonly name: string
}

/** Few names, and holes of every size, also beyond the window. */
const uses = Schema.Array(
  Schema.Struct({
    gap: Schema.Literals([0, 0, 0, 1, 2, 5, 30]),
    name: Schema.Literals(["a", "b", "c", "d", "e"]),
  }),
)

const placed = (drawn: ReadonlyArray<{ readonly gap: number; readonly name: string }>): ReadonlyArray<Use> => {
  let offset = -1
  return drawn.map(({ gap, name }) => ({ offset: (offset += gap + 1), name }))
}

/** The rule as it is written down. */
const expected = (all: ReadonlyArray<Use>, { name, offset }: Use, dedupe_records: number): number | undefined =>
  all.find((use) => use.name === name && use.offset < offset && use.offset > offset - dedupe_records)?.offset

const often = { arbitrary: { runs: 300 } }

describe("RepeatWindow", () => {
  it.prop(
    "finds the first use in the window, wherever its reader began, if that was a window before",
    { drawn: uses, dedupe_records: Schema.Literals([1, 2, 3, 10, 40]), from: Schema.Literals([0, 3, 11, 25]) },
    ({ drawn, from, dedupe_records }) => {
      const all = placed(drawn)
      const whole = new RepeatWindow({ dedupe_records }, life)
      const late = new RepeatWindow({ dedupe_records }, life)
      for (const use of all) {
        const verdict = whole.take(use.offset, use.name)
        assert.strictEqual(verdict, expected(all, use, dedupe_records))
        if (use.offset < from) continue
        const other = late.take(use.offset, use.name)
        if (use.offset >= from + dedupe_records) assert.strictEqual(other, verdict)
      }
    },
    often,
  )

  it("keeps many names apart, and forgets each when it is out of the window", () => {
    const dedupe_records = 1_000
    const window = new RepeatWindow({ dedupe_records }, life)
    for (let offset = 0; offset < 20_000; offset++) {
      const isRepeat = offset >= dedupe_records && offset % 7 === 0
      const again = offset - (offset % 2 === 0 ? dedupe_records - 1 : dedupe_records)
      const verdict = window.take(offset, isRepeat ? `name ${again}` : `name ${offset}`)
      assert.strictEqual(verdict, isRepeat && offset % 2 === 0 && again % 7 !== 0 ? again : undefined, `at ${offset}`)
    }
  })

  it("dies of a record that comes before the one it has taken", () => {
    const window = new RepeatWindow(repeatLimits, life)
    window.take(5, "a")
    assert.throws(() => window.take(5, "b"), "invariant 1 of RepeatWindow")
  })

  it("takes at most 2 MB for the window that ships", () => {
    assert.isAtMost(new RepeatWindow(repeatLimits, life).bytes, 2_000_000)
  })
})
