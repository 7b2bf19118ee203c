import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { chunksOf } from "./ChunksOf.ts"
import { recordBytes } from "./Records.ts"

const sizes = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })))
const limits = { chunk_records: 4, chunk_bytes: 30 }

const records = (sizes: ReadonlyArray<number>) =>
  sizes.map((size, i) => ({ key: `k${i}`, value: new Uint8Array(size) }))
const bytesOf = (chunk: ReturnType<typeof records>) => chunk.reduce((sum, record) => sum + recordBytes(record), 0)

describe("chunksOf", () => {
  it.effect.prop(
    "has every record once and in order, and no chunk over the limits but of one record",
    [sizes],
    ([sizes]) =>
      Effect.sync(() => {
        const all = records(sizes)
        const chunks = chunksOf(all, limits)
        assert.deepStrictEqual(chunks.flat(), all)
        for (const chunk of chunks) {
          assert.isAtLeast(chunk.length, 1)
          assert.isAtMost(chunk.length, limits.chunk_records)
          if (chunk.length > 1) assert.isAtMost(bytesOf([...chunk]), limits.chunk_bytes)
        }
      }),
  )

  it("counts what other producers wrote beside a value", () => {
    const record = { key: "k", value: new Uint8Array(1), headers: { a: "x".repeat(20) } }
    assert.strictEqual(chunksOf([record, record, record], limits).length, 3)
  })

  it("has no chunk that takes up more than the topic takes at once", () => {
    // Each takes up 38 bytes: its value, its key by three, and what a log writes beside them.
    const all = records([0, 0, 0])
    assert.lengthOf(chunksOf(all, limits, 2 * 38), 2)
    assert.lengthOf(chunksOf(all, limits, 2 * 38 - 1), 3)
  })

  it("gives back what fits as it is", () => {
    const all = records([8, 8, 8])
    assert.strictEqual(chunksOf(all, limits)[0], all)
    assert.deepStrictEqual(chunksOf([], limits), [])
  })
})
