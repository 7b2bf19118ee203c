import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as Frames from "./Frames.ts"
import * as ServerFrames from "./ServerFrames.ts"

const decode = Schema.decodeUnknownResult(Frames.ServerFrame)
const isFrame = Schema.is(Frames.ServerFrame)

const types = Schema.Literals([
  "welcome",
  "accepted",
  "cancelling",
  "refused",
  "status",
  "lost",
  "error",
  "pong",
  "event",
])

/** What a field may hold where another belongs, at the edges of each kind too. */
const wrong = Schema.Union([
  Schema.Literals([-2, -1, 0, 0.5, 2 ** 53 - 1, 2 ** 53, "", "x", "x".repeat(128), "x".repeat(129)]),
  Schema.Literals(["x".repeat(256), "x".repeat(257), "LIVE", "GONE"]),
  Schema.Json,
])

/** A key of a frame, or of the limits in it. */
const key = Schema.Literals([
  "type",
  "clientId",
  "epoch",
  "status",
  "log",
  "after",
  "limits",
  "frame_bytes",
  "window_results",
  "events_per_second",
  "idle_timeout_ms",
  "ids",
  "id",
  "code",
  "message",
  "upTo",
])

/** Puts another value in place of a field, or takes the field away. */
const spoil = (frame: object, name: string, value: Schema.Json | undefined): object => {
  if ("limits" in frame && typeof frame.limits === "object" && frame.limits !== null && name in frame.limits) {
    return { ...frame, limits: { ...frame.limits, [name]: value } }
  }
  return { ...frame, [name]: value }
}

const isResults = (frame: object): boolean => "type" in frame && frame.type === "results"

describe("ServerFrames", () => {
  it.effect.prop(
    "a gateway's frame is read as it was written, and as the schema reads it",
    [Frames.ServerFrame],
    ([frame]) =>
      Effect.sync(() => {
        const text = JSON.stringify(frame)
        const parsed = Result.getOrThrow(ServerFrames.parse(text))
        assert.deepStrictEqual(parsed, Result.getOrThrow(decode(JSON.parse(text))))
        assert.deepStrictEqual(parsed, JSON.parse(text))
      }),
  )

  it.effect.prop(
    "what is nearly a frame is one if the schema takes it for one",
    [Frames.ServerFrame, key, Schema.Union([wrong, types]), Schema.Boolean],
    ([frame, name, value, isGone]) =>
      Effect.sync(() => {
        const spoilt = spoil(frame, name, isGone ? undefined : value)
        // The items of results are trusted: a test of their own.
        if (isResults(spoilt)) return
        const text = JSON.stringify(spoilt)
        assert.strictEqual(Result.isSuccess(ServerFrames.parse(text)), isFrame(JSON.parse(text)), text)
      }),
    { arbitrary: { runs: 5_000 } },
  )

  it.effect.prop("any text is a frame or says what is wrong with it", [Schema.String], ([text]) =>
    Effect.sync(() => {
      const { code, message } = Result.getOrThrow(Result.flip(ServerFrames.parse(text)))
      assert.include(["NOT_JSON", "BAD_FRAME"], code)
      assert.isNotEmpty(message)
    }),
  )

  it.each([
    ["nothing", "", "NOT_JSON"],
    ["half of a frame", `{"type":"pong"`, "NOT_JSON"],
    ["null", "null", "BAD_FRAME"],
    ["a number", "7", "BAD_FRAME"],
    ["an array", "[]", "BAD_FRAME"],
    ["an unknown type", `{"type":"toString"}`, "BAD_FRAME"],
    ["results without items", `{"type":"results"}`, "BAD_FRAME"],
    ["results with no array of items", `{"type":"results","items":{}}`, "BAD_FRAME"],
  ])("%s is refused", (_, text, code) => {
    assert.strictEqual(Result.getOrThrow(Result.flip(ServerFrames.parse(text))).code, code)
  })

  it("says which field is wrong", () => {
    const { message } = Result.getOrThrow(Result.flip(ServerFrames.parse(`{"type":"lost","after":-2}`)))
    assert.strictEqual(message, "after of a frame of type lost is not as the protocol has it")
  })

  it("passes over what a newer gateway may say besides", () => {
    assert.isTrue(Result.isSuccess(ServerFrames.parse(`{"type":"status","status":"LIVE","since":7}`)))
  })
})
