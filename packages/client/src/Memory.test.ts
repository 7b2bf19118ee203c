import { assert, describe, it } from "@effect/vitest"
import { ClientId, Cursor, EventId, Incarnation, Seq } from "@nimbus/domain"
import { Effect } from "effect"
import { apply, type Change, ClientMemory, empty, layerMemory, layerStorage, toLedger, toRemembered } from "./Memory.ts"
import { memorySuite } from "./testing/memorySuite.ts"

const mapStorage = (quota = Number.POSITIVE_INFINITY) => {
  const items = new Map<string, string>()
  return {
    items,
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => {
      if (value.length > quota) throw new Error("QuotaExceededError")
      items.set(key, value)
    },
  }
}

memorySuite("in the process", () => layerMemory)
memorySuite("in a browser's storage", () => layerStorage(mapStorage()))

const c1 = ClientId.make("c1")
const reached: Change = { _tag: "Reached", last: Cursor.make(4) }

describe("Memory", () => {
  it.effect("in a storage survives the page", () =>
    Effect.gen(function* () {
      const storage = mapStorage()
      const visit = Effect.provide(
        ClientMemory.use((memory) => Effect.tap(memory.load(c1), () => memory.save(c1, [reached]))),
        layerStorage(storage),
        { local: true },
      )
      assert.strictEqual((yield* visit).last, -1)
      assert.strictEqual((yield* visit).last, 4)
    }),
  )

  it.effect("says when the storage is full, and when it holds something else", () =>
    Effect.gen(function* () {
      const full = mapStorage(3)
      const error = yield* ClientMemory.use((memory) => Effect.flip(memory.save(c1, [reached]))).pipe(
        Effect.provide(layerStorage(full)),
      )
      assert.strictEqual(error.code, "MEMORY_UNAVAILABLE")
      const foreign = mapStorage()
      foreign.items.set("nimbus:c1", `{"last":"x"}`)
      const corrupt = yield* ClientMemory.use((memory) => Effect.flip(memory.load(c1))).pipe(
        Effect.provide(layerStorage(foreign)),
      )
      assert.strictEqual(corrupt.code, "MEMORY_CORRUPT")
    }),
  )

  it("takes every further item of an answered id for a repeat in another log", () => {
    const id = EventId.make("a")
    const ledger = toLedger(empty)
    apply(ledger, reached)
    apply(ledger, { _tag: "Doubted", ids: [id] })
    apply(ledger, { _tag: "Answered", answers: [{ id, seq: Seq.make(4) }] })
    apply(ledger, { _tag: "Entered", log: Incarnation.make("log-1"), last: Cursor.make(-1) })
    assert.deepStrictEqual(toRemembered(ledger).doubtful, [{ id, answered: Cursor.make(-1) }])
  })
})
