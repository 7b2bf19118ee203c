import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type Format, partsOf } from "./Parts.ts"

const limits = { part_bytes: 1_024, parts_bytes: 4_096 }

/** The parts of an answer that comes in pieces of so many bytes. */
const partsIn = (format: Format, text: string, size: number) => {
  const bytes = new TextEncoder().encode(text)
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )
  return Effect.map(Stream.runCollect(partsOf(format, Stream.fromIterable(pieces), limits)), (parts) => [...parts])
}

describe("the parts of an answer", () => {
  it.effect.each([1, 2, 3, 7, 1_000])("are the same in pieces of %i bytes", (size) =>
    Effect.gen(function* () {
      const words = ['"é€😀"', "", '{"a":1}']
      assert.deepStrictEqual(yield* partsIn("lines", words.map((word) => `${word}\r\n`).join(""), size), [
        '"é€😀"',
        '{"a":1}',
      ])
      const text = words.map((word) => `id: 7\nevent: word\ndata: ${word}\n\n: so far\n\n`).join("")
      assert.deepStrictEqual(yield* partsIn("events", `retry: 5\n${text}`, size), words)
    }),
  )
})
