import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { BlockEncoder, decodeBlock } from "./BlockCodec.ts"
import { type BlockKey, decodeKey, encodeKey, prefix } from "./BlockKey.ts"

const text = Schema.String.check(Schema.isMaxLength(50))
const count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))
const records = Schema.NonEmptyArray(
  Schema.Struct({
    key: text,
    value: Schema.Uint8Array,
    headers: Schema.UndefinedOr(Schema.Record(text, text)),
    timestamp: count,
  }),
)

/** Halves of surrogate pairs are no text, and become replacement characters. */
const wellFormed = <R extends (typeof records.Type)[number]>(record: R): R => ({
  ...record,
  key: record.key.toWellFormed(),
  headers:
    record.headers &&
    Object.fromEntries(
      Object.entries(record.headers).map(([name, value]) => [name.toWellFormed(), value.toWellFormed()]),
    ),
})

describe("BlockCodec", () => {
  it.effect.prop("decodes what it encoded, as a whole and from any offset on", [records, count], ([some, first]) =>
    Effect.sync(() => {
      const stored = some.map((record, i) => ({ ...wellFormed(record), offset: first + i }))
      const next = first + stored.length
      const bytes = new BlockEncoder().encode({ from: first, next, bytes: 0, records: stored }).slice()
      assert.deepStrictEqual(decodeBlock(bytes, first, first), stored)
      for (let from = first; from <= next; from++) {
        assert.deepStrictEqual(decodeBlock(bytes, first, from), stored.slice(from - first))
      }
    }),
  )

  it("refuses bytes of another version", () => {
    assert.throws(() => decodeBlock(new Uint8Array(64).fill(9), 0, 0), /unknown version/)
  })
})

describe("BlockKey", () => {
  const offset = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))
  const small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))
  const key = Schema.Struct({
    topic: small,
    partition: small,
    from: offset,
    next: offset,
    timestamp: offset,
    bytes_before: offset,
    bytes: count,
  })

  it.effect.prop("decodes what it encoded", [key], ([key]) =>
    Effect.sync(() => assert.deepStrictEqual(decodeKey(encodeKey(key)), key)),
  )

  it.effect.prop("sorts by topic, partition and offset", [key, key], ([a, b]) =>
    Effect.sync(() => {
      const byNumbers = a.topic - b.topic || a.partition - b.partition || a.from - b.from
      if (byNumbers === 0) return
      assert.strictEqual(Math.sign(Buffer.compare(encodeKey(a), encodeKey(b))), Math.sign(byNumbers))
      const beforeB = prefix(b.topic, b.partition, b.from)
      assert.strictEqual(Math.sign(Buffer.compare(encodeKey(a), beforeB)), Math.sign(byNumbers))
    }),
  )

  it("puts a prefix before the key of its own offset", () => {
    const key: BlockKey = { topic: 1, partition: 2, from: 3, next: 4, timestamp: 0, bytes_before: 0, bytes: 0 }
    assert.isBelow(Buffer.compare(prefix(1, 2, 3), encodeKey(key)), 0)
  })
})
