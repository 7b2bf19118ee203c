import { assert, describe, it } from "@effect/vitest"
import type { LogRecord } from "@nimbus/domain/protocol"
import { Arbitrary, Effect, Schema } from "effect"
import { gzipSync } from "node:zlib"
import { readInt64, writeInt64 } from "./RecordBatch.ts"
import { batchOf, type BatchOptions, producerId, read, sealed, summaryOf, text } from "./testing/Batch.ts"

const transactional = 0x10
const control = 0x20

/** One batch at an offset, of records with these values. */
const at = (offset: number, values: ReadonlyArray<string>, options?: BatchOptions) =>
  batchOf(
    values.map((value) => text(value)),
    { at: offset, ...options },
  )

/** The end of a transaction, which takes up an offset. */
const marker = (offset: number) => at(offset, ["end"], { attributes: transactional | control })

/** By another producer. */
const by = (producer: number, batch: Buffer): Buffer => {
  writeInt64(batch, 43, producer)
  return sealed(batch)
}

/** Messages of the format before Kafka 0.11. */
const old = (offset: number, value: string): Buffer => {
  const message = Buffer.alloc(34 + value.length)
  writeInt64(message, 0, offset)
  message.writeInt32BE(message.length - 12, 8)
  message[16] = 1
  message.writeInt32BE(-1, 26)
  message.writeInt32BE(value.length, 30)
  message.write(value, 34)
  return message
}

describe("Batches", () => {
  it("are read from the position on, though the first begins before; what is cut off comes the next time", () => {
    const batches = Buffer.concat([at(10, ["a", "b", "c"]), at(13, ["d"])])
    const values = (bytes: Buffer, next: number) => summaryOf(read(bytes, next)).values
    assert.deepStrictEqual(values(batches, 10), ["a", "b", "c", "d"])
    assert.deepStrictEqual(values(batches, 12), ["c", "d"])
    assert.deepStrictEqual(values(batches, 14), [])
    assert.deepStrictEqual(values(batches.subarray(0, -1), 11), ["b", "c"])
    assert.deepStrictEqual(values(batches.subarray(0, 30), 10), [])
  })

  it("make chunks within the limits, that join", () => {
    const batches = Buffer.concat([0, 1, 2].map((n) => at(n * 3, ["aa", "bb", "cc"])))
    const bounds = (limits: { readonly chunk_records: number; readonly chunk_bytes: number }) =>
      read(batches, 1, limits).chunks.map(({ from, next, records }) => [from, next, records.length])
    assert.deepStrictEqual(bounds({ chunk_records: 4, chunk_bytes: 1_000 }), [
      [1, 5, 4],
      [5, 9, 4],
    ])
    assert.deepStrictEqual(bounds({ chunk_records: 100, chunk_bytes: 10 }), [
      [1, 4, 3],
      [4, 7, 3],
      [7, 9, 2],
    ])
  })

  it("have no records for the ends of transactions, which take up their offsets", () => {
    assert.deepStrictEqual(summaryOf(read(Buffer.concat([at(0, ["a"]), marker(1)]), 0)), {
      values: ["a"],
      next: 2,
      doubted: undefined,
    })
    // Also where there is nothing else.
    assert.deepStrictEqual(summaryOf(read(marker(1), 1)).next, 2)
  })

  it("leave out what aborted transactions wrote, and nothing else of their producers", () => {
    const batches = Buffer.concat([
      at(0, ["committed"], { attributes: transactional }),
      marker(1),
      at(2, ["aborted"], { attributes: transactional }),
      by(7, at(3, ["another's"], { attributes: transactional })),
      at(4, ["without"]),
      at(5, ["aborted too"], { attributes: transactional }),
      marker(6),
      at(7, ["committed again"], { attributes: transactional }),
      marker(8),
      by(7, marker(9)),
    ])
    const aborted = [{ producerId, firstOffset: 2 }]
    const values = ["committed", "another's", "without", "committed again"]
    assert.deepStrictEqual(summaryOf(read(batches, 0, { aborted })), { values, next: 10, doubted: undefined })
    assert.deepStrictEqual(summaryOf(read(batches, 3, { aborted })).values, values.slice(1))
    const all = [...aborted, { producerId, firstOffset: 7 }, { producerId: 7, firstOffset: 3 }]
    assert.deepStrictEqual(summaryOf(read(batches, 0, { aborted: all })).values, ["committed", "without"])
  })

  it("of which compaction has left little, or nothing at all, are passed whole", () => {
    const holes = at(0, ["a", "b", "c"])
    // Records of one letter have 9 bytes; the one in the middle goes.
    const left = Buffer.concat([holes.subarray(0, 70), holes.subarray(79)])
    left.writeInt32BE(2, 57)
    const { chunks } = read(sealed(left), 0)
    assert.deepStrictEqual(
      chunks.flatMap(({ records }) => records.map(({ offset, value }) => [offset, String(value)])),
      [
        [0, "a"],
        [2, "c"],
      ],
    )
    const empty = holes.subarray(0, 61)
    empty.writeInt32BE(0, 57)
    assert.deepStrictEqual(summaryOf(read(sealed(Buffer.from(empty)), 0)), { values: [], next: 3, doubted: undefined })
    // And whole batches are gone.
    assert.deepStrictEqual(
      read(at(7, ["d"]), 3).chunks.map(({ from, next }) => [from, next]),
      [[3, 8]],
    )
  })

  it("have keys, values and headers that are not there: they are empty", () => {
    const [record] = read(nulls(), 0).chunks[0]!.records
    assert.deepStrictEqual(
      { ...record, headers: { ...record?.headers }, value: String(record?.value) },
      { key: "", value: "", headers: { h: "" }, offset: 0, timestamp: record!.timestamp },
    )
  })

  it("with a wrong checksum are fetched once more, and then quarantined whole, and passed", () => {
    const wrong = at(1, ["b", "c"])
    wrong[wrong.length - 3]! ^= 1
    const batches = Buffer.concat([at(0, ["a"]), wrong, at(3, ["d"])])
    assert.deepStrictEqual(summaryOf(read(batches, 0)), { values: ["a"], next: 1, doubted: 1 })
    // It came right the second time.
    const healed = Buffer.concat([at(1, ["b", "c"]), at(3, ["d"])])
    assert.deepStrictEqual(summaryOf(read(healed, 1, { doubted: 1 })).values, ["b", "c", "d"])
    const again = read(batches, 1, { doubted: 1 })
    assert.deepStrictEqual(summaryOf(again), {
      values: ["a batch that can't be read: its checksum is wrong"],
      next: 3,
      doubted: undefined,
    })
    const [stands] = again.chunks[0]!.records
    assert.deepStrictEqual([stands?.key, stands?.offset], ["", 1])
    assert.deepStrictEqual(Buffer.from(stands!.value), wrong)
    assert.deepStrictEqual(summaryOf(read(batches.subarray(wrong.length + 70), 3)).values, ["d"])
  })

  it("with a wrong checksum and numbers that don't agree are passed by one offset", () => {
    for (const field of [23, 57]) {
      const wrong = at(1, ["b", "c"])
      wrong.writeInt32BE(1_000_000, field)
      assert.deepStrictEqual(summaryOf(read(wrong, 1, { doubted: 1 })).next, 2)
      wrong.writeInt32BE(-5, field)
      assert.deepStrictEqual(summaryOf(read(wrong, 1, { doubted: 1 })).next, 2)
    }
  })

  it("that can't be read are passed, and what follows is read, whatever is wrong with them", () => {
    const reasonOf = (batch: Buffer, limits = {}) => {
      const { next, values } = summaryOf(read(Buffer.concat([batch, at(2, ["after"])]), 0, limits))
      assert.deepStrictEqual([values[1], next], ["after", 3])
      return values[0]
    }
    const records = ["a", "b"]
    const garbage = () => Buffer.from("no such thing")
    const changed = (change: (batch: Buffer) => void) => {
      const batch = at(0, records)
      change(batch)
      return sealed(batch)
    }
    for (const codec of [1, 2, 3, 4]) {
      assert.match(
        reasonOf(at(0, records, { attributes: codec, compress: garbage }))!,
        /^a batch that can't be read: ./,
      )
    }
    assert.match(reasonOf(at(0, records, { attributes: 7 }))!, /compression has the number 7/)
    assert.match(reasonOf(old(1, "from long ago"))!, /format 1, of producers from before Kafka 0.11/)
    // The shortest there is, which is shorter than the head of a batch of today.
    assert.match(reasonOf(old(1, ""))!, /format 1/)
    assert.match(reasonOf(changed((batch) => batch.writeInt32BE(3, 57)))!, /longer than what there is/)
    assert.match(reasonOf(changed((batch) => batch.writeInt32BE(1, 57)))!, /more than its records/)
    assert.match(reasonOf(changed((batch) => batch.writeInt32BE(-1, 57)))!, /says that it has -1 records/)
    assert.match(reasonOf(changed((batch) => batch.writeInt32BE(2 ** 31 - 1, 57)))!, /says that it has 2147483647/)
    // Its second record's offset is that of the first.
    assert.match(reasonOf(changed((batch) => (batch[73] = 0)))!, /not in order/)
    // Its first record's value is longer than the record; it has a header more; its key is longer than everything.
    assert.match(reasonOf(changed((batch) => (batch[67] = 0x7e)))!, /does not end where it says/)
    assert.match(reasonOf(changed((batch) => (batch[69] = 2)))!, /does not end where it says/)
    assert.match(reasonOf(changed((batch) => batch.fill(0xff, 63, 79)))!, /more than 64 bits/)
  })

  it("that stand for more than the bound are not read, whatever their size", () => {
    const bomb = at(0, ["x".repeat(1_000_000), "y"], { attributes: 1, compress: (records) => gzipSync(records) })
    assert.isBelow(bomb.length, 2_000)
    assert.match(summaryOf(read(bomb, 0, { decoded_bytes: 500_000 })).values[0]!, /more than \d+ bytes uncompressed/)
    assert.strictEqual(summaryOf(read(bomb, 0)).values.length, 2)
    // Many records of nothing take up room too.
    const many = at(
      0,
      Array.from({ length: 10_000 }, () => ""),
      { attributes: 1, compress: (records) => gzipSync(records) },
    )
    assert.match(summaryOf(read(many, 0, { decoded_bytes: 500_000 })).values[0]!, /says that it has 10000 records/)
    assert.match(
      summaryOf(read(at(0, ["x".repeat(600_000)]), 0, { decoded_bytes: 500_000 })).values[0]!,
      /more than \d+ bytes/,
    )
  })

  it("that together stand for more than the bound come with the next answer", () => {
    const batches = Buffer.concat([0, 1, 2].map((n) => at(n, ["x".repeat(1_000)])))
    assert.strictEqual(read(batches, 0, { decoded_bytes: 1_500 }).chunks.at(-1)?.next, 2)
    assert.strictEqual(read(batches, 2, { decoded_bytes: 1_500 }).chunks.at(-1)?.next, 3)
  })

  it("too large for the quarantine topic go there in part, and say so", () => {
    const [record] = read(at(0, ["x".repeat(1_000)], { attributes: 7 }), 0, { unreadable_bytes: 100 }).chunks[0]!
      .records
    assert.lengthOf(record!.value, 100)
    assert.match(record!.unreadable!, /the first of its 10\d\d bytes$/)
  })

  it.effect.prop(
    "never throw, never stop, and pass on, whatever bytes they have",
    [Arbitrary.schema(Schema.Array(Schema.Struct({ place: Schema.Finite, byte: Schema.Int }))), Schema.Boolean],
    ([changes, isSealed]) =>
      Effect.sync(() => {
        const batch = Buffer.concat([at(0, ["a", "b"]), at(2, ["c"], { attributes: transactional })])
        const first = batch.subarray(0, at(0, ["a", "b"]).length)
        for (const { byte, place } of changes) first[Math.abs(Math.floor(place)) % first.length] = byte
        if (isSealed) sealed(first)
        const once = read(batch, 0)
        const { chunks } = once.doubted === undefined ? once : read(batch, 0, { doubted: once.doubted })
        const isCutOff = first.readInt32BE(8) + 12 > batch.length || first.readInt32BE(8) < 14
        if (!isCutOff && readInt64(first, 0) === 0) assert.isAbove(chunks.at(-1)?.next ?? 0, 0)
        let next = 0
        for (const chunk of chunks) {
          assert.strictEqual(chunk.from, next)
          for (const { offset } of chunk.records) assert.isTrue(offset >= chunk.from && offset < chunk.next)
          next = chunk.next
        }
      }),
    { arbitrary: { runs: 2_000 } },
  )
})

/** A tombstone without a key, with a header without a value. */
const nulls = (): Buffer => {
  const written: LogRecord = { key: "", value: Buffer.alloc(0), headers: { h: "" } }
  const batch = batchOf([written])
  // Lengths of key, value and the header's value.
  for (const place of [65, 66, 70]) batch[place] = 1
  return sealed(batch)
}
