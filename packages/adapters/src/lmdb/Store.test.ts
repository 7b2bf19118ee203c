import { assert, describe, it } from "@effect/vitest"
import { chmodSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { moduleUrl, startChild, temporaryDirectory } from "./Children.ts"
import { LmdbStore } from "./Store.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : new TextDecoder().decode(value))

/** The store for as long as `use` runs. */
const withStore = <A, E>(directory: string, use: (store: LmdbStore["Service"]) => Effect.Effect<A, E>) =>
  LmdbStore.use(use).pipe(Effect.provide(LmdbStore.layerWith({ directory }), { local: true }))

describe("LmdbStore", () => {
  it.live("reads what it committed, in order of the keys, after closing and opening again", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withStore(directory, (store) =>
        Effect.gen(function* () {
          const table = yield* store.table("t")
          yield* store.commit(() => {
            for (const key of ["b", "a", "c"]) table.put(bytes(key), bytes(`${key}!`))
          })
          yield* store.commit(() => table.remove(bytes("b")))
        }),
      )
      yield* withStore(directory, (store) =>
        Effect.gen(function* () {
          const table = yield* store.table("t")
          const entries = yield* store.read(() =>
            [...table.range({ start: bytes("a"), end: bytes("z") })].map((e) => [text(e.key), text(e.value)]),
          )
          assert.deepStrictEqual(entries, [
            ["a", "a!"],
            ["c", "c!"],
          ])
          const last = yield* store.read(() => [
            ...table.keys({ start: bytes("z"), end: bytes("a"), reverse: true, limit: 1 }),
          ])
          assert.deepStrictEqual(last.map(text), ["c"])
        }),
      )
    }),
  )

  it.live("lets a write read what it and those before it wrote", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withStore(directory, (store) =>
        Effect.gen(function* () {
          const table = yield* store.table("t")
          const increment = store.commit(() => {
            const n = Number(text(table.get(bytes("n"))) ?? 0) + 1
            table.put(bytes("n"), bytes(String(n)))
            return n
          })
          const answers = yield* Effect.all(
            Array.from({ length: 100 }, () => increment),
            { concurrency: "unbounded" },
          )
          assert.deepStrictEqual(
            answers,
            Array.from({ length: 100 }, (_, i) => i + 1),
          )
        }),
      )
    }),
  )

  it.live("takes back a write that throws, and only that one", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withStore(directory, (store) =>
        Effect.gen(function* () {
          const table = yield* store.table("t")
          const put = (key: string) => store.commit(() => table.put(bytes(key), bytes(key)))
          const broken = store.commit(() => {
            table.put(bytes("broken"), bytes("half"))
            throw new Error("no")
          })
          const [, failure] = yield* Effect.all([put("a"), Effect.flip(broken), put("b")], { concurrency: "unbounded" })
          assert.strictEqual(failure.code, "STORAGE_UNAVAILABLE")
          const keys = yield* store.read(() => [...table.keys({ start: bytes("a"), end: bytes("z") })].map(text))
          assert.deepStrictEqual(keys, ["a", "b"])
        }),
      )
    }),
  )

  it.live("hands out copies: a value read earlier does not change with later reads and writes", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withStore(directory, (store) =>
        Effect.gen(function* () {
          const table = yield* store.table("t")
          const put = (key: string, size: number, fill: number) =>
            store.commit(() => table.put(bytes(key), new Uint8Array(size).fill(fill)))
          for (const size of [10, 5_000, 100_000, 2_000_000]) {
            yield* put("x", size, 1)
            yield* put("y", size, 2)
            const x = yield* store.read(() => table.get(bytes("x")))
            yield* store.read(() => table.get(bytes("y")))
            yield* put("x", size, 3)
            assert.strictEqual(x?.length, size)
            assert.isTrue(x?.every((byte) => byte === 1))
          }
        }),
      )
    }),
  )

  it.live("makes its directory, and those above it, for their owner alone, and leaves one that is there as it is", () =>
    Effect.gen(function* () {
      const outside = yield* temporaryDirectory
      chmodSync(outside, 0o755)
      const directory = join(outside, "deep/data")
      yield* withStore(directory, () => Effect.void)
      const modeOf = (path: string) => statSync(path).mode & 0o777
      assert.deepStrictEqual([modeOf(outside), modeOf(join(outside, "deep")), modeOf(directory)], [0o755, 0o700, 0o700])
    }),
  )

  it.live("refuses a directory that this process has open already", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const failure = yield* withStore(directory, () => Effect.flip(withStore(directory, () => Effect.void)))
      assert.strictEqual(failure.code, "DATA_DIRECTORY_IN_USE")
    }),
  )

  it.live("refuses a directory that another process has open, and names it; after its kill -9 takes it over", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const child = yield* startChild(holder, directory)
      yield* eventually(
        "the child holds the directory",
        Effect.sync(() => child.lines().includes("held")),
      )
      const failure = yield* Effect.flip(withStore(directory, () => Effect.void))
      assert.strictEqual(failure._tag, "DataDirectoryInUse")
      assert.include(failure.message, String(child.pid))
      yield* child.kill
      yield* withStore(directory, () => Effect.void)
    }),
  )

  it.live("holds its directory also where the program keeps no fiber of it, and the garbage is collected", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const child = yield* startChild(collectingHolder, directory)
      yield* eventually(
        "the child has collected its garbage",
        Effect.sync(() => child.lines().includes("collected")),
      )
      const failure = yield* Effect.flip(Effect.asVoid(withStore(directory, () => Effect.void)))
      assert.strictEqual(failure._tag, "DataDirectoryInUse")
    }),
  )

  it.live("refuses a data file that is not LMDB's, or that is cut off, instead of crashing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withStore(directory, (store) =>
        Effect.gen(function* () {
          const table = yield* store.table("t")
          for (let i = 0; i < 50; i++) yield* store.commit(() => table.put(bytes(`${i}`), new Uint8Array(10_000)))
        }),
      )
      const file = join(directory, "data.mdb")
      truncateSync(file, 9_000)
      const cutOff = yield* Effect.flip(withStore(directory, () => Effect.void))
      assert.strictEqual(cutOff._tag, "DataDirectoryCorrupt")
      assert.include(cutOff.message, "cut off")
      writeFileSync(file, "x".repeat(10_000))
      const strange = yield* Effect.flip(withStore(directory, () => Effect.void))
      assert.strictEqual(strange._tag, "DataDirectoryCorrupt")
      assert.include(strange.message, "not an LMDB file")
    }),
  )

  it.live("refuses a commit after closing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const store = yield* withStore(directory, Effect.succeed)
      const failure = yield* Effect.flip(store.commit(() => undefined))
      assert.strictEqual(failure.code, "STORAGE_UNAVAILABLE")
    }),
  )
})

const holder = `
  import { Effect, Layer } from "effect"
  import { LmdbStore } from ${moduleUrl("./Store.ts")}
  const [, directory] = process.argv
  const hold = Layer.effectDiscard(Effect.sync(() => { globalThis.held = true; process.stdout.write("held\\n") })).pipe(
    Layer.provide(LmdbStore.layerWith({ directory })), Layer.launch)
  Effect.runFork(hold)
  setInterval(() => {}, 1000)
`

/** Collects in turns of its event loop of their own, when no call under way refers to the fiber. */
const collectingHolder = `
  ${holder}
  import { setFlagsFromString } from "node:v8"
  import { runInNewContext } from "node:vm"
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc")
  let collected = 0
  setInterval(() => {
    if (!globalThis.held) return
    collect()
    if (++collected === 2) process.stdout.write("collected\\n")
  }, 10)
`
