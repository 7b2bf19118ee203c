import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { decodeEvent, EventRecord } from "./Records.ts"

const encoder = new TextEncoder()
const bytes = (u: unknown): Uint8Array => encoder.encode(JSON.stringify(u))
const bySchema = Schema.decodeUnknownResult(EventRecord)

const either = (...schemas: ReadonlyArray<Schema.Codec<unknown>>) => Schema.Union(schemas)
const text = Schema.String.check(Schema.isMaxLength(3))

/** Shortest, longest, and one beyond either. */
const edges = Schema.Literals(["", "x", "x".repeat(128), "x".repeat(129)])

/** Things that are nearly an event, in each way in which one can be wrong. */
const Nearly = Schema.Struct({
  type: Schema.optionalKey(either(Schema.Literals(["event", "message", "barrier"]), text)),
  id: Schema.optionalKey(either(edges, text, Schema.Null)),
  name: Schema.optionalKey(either(edges, text, Schema.Int)),
  data: Schema.optionalKey(Schema.Json),
  epoch: Schema.optionalKey(Schema.Int),
  more: Schema.optionalKey(Schema.Int),
})
/** The right keys, with ids and names at their edges. */
const AtTheEdge = Schema.Struct({
  type: Schema.Literals(["event", "message"]),
  id: edges,
  name: edges,
  data: Schema.Json,
})

describe("Records", () => {
  it.effect.prop(
    "an event is recognised by hand as by the schema",
    [Schema.Union([Nearly, AtTheEdge])],
    ([nearly]) =>
      Effect.sync(() => {
        const decoded = decodeEvent(bytes(nearly))
        const expected = bySchema(JSON.parse(JSON.stringify(nearly)))
        assert.strictEqual(Result.isSuccess(decoded), Result.isSuccess(expected))
        if (Result.isSuccess(decoded) && Result.isSuccess(expected)) {
          assert.deepStrictEqual(decoded.success, expected.success)
        }
      }),
    { arbitrary: { runs: 2_000 } },
  )

  it.effect.prop("what the schema makes is read back", [Arbitrary.schema(EventRecord)], ([record]) =>
    Effect.sync(() => {
      assert.deepStrictEqual(Result.getOrThrow(decodeEvent(bytes(record))), JSON.parse(JSON.stringify(record)))
    }),
  )

  it.each([
    ["no JSON", encoder.encode("{")],
    ["no UTF-8", new Uint8Array([0xff, 0xfe])],
    ["no object", bytes([1])],
    ["null", bytes(null)],
    ["nothing", new Uint8Array()],
  ])("%s is a corrupt record with a reason", (_, value) => {
    const decoded = decodeEvent(value)
    assert.isTrue(Result.isFailure(decoded) && decoded.failure.reason.length > 0)
  })
})
