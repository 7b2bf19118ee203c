import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { utf8 } from "./Utf8.ts"

const encoder = new TextEncoder()

const Piece = Schema.Union([Schema.String, Schema.Literals(["é", "😀", "\ud800", "x".repeat(700), "€".repeat(900)])])

describe("Utf8", () => {
  it.effect.prop(
    "gives the bytes of TextEncoder, and keeps them while others are encoded",
    [Schema.Array(Schema.Array(Piece))],
    ([texts]) =>
      Effect.sync(() => {
        const joined = texts.map((pieces) => pieces.join(""))
        const encoded = joined.map(utf8)
        joined.forEach((text, i) => assert.deepStrictEqual(encoded[i], encoder.encode(text)))
      }),
  )

  it("goes on to a fresh slab when one is full", () => {
    const texts = Array.from({ length: 2_000 }, (_, i) => `record ${i}`)
    const encoded = texts.map(utf8)
    texts.forEach((text, i) => assert.deepStrictEqual(encoded[i], encoder.encode(text)))
    assert.isAbove(new Set(encoded.map(({ buffer }) => buffer)).size, 1)
  })
})
