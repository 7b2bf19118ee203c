import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { EventId, Seq } from "./Ids.ts"
import {
  Barrier,
  decodeEvent,
  decodePlacedBarrier,
  decodeResult,
  encode,
  encodeAcceptedEvent,
  encodeCompleted,
  encodePlacedBarrier,
  encodeResult,
  EventRecord,
  isBarrier,
  peekSeq,
  PlacedBarrier,
  Result as ResultRecord,
} from "./Records.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytes = (u: unknown): Uint8Array => encoder.encode(JSON.stringify(u))
const bySchema = Schema.decodeUnknownResult(EventRecord)

const either = (...schemas: ReadonlyArray<Schema.Codec<unknown>>) => Schema.Union(schemas)
const text = Schema.String.check(Schema.isMaxLength(3))

/** Shortest, longest, and one beyond either. */
const edges = Schema.Literals(["", "x", "x".repeat(128), "x".repeat(129)])

/** Moments as they are to be written, and nearly. */
const moments = Schema.Literals(["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00Z", "now", ""])

/** What an event or a result has of NimbusWS's words, nearly. */
const NearlyAccepted = either(
  Schema.Struct({ created_at: moments, without_data: Schema.optionalKey(Schema.Boolean) }),
  Schema.Struct({ created_at: moments, completed_at: moments, data: Schema.optionalKey(Schema.Json) }),
  Schema.Struct({ created_at: moments, completed_at: moments, data: Schema.Json, more: Schema.Int }),
  text,
  Schema.Null,
)

/** Things that are nearly an event, in each way in which one can be wrong. */
const Nearly = Schema.Struct({
  type: Schema.optionalKey(either(Schema.Literals(["event", "message", "barrier"]), text)),
  id: Schema.optionalKey(either(edges, text, Schema.Null)),
  name: Schema.optionalKey(either(edges, text, Schema.Int)),
  data: Schema.optionalKey(Schema.Json),
  epoch: Schema.optionalKey(Schema.Int),
  more: Schema.optionalKey(Schema.Int),
  accepted: Schema.optionalKey(NearlyAccepted),
})
/** The right keys, with ids and names at their edges. */
const AtTheEdge = Schema.Struct({
  type: Schema.Literals(["event", "message"]),
  id: edges,
  name: edges,
  data: Schema.Json,
  accepted: Schema.optionalKey(NearlyAccepted),
})

/** Things that are nearly a result. */
const NearlyResult = Schema.Struct({
  seq: Schema.optionalKey(either(Schema.Literals([-1, 0, 7, 1.5, 2 ** 53 - 1, 2 ** 53]), text)),
  id: Schema.optionalKey(either(edges, Schema.Null)),
  name: Schema.optionalKey(edges),
  data: Schema.optionalKey(Schema.Json),
  error: Schema.optionalKey(either(Schema.Struct({ code: text, message: text }), text)),
  accepted: Schema.optionalKey(NearlyAccepted),
})
const ResultAtTheEdge = Schema.Struct({
  seq: Schema.Literals([-1, 0, 7, 2 ** 53 - 1]),
  id: edges,
  name: edges,
  data: Schema.Json,
  accepted: Schema.optionalKey(NearlyAccepted),
})
const resultBySchema = Schema.decodeUnknownResult(ResultRecord)

/** Of any number of digits. */
const anySeq = Schema.Union([
  Seq,
  Schema.Literals([0, 9, 10, 2 ** 32, 2 ** 53 - 2, 2 ** 53 - 1]).pipe(Schema.decodeTo(Seq)),
])

/** Some bytes of a record taken out and others put in. */
const Damage = Schema.Struct({
  at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })),
  gone: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })),
  put: Schema.Union([Schema.Literals(["", "1", "-", ".", "e3", " ", ",", `"`, "b", `"b`, "}"]), Schema.String]),
})

const damaged = (value: Uint8Array, { at, gone, put }: typeof Damage.Type): Uint8Array =>
  new Uint8Array([...value.slice(0, at), ...encoder.encode(put), ...value.slice(at + gone)])

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

  it.effect.prop(
    "a result is recognised by hand as by the schema",
    [Schema.Union([NearlyResult, ResultAtTheEdge])],
    ([nearly]) =>
      Effect.sync(() => {
        const decoded = decodeResult(bytes(nearly))
        const expected = resultBySchema(JSON.parse(JSON.stringify(nearly)))
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

  it.effect.prop("an event, a message or a barrier is read back as what was written", [EventRecord], ([record]) =>
    Effect.sync(() => assert.deepStrictEqual(Result.getOrThrow(decodeEvent(encode(record))), asJson(record))),
  )

  it.effect.prop("a result is read back with its data or its error, and null for no data", [ResultRecord], ([result]) =>
    Effect.sync(() => {
      const { accepted, data = null, error, id, name, repeated, seq } = result
      const repeat = repeated === undefined ? {} : { repeated }
      const expected = {
        ...(error === undefined ? { seq, id, name, data, ...repeat } : { seq, id, name, error }),
        ...(accepted === undefined ? {} : { accepted }),
      }
      assert.deepStrictEqual(Result.getOrThrow(decodeResult(encodeResult(result))), asJson(expected))
    }),
  )

  describe("of an event that its client is told about with its result", () => {
    const [created_at, completed_at] = ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:03.000Z"]
    const [id, name, seq] = [EventId.make("é1"), "event", Seq.make(12)]

    it.each([
      ["a large integer", `{"n": 12345678901234567890}`, { n: Number("12345678901234567890") }],
      ["null", "null", null],
      ["text", `"\\ud800"`, "\ud800"],
    ])("%s is kept as the client wrote it, and handlers see it", (_, written, data) => {
      const value = encodeAcceptedEvent({ id, name }, created_at, written)
      const event = Result.getOrThrow(decodeEvent(value))
      assert.deepStrictEqual(event, { type: "event", id, name, data, accepted: { created_at } })
      const completed = encodeCompleted({ seq, id, name, data: 1 }, { created_at }, completed_at, value, false)
      assert.strictEqual(peekSeq(completed), seq)
      assert.include(decoder.decode(completed), `"data":${written}}`)
      const accepted = { created_at, completed_at, data }
      assert.deepStrictEqual(Result.getOrThrow(decodeResult(completed)), { seq, id, name, data: 1, accepted })
      const echo = encodeCompleted({ seq, id, name, data }, { created_at }, completed_at, value, true)
      assert.include(decoder.decode(echo), `"name":"event","data":${written},"accepted":`)
    })

    it("no data is none to the client, and null to handlers", () => {
      const value = encodeAcceptedEvent({ id, name }, created_at, undefined)
      const acceptance = { created_at, without_data: true } as const
      const event = Result.getOrThrow(decodeEvent(value))
      assert.deepStrictEqual(event, { type: "event", id, name, data: null, accepted: acceptance })
      const error = { code: "HANDLER_FAILED", message: "no" }
      const completed = encodeCompleted({ seq, id, name, error }, acceptance, completed_at, value, false)
      const accepted = { created_at, completed_at }
      assert.deepStrictEqual(Result.getOrThrow(decodeResult(completed)), { seq, id, name, error, accepted })
    })

    it.each([["2026"], [{}], [{ created_at: 7 }], [{ created_at: "yesterday" }], [null]])(
      "what a client of another transport has under the same name, as %j, is passed over",
      (accepted) => {
        const event = { type: "event", id, name, data: 1 }
        assert.deepStrictEqual<unknown>(Result.getOrThrow(decodeEvent(bytes({ ...event, accepted }))), event)
        const result = { seq, id, name, data: 1 }
        assert.deepStrictEqual<unknown>(Result.getOrThrow(decodeResult(bytes({ ...result, accepted }))), result)
      },
    )
  })

  it.effect.prop("a barrier on its way is read back as what was written", [PlacedBarrier], ([{ barrier, seq }]) =>
    Effect.sync(() => {
      const decoded = Result.getOrThrow(decodePlacedBarrier(encodePlacedBarrier(seq, barrier)))
      assert.deepStrictEqual(decoded, { seq, barrier })
    }),
  )

  it("barriers from before numbers and routes are read as they were written", () => {
    const old = new TextEncoder().encode(`{"type":"barrier","epoch":7,"pod":"p"}`)
    assert.deepStrictEqual<unknown>(Result.getOrThrow(decodeEvent(old)), { type: "barrier", epoch: 7, pod: "p" })
    const placed = new TextEncoder().encode(`{"seq":12,"barrier":{"epoch":7,"pod":"p"}}`)
    const found = Result.getOrThrow(decodePlacedBarrier(placed))
    assert.deepStrictEqual<unknown>(found, { seq: 12, barrier: { epoch: 7, pod: "p" } })
    assert.deepStrictEqual(encodePlacedBarrier(found.seq, found.barrier), placed)
  })

  describe("a peek at the first bytes", () => {
    it.effect.prop("gives the seq of any result, and that it is no barrier", [anySeq, ResultRecord], ([seq, result]) =>
      Effect.sync(() => {
        const value = encodeResult({ ...result, seq })
        assert.strictEqual(peekSeq(value), seq)
        assert.isFalse(isBarrier(value))
      }),
    )

    it.effect.prop("gives the seq of any barrier, and that it is one", [anySeq, Barrier], ([seq, barrier]) =>
      Effect.sync(() => {
        const value = encodePlacedBarrier(seq, barrier)
        assert.strictEqual(peekSeq(value), seq)
        assert.isTrue(isBarrier(value))
      }),
    )

    it.effect.prop(
      "never contradicts the full decoders, whatever happened to the bytes",
      [Schema.Union([ResultRecord, PlacedBarrier]), Schema.Array(Damage).check(Schema.isMinLength(1))],
      ([record, damages]) =>
        Effect.sync(() => {
          const whole = "barrier" in record ? encodePlacedBarrier(record.seq, record.barrier) : encodeResult(record)
          const value = damages.reduce(damaged, whole)
          const peeked = peekSeq(value)
          if (peeked === undefined) return
          const result = decodeResult(value)
          const barrier = decodePlacedBarrier(value)
          if (Result.isSuccess(result)) assert.deepStrictEqual([peeked, isBarrier(value)], [result.success.seq, false])
          if (Result.isSuccess(barrier)) assert.deepStrictEqual([peeked, isBarrier(value)], [barrier.success.seq, true])
        }),
      { arbitrary: { runs: 1_000 } },
    )

    it.effect.prop("gives nothing for bytes that are not ours", [Schema.Uint8Array], ([value]) =>
      Effect.sync(() => assert.isUndefined(peekSeq(value))),
    )

    it.each([
      ["nothing", ""],
      ["the prefix alone", `{"seq":`],
      ["no digits", `{"seq":,"id":"e1"}`],
      ["digits alone", `{"seq":12`],
      ["a seq cut off from what follows", `{"seq":12,`],
      ["a negative seq", `{"seq":-1,"id":"e1","name":"sq"}`],
      ["half a seq", `{"seq":1.5,"id":"e1","name":"sq"}`],
      ["a seq that is no safe integer", `{"seq":9007199254740992,"id":"e1","name":"sq"}`],
      ["a seq of very many digits", `{"seq":00000000000000001,"id":"e1","name":"sq"}`],
      ["a seq in quotes", `{"seq":"12","id":"e1","name":"sq"}`],
      ["another first field", `{"id":"e1","seq":12,"name":"sq"}`],
      ["another spelling", `{ "seq": 12, "id": "e1" }`],
    ])("gives no seq for %s", (_, text) => {
      assert.isUndefined(peekSeq(encoder.encode(text)))
    })
  })
})

/** As JSON writes it: -0 is 0. */
const asJson = (u: unknown): unknown => JSON.parse(JSON.stringify(u))
