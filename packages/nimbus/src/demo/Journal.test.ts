import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { EventId } from "@nimbus/domain/protocol"
import { Effect } from "effect"
import { temporaryDirectory } from "../testing/Processes.ts"
import * as Journal from "./Journal.ts"

const entry = (n: number): Journal.Entry => ({ _tag: "Receipted", ids: [EventId.make(`ä${n}`)] })

/** One life of a process: what it finds, before it appends. */
const life = (path: string, ...entries: ReadonlyArray<Journal.Entry>) =>
  Effect.gen(function* () {
    const journal = yield* Journal.open(path)
    yield* Effect.forEach(entries, journal.append)
    return journal.entries
  }).pipe(Effect.scoped)

const place = Effect.map(temporaryDirectory, (directory) => join(directory, "deep/bob.journal"))

describe("Journal", () => {
  it.effect("gives back what was appended, in order, over lives", () =>
    Effect.gen(function* () {
      const path = yield* place
      assert.deepStrictEqual(yield* life(path, entry(1), entry(2)), [])
      assert.deepStrictEqual(yield* life(path, entry(3)), [entry(1), entry(2)])
      assert.deepStrictEqual(yield* life(path), [entry(1), entry(2), entry(3)])
    }),
  )

  it.effect("drops a last line that a crash cut short, wherever it was cut, and goes on from there", () =>
    Effect.gen(function* () {
      const path = yield* place
      yield* life(path, entry(1), entry(2))
      const whole = readFileSync(path)
      const lastLine = whole.lastIndexOf("\n", whole.length - 2) + 1
      for (let cut = lastLine; cut < whole.length; cut++) {
        writeFileSync(path, whole.subarray(0, cut))
        assert.deepStrictEqual(yield* life(path, entry(3)), [entry(1)])
        assert.deepStrictEqual(yield* life(path), [entry(1), entry(3)])
      }
    }),
  )

  it.effect("drops a last line that is whole and can't be read, for a disk may write its end first", () =>
    Effect.gen(function* () {
      const path = yield* place
      yield* life(path, entry(1))
      appendFileSync(path, "\0\0\0\n")
      assert.deepStrictEqual(yield* life(path, entry(2)), [entry(1)])
      assert.deepStrictEqual(yield* life(path), [entry(1), entry(2)])
    }),
  )

  it.effect("refuses a journal that was damaged elsewhere, and leaves it alone", () =>
    Effect.gen(function* () {
      const path = yield* place
      yield* life(path, entry(1))
      appendFileSync(path, `damaged\n${JSON.stringify(entry(2))}\n`)
      const before = readFileSync(path, "utf8")
      const error = yield* Effect.flip(life(path))
      assert.deepInclude(error, { code: "MEMORY_CORRUPT", place: path })
      assert.strictEqual(readFileSync(path, "utf8"), before)
    }),
  )

  it.effect("has appended what it says it has, one line after the other, although many append at once", () =>
    Effect.gen(function* () {
      const path = yield* place
      const journal = yield* Journal.open(path)
      const entries = Array.from({ length: 20 }, (_, n) => entry(n))
      yield* Effect.forEach(entries, journal.append, { concurrency: "unbounded", discard: true })
      assert.strictEqual(readFileSync(path, "utf8"), entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""))
    }),
  )
})
