import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as Frames from "./Frames.ts"
import * as ServerFrames from "./ServerFrames.ts"

const decodeClientFrame = Schema.decodeUnknownResult(Frames.ClientFrame)

/** Shortest, longest, and one beyond either. */
const edges = Schema.Literals(["", "x", "x".repeat(128), "x".repeat(129)])

/** Nearly a frame, in each way in which one can be wrong. */
const Nearly = Schema.Struct({
  type: Schema.optionalKey(Schema.Union([Schema.Literals(["event", "cancel", "ack", "ping"]), Schema.Json])),
  id: Schema.optionalKey(Schema.Union([edges, Schema.Json])),
  name: Schema.optionalKey(Schema.Union([edges, Schema.Json])),
  data: Schema.optionalKey(Schema.Json),
  seq: Schema.optionalKey(Schema.Union([Schema.Int, Schema.Json])),
  more: Schema.optionalKey(Schema.Json),
})

/** Right but for an edge here or there. */
const AtTheEdge = Schema.Union([
  Schema.Struct({ type: Schema.Literal("ack"), seq: Schema.Literals([-1, 0, 0.5, 2 ** 53 - 1, 2 ** 53]) }),
  Schema.Struct({ type: Schema.Literal("cancel"), id: edges, name: Schema.optionalKey(edges) }),
  Schema.Struct({ type: Schema.Literal("event"), id: edges, name: edges, data: Schema.optionalKey(Schema.Json) }),
])

const succeeded = (text: string) => Result.getOrThrow(Frames.parseClientFrame(text))

describe("Frames", () => {
  it.effect.prop(
    "a client's frame is recognised by hand as by the schema",
    [Schema.Union([Nearly, AtTheEdge, Schema.Json])],
    ([nearly]) =>
      Effect.sync(() => {
        const text = JSON.stringify(nearly)
        const parsed = Frames.parseClientFrame(text)
        const expected = decodeClientFrame(JSON.parse(text))
        assert.deepStrictEqual(Result.getOrUndefined(parsed), Result.getOrUndefined(expected))
        assert.strictEqual(parsed._tag, expected._tag)
      }),
    { arbitrary: { runs: 2_000 } },
  )

  it.effect.prop("a client's frame is read as it was written", [Frames.ClientFrame], ([frame]) =>
    Effect.sync(() => {
      const text = JSON.stringify(frame)
      assert.deepStrictEqual(succeeded(text), JSON.parse(text))
    }),
  )

  it.effect.prop("any text is a frame or says what is wrong with it", [Schema.String], ([text]) =>
    Effect.sync(() => {
      const code = isJson(text) ? "BAD_FRAME" : "NOT_JSON"
      assert.strictEqual(Result.getOrThrow(Result.flip(Frames.parseClientFrame(text))).code, code)
    }),
  )

  it.each([
    ["not JSON", "{", "NOT_JSON"],
    ["nothing", "", "NOT_JSON"],
    ["a number", "7", "BAD_FRAME"],
    ["null", "null", "BAD_FRAME"],
    ["an array", "[]", "BAD_FRAME"],
    ["an unknown type", `{"type":"evnt","name":"sq"}`, "BAD_FRAME"],
    ["an event without a name", `{"type":"event","id":"e1"}`, "BAD_FRAME"],
    ["a cancel without an id", `{"type":"cancel"}`, "BAD_FRAME"],
    ["a cancel by a seq", `{"type":"cancel","id":7}`, "BAD_FRAME"],
    ["a negative ack", `{"type":"ack","seq":-1}`, "BAD_FRAME"],
    ["an ack in quotes", `{"type":"ack","seq":"1"}`, "BAD_FRAME"],
  ])("%s is refused", (_, text, code) => {
    const parsed = Frames.parseClientFrame(text)
    assert.isTrue(Result.isFailure(parsed) && parsed.failure.code === code && parsed.failure.message !== "")
  })

  it("an event that is refused is named by its id, as far as it may be long", () => {
    const parsed = (id: string) => Result.flip(Frames.parseClientFrame(JSON.stringify({ type: "event", id })))
    assert.strictEqual(Result.getOrThrow(parsed("e1")).id, "e1")
    assert.strictEqual(Result.getOrThrow(parsed("x".repeat(1_000))).id, "x".repeat(128))
  })

  it("a cancel that is refused does not refuse the event that it names", () => {
    const text = JSON.stringify({ type: "cancel", id: "x".repeat(129) })
    assert.strictEqual(Result.getOrThrow(Result.flip(Frames.parseClientFrame(text))).id, undefined)
  })

  it("an event needs neither an id nor data", () => {
    assert.deepStrictEqual(succeeded(`{"type":"event","name":"sq"}`), { type: "event", name: "sq" })
  })

  it("the envelope of results holds what stands between its ends", () => {
    const decoder = new TextDecoder()
    const text = `${decoder.decode(Frames.resultsPrefix)}{"seq":1,"id":"e1","name":"sq"}${decoder.decode(Frames.resultsSuffix)}`
    const frame: unknown = Result.getOrThrow(ServerFrames.parse(text))
    assert.deepStrictEqual(frame, { type: "results", items: [{ seq: 1, id: "e1", name: "sq" }] })
  })
})

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
