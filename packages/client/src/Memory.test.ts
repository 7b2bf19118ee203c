import { assert, describe, it } from "@effect/vitest"
import { ClientId, Cursor, EventId, Incarnation, Seq } from "@nimbus/domain/protocol"
import { Effect, Result, Schema } from "effect"
import {
  apply,
  type Change,
  ClientMemory,
  decodeStored,
  empty,
  encodeStored,
  layerMemory,
  layerStorage,
  toLedger,
  toRemembered,
} from "./Memory.ts"
import { Remembered } from "./MemorySchemas.ts"
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

const isRemembered = Schema.is(Remembered)
const either = <S extends Schema.Top>(schema: S) => Schema.Union([schema, schema, schema, Schema.Json])
const some = <S extends Schema.Top>(schema: S) => Schema.optionalKey(either(schema))
const cursors = Schema.Literals([-2, -1, 0, 7, 0.5, 2 ** 53])
const ids = Schema.Literals(["", "x", "x".repeat(128), "x".repeat(129)])
/** Right, but for an edge or something else here or there. */
const nearly = either(
  Schema.Struct({
    log: Schema.optionalKey(either(Schema.Literals(["log-0", "", "x".repeat(257)]))),
    last: either(cursors),
    unaccepted: either(Schema.Array(Schema.Struct({ id: either(ids), frame: either(Schema.String) }))),
    doubtful: either(Schema.Array(Schema.Struct({ id: either(ids), answered: Schema.optionalKey(cursors) }))),
    consumed: some(cursors),
    cancels: some(Schema.Array(either(ids))),
    tasks: some(
      Schema.Array(
        Schema.Struct({
          id: either(ids),
          name: either(ids),
          since: either(cursors),
          seq: either(cursors),
          attempt: either(cursors),
          began: either(cursors),
          first: either(cursors),
          parts: either(Schema.Array(Schema.Json)),
          end: some(
            Schema.Struct({
              as: Schema.Literals(["done", "lost", "over"]),
              error: some(Schema.Struct({ code: either(Schema.String), message: either(Schema.String) })),
              first: some(cursors),
            }),
          ),
        }),
      ),
    ),
  }),
)

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

  it.effect.prop("is read from a storage as it was written", [Remembered], ([remembered]) =>
    Effect.sync(() => {
      const text = encodeStored(remembered)
      assert.strictEqual(encodeStored(Result.getOrThrow(decodeStored(text))), text)
    }),
  )

  it.effect.prop(
    "what is nearly a memory is one if the schema takes it for one",
    [nearly],
    ([value]) =>
      Effect.sync(() => {
        const text = JSON.stringify(value)
        assert.strictEqual(Result.isSuccess(decodeStored(text)), isRemembered(JSON.parse(text)), text)
      }),
    { arbitrary: { runs: 2_000 } },
  )

  it("opens what was stored before there were tasks", () => {
    const text = `{"log":"log-0","last":4,"unaccepted":[{"id":"a","frame":"{}"}],"doubtful":[{"id":"a","answered":3}]}`
    const ledger = toLedger(Result.getOrThrow(decodeStored(text)))
    assert.deepStrictEqual([ledger.consumed, ledger.tasks.size, ledger.cancels.size], [4, 0, 0])
    assert.strictEqual(encodeStored(toRemembered(ledger)), text)
  })

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
