import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Incarnation } from "./Ids.ts"
import { repeatLimits } from "../Limits.ts"
import { halfSipHash } from "./internal/HalfSipHash.ts"
import { RepeatWindow } from "./RepeatWindow.ts"

const life = Incarnation.make("a life")

/** All of one owner and kind, where it does not matter whose they are. */
const named = (dedupe_records: number, secret = "a secret") => {
  const window = new RepeatWindow({ dedupe_records }, life, secret)
  return (offset: number, id: string) => window.take(offset, 0, "c", id)
}

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
      const whole = named(dedupe_records)
      const late = named(dedupe_records, "another secret")
      for (const use of all) {
        const verdict = whole(use.offset, use.name)
        assert.strictEqual(verdict, expected(all, use, dedupe_records))
        if (use.offset < from) continue
        const other = late(use.offset, use.name)
        if (use.offset >= from + dedupe_records) assert.strictEqual(other, verdict)
      }
    },
    often,
  )

  it("keeps many names apart, and forgets each when it is out of the window", () => {
    const dedupe_records = 1_000
    const take = named(dedupe_records)
    for (let offset = 0; offset < 20_000; offset++) {
      const isRepeat = offset >= dedupe_records && offset % 7 === 0
      const again = offset - (offset % 2 === 0 ? dedupe_records - 1 : dedupe_records)
      const verdict = take(offset, isRepeat ? `name ${again}` : `name ${offset}`)
      assert.strictEqual(verdict, isRepeat && offset % 2 === 0 && again % 7 !== 0 ? again : undefined, `at ${offset}`)
    }
  })

  it.prop(
    "has the same verdicts whatever the secret is, also where many names are near each other in the table",
    { secrets: Schema.Tuple([Schema.String, Schema.String]), dedupe_records: Schema.Literals([7, 100, 410, 838]) },
    ({ dedupe_records, secrets: [one, another] }) => {
      const [first, second] = [named(dedupe_records, one), named(dedupe_records, another)]
      // Every name comes again after a while, sooner or later than the window.
      for (let offset = 0; offset < 4 * dedupe_records; offset++) {
        const id = `${offset % (offset % 3 === 0 ? dedupe_records - 1 : dedupe_records + 3)}`
        const use = 3 * offset + (offset > 2 * dedupe_records ? dedupe_records : 0)
        assert.strictEqual(first(use, id), second(use, id), `at ${use}`)
      }
    },
    { arbitrary: { runs: 20 } },
  )

  it.prop(
    "finds a name without taking it",
    { drawn: uses, dedupe_records: Schema.Literals([1, 3, 10, 40]) },
    ({ dedupe_records, drawn }) => {
      const all = placed(drawn)
      const window = new RepeatWindow({ dedupe_records }, life, "a secret")
      for (const { name, offset } of all) {
        window.take(offset, 0, "c", name)
        for (const sought of ["a", "b", "c"]) {
          const inWindow = ({ offset: at, name: of }: Use) =>
            of === sought && at <= offset && at > offset - dedupe_records
          assert.strictEqual(window.find(0, "c", sought), all.find(inWindow)?.offset)
        }
      }
    },
    often,
  )

  it("goes on beyond offsets of 32 bits", () => {
    const take = named(100)
    const from = 2 ** 40 + 7
    for (let i = 0; i < 500; i++) assert.isUndefined(take(from + i, `name ${i}`))
    assert.strictEqual(take(from + 500, "name 401"), from + 401)
    assert.isUndefined(take(from + 501, "name 401 of another"))
    assert.isUndefined(take(from + 502, "name 402"))
  })

  it("tells owners, kinds and ids apart, however they are put together", () => {
    const window = new RepeatWindow({ dedupe_records: 100 }, life, "a secret")
    const names: ReadonlyArray<readonly [kind: 0 | 1, owner: string, id: string]> = [
      [0, "a", "bc"],
      [1, "a", "bc"],
      [0, "ab", "c"],
      [0, "", "abc"],
      [0, "abc", ""],
      [0, "a", "bc\u0000"],
      [0, "a\u0000", "bc"],
      [0, "a", "b\u6300"],
    ]
    const verdicts = [...names, ...names].map(([kind, owner, id], offset) => window.take(offset, kind, owner, id))
    assert.deepStrictEqual(verdicts, [...names.map(() => undefined), ...names.map((_, i) => i)])
  })

  it("keeps names near their homes, also those that somebody chose who knows the hash", () => {
    const dedupe_records = 800
    const key = { low: 0, high: 0 }
    halfSipHash(key, 0, "", life, key)
    const hash = { low: 0, high: 0 }
    const alike = (id: string): boolean => {
      halfSipHash(key, 0, "c", id, hash)
      return (hash.low & 0x3ff) === 7
    }
    const window = new RepeatWindow({ dedupe_records }, life, "a secret")
    for (let n = 0, offset = 0; offset < dedupe_records; n++)
      if (alike(`name ${n}`)) window.take(offset++, 0, "c", `name ${n}`)
    assert.isAtMost(window.furthest, 64)
  })

  it("dies of a record that comes before the one it has taken", () => {
    const take = named(repeatLimits.dedupe_records)
    take(5, "a")
    assert.throws(() => take(5, "b"), "invariant 1 of RepeatWindow")
  })

  it("takes at most 2 MB for the window that ships", () => {
    assert.isAtMost(new RepeatWindow(repeatLimits, life, "a secret").bytes, 2_000_000)
  })
})
