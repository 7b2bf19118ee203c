import { appendFile, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ClientId, Cursor, EventId } from "@nimbus/domain/protocol"
import { afterAll } from "vitest"
import { Effect } from "effect"
import { layerFile } from "./FileMemory.ts"
import { type Change, ClientMemory } from "./Memory.ts"
import { memorySuite } from "./testing/memorySuite.ts"

const root = await mkdtemp(join(tmpdir(), "nimbus-client-"))
afterAll(() => rm(root, { recursive: true }))
let directories = 0
const freshDirectory = () => join(root, `d${directories++}`)

memorySuite("in a file", () => layerFile(freshDirectory()))

const c1 = ClientId.make("c1")
const reached = (last: number): Change => ({ _tag: "Reached", last: Cursor.make(last) })

/** One life of a process: loads, then saves. */
const life = (directory: string, ...saves: ReadonlyArray<ReadonlyArray<Change>>) =>
  ClientMemory.use((memory) =>
    Effect.gen(function* () {
      const remembered = yield* memory.load(c1)
      for (const changes of saves) yield* memory.save(c1, changes)
      return remembered
    }),
  ).pipe(Effect.provide(layerFile(directory), { local: true }))

const onFile = <A>(run: () => Promise<A>) => Effect.promise(run)

describe("FileMemory", () => {
  it.effect("survives the process", () =>
    Effect.gen(function* () {
      const directory = freshDirectory()
      yield* life(directory, [reached(1)], [reached(2)])
      assert.strictEqual((yield* life(directory, [reached(3)])).last, 2)
      assert.strictEqual((yield* life(directory)).last, 3)
    }),
  )

  const lifeOf = (directory: string, id: string, ...saves: ReadonlyArray<ReadonlyArray<Change>>) =>
    ClientMemory.use((memory) =>
      Effect.gen(function* () {
        const clientId = ClientId.make(id)
        const { last } = yield* memory.load(clientId)
        for (const changes of saves) yield* memory.save(clientId, changes)
        return last
      }),
    ).pipe(Effect.provide(layerFile(directory), { local: true }))

  it.effect("keeps clients of any id, each in a file of its own, by names that every file system tells apart", () =>
    Effect.gen(function* () {
      const directory = freshDirectory()
      const kinds = ["@", "x", "X", ":", "."].map((char) => char.repeat(128))
      const ids = [...kinds, `${"@".repeat(127)}x`, "c1", "C1", "a:b", "a_b", "a@b", "A:b", ".", ".."]
      for (const [i, id] of ids.entries()) yield* lifeOf(directory, id, [reached(i)])
      for (const [i, id] of ids.entries()) assert.strictEqual(yield* lifeOf(directory, id), i, id)
      const names = yield* onFile(() => readdir(directory))
      assert.strictEqual(new Set(names.map((name) => name.toLowerCase())).size, ids.length)
      for (const name of names) assert.isAtMost(name.length + ".new".length, 255)
    }),
  )

  it.effect("goes on with a file that has the name of before", () =>
    Effect.gen(function* () {
      const directory = freshDirectory()
      yield* lifeOf(directory, "Kitchen:1", [reached(7)])
      const [name = ""] = yield* onFile(() => readdir(directory))
      assert.match(name, /^kitchen_1~[0-9a-f]{64}\.memory$/)
      yield* onFile(() => rename(join(directory, name), join(directory, "Kitchen%3A1.memory")))
      assert.strictEqual(yield* lifeOf(directory, "kitchen:1"), -1)
      assert.strictEqual(yield* lifeOf(directory, "Kitchen:1", [reached(8)]), 7)
      assert.strictEqual(yield* lifeOf(directory, "Kitchen:1"), 8)
      assert.sameMembers(yield* onFile(() => readdir(directory)), [name, "kitchen%3A1.memory"])
    }),
  )

  it.effect("has a save in the file when it succeeds", () =>
    Effect.gen(function* () {
      const directory = freshDirectory()
      yield* ClientMemory.use((memory) =>
        Effect.gen(function* () {
          yield* memory.load(c1)
          yield* memory.save(c1, [reached(7)])
          // The layer is still open: this is what a process that is killed now leaves behind.
          const text = yield* onFile(() => readFile(join(directory, "c1.memory"), "utf8"))
          assert.include(text.split("\n").at(-2), `"last":7`)
        }),
      ).pipe(Effect.provide(layerFile(directory)))
    }),
  )

  it.effect("drops a last line that a crash cut short, wherever it was cut", () =>
    Effect.gen(function* () {
      const directory = freshDirectory()
      const path = join(directory, "c1.memory")
      yield* life(directory, [reached(1)], [reached(2)])
      const text = yield* onFile(() => readFile(path, "utf8"))
      const lastLine = text.lastIndexOf("\n", text.length - 2) + 1
      for (let cut = lastLine; cut < text.length; cut++) {
        yield* onFile(() => writeFile(path, text.slice(0, cut)))
        assert.strictEqual((yield* life(directory)).last, 1)
      }
      yield* onFile(() => writeFile(path, text))
      assert.strictEqual((yield* life(directory)).last, 2)
    }),
  )

  it.effect("refuses a file that was damaged elsewhere, and leaves it alone", () =>
    Effect.gen(function* () {
      const directory = freshDirectory()
      const path = join(directory, "c1.memory")
      yield* life(directory, [reached(1)])
      yield* onFile(() => appendFile(path, `garbage\n${JSON.stringify([reached(2)])}\n`))
      const error = yield* Effect.flip(life(directory))
      assert.deepInclude(error, { code: "MEMORY_CORRUPT", place: `${path}, line 3` })
      assert.include(yield* onFile(() => readFile(path, "utf8")), "garbage")
      yield* onFile(() => writeFile(path, "somebody else's"))
      assert.strictEqual((yield* Effect.flip(life(directory))).code, "MEMORY_CORRUPT")
    }),
  )

  it.effect("stays small however long it is used", () =>
    Effect.gen(function* () {
      const directory = freshDirectory()
      const frame = "x".repeat(20_000)
      const saves = Array.from({ length: 60 }, (_, n): ReadonlyArray<Change> => {
        const id = EventId.make(`e${n}`)
        return [{ _tag: "Sent", events: [{ id, frame }] }, { _tag: "Settled", ids: [id] }, reached(n)]
      })
      yield* life(directory, ...saves)
      const { size } = yield* onFile(() => stat(join(directory, "c1.memory")))
      assert.isBelow(size, 400_000)
      assert.strictEqual((yield* life(directory)).last, 59)
      assert.deepStrictEqual(yield* onFile(() => readdir(directory)), ["c1.memory"])
    }),
  )

  it.effect("says when it can't be written", () =>
    Effect.gen(function* () {
      const file = join(freshDirectory(), "not-a-directory")
      yield* life(join(file, ".."), [])
      yield* onFile(() => writeFile(file, ""))
      assert.strictEqual((yield* Effect.flip(life(file))).code, "MEMORY_UNAVAILABLE")
      // A directory in which no directory can be made, though it answers as if it were not there.
      assert.strictEqual((yield* Effect.flip(life("/proc/nimbus/memory"))).code, "MEMORY_UNAVAILABLE")
    }),
  )
})
