import { assert, describe, it } from "@effect/vitest"
import { chunkLimits, type LogRecord } from "@nimbus/domain"
import { Arbitrary, Effect, Schema } from "effect"
import { crc32c } from "./Crc32c.ts"
import { batchRoom, readChunks, readInt64, writeBatch, writeInt64 } from "./RecordBatch.ts"
import { fetch, produce } from "./Requests.ts"

const id = { producerId: 2 ** 40 + 7, producerEpoch: 3, sequence: 41 }
const now_ms = 1_790_000_000_123

/** Written at an offset, as a broker would have it. */
const batchOf = (records: ReadonlyArray<LogRecord>, baseOffset = 0): Buffer => {
  const buffer = Buffer.alloc(batchRoom(records))
  const batch = buffer.subarray(0, writeBatch(buffer, 0, records, id, now_ms))
  writeInt64(batch, 0, baseOffset)
  return batch
}

const text = (name: string): LogRecord => ({ key: "k", value: Buffer.from(name) })

const Records = Schema.Array(
  Schema.Struct({
    key: Schema.String,
    value: Schema.Uint8Array,
    headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  }),
).check(Schema.isMinLength(1))

const plain = ({ headers, key, value }: LogRecord) => ({ key, value: [...value], headers: { ...headers } })

describe("RecordBatch", () => {
  it.effect.prop("gives back every record, at its offset", { records: Arbitrary.schema(Records) }, ({ records }) =>
    Effect.sync(() => {
      // Text that is not well-formed has no bytes of its own.
      if (!JSON.stringify(records).isWellFormed() || JSON.stringify(records).includes("\\ud")) return
      const [chunk, ...rest] = readChunks(5, batchOf(records, 1_000), 1_000, chunkLimits)
      assert.deepStrictEqual(rest, [])
      assert.deepStrictEqual(chunk?.records.map(plain), records.map(plain))
      assert.deepStrictEqual(
        chunk?.records.map(({ offset, timestamp }) => [offset, timestamp]),
        records.map((_, i) => [1_000 + i, now_ms]),
      )
      assert.deepStrictEqual([chunk?.partition, chunk?.from, chunk?.next], [5, 1_000, 1_000 + records.length])
    }),
  )

  it("has the checksum of its bytes, as every reader checks it", () => {
    const batch = batchOf([text("one"), text("two")])
    assert.strictEqual(batch.readUInt32BE(17), crc32c(batch, 21, batch.length))
    // The check value of CRC-32C.
    assert.strictEqual(crc32c(Buffer.from("123456789"), 0, 9), 0xe3069283)
    const bytes = Buffer.from(Array.from({ length: 1_000 }, (_, i) => (i * 7) & 0xff))
    for (const [from, to] of [
      [0, 0],
      [3, 10],
      [5, 1_000],
    ] as const) {
      let crc = -1
      for (let i = from; i < to; i++) {
        crc ^= bytes[i]!
        for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
      }
      assert.strictEqual(crc32c(bytes, from, to), (crc ^ -1) >>> 0)
    }
  })

  it("is read from the position on, though it begins before; what is cut off at the end comes the next time", () => {
    const batches = Buffer.concat([batchOf([text("a"), text("b"), text("c")], 10), batchOf([text("d")], 13)])
    const names = (bytes: Buffer, next: number) =>
      readChunks(0, bytes, next, chunkLimits).flatMap(({ records }) => records.map(({ value }) => String(value)))
    assert.deepStrictEqual(names(batches, 10), ["a", "b", "c", "d"])
    assert.deepStrictEqual(names(batches, 12), ["c", "d"])
    assert.deepStrictEqual(names(batches, 14), [])
    assert.deepStrictEqual(names(batches.subarray(0, -1), 11), ["b", "c"])
    assert.deepStrictEqual(names(batches.subarray(0, 30), 10), [])
  })

  it("makes chunks within the limits, that join", () => {
    const batches = Buffer.concat([0, 1, 2].map((n) => batchOf([text("aa"), text("bb"), text("cc")], n * 3)))
    const limits = { chunk_records: 4, chunk_bytes: 1_000 }
    const bounds = (limits: typeof chunkLimits) =>
      readChunks(0, batches, 1, limits).map(({ from, next, records }) => [from, next, records.length])
    assert.deepStrictEqual(bounds(limits), [
      [1, 5, 4],
      [5, 9, 4],
    ])
    assert.deepStrictEqual(bounds({ chunk_records: 100, chunk_bytes: 10 }), [
      [1, 4, 3],
      [4, 7, 3],
      [7, 9, 2],
    ])
  })

  it("has no record for what a transaction left behind, which takes up its offset", () => {
    const control = batchOf([text("commit")], 1)
    control.writeInt16BE(0x30, 21)
    const [chunk, ...rest] = readChunks(0, Buffer.concat([batchOf([text("a")]), control]), 0, chunkLimits)
    assert.deepStrictEqual(rest, [])
    assert.deepStrictEqual([chunk?.from, chunk?.next, chunk?.records.length], [0, 2, 1])
  })

  it("has the log's time where the topic is set so", () => {
    const batch = batchOf([text("a")])
    batch.writeInt16BE(0x08, 21)
    writeInt64(batch, 35, now_ms + 5_000)
    assert.strictEqual(readChunks(0, batch, 0, chunkLimits)[0]?.records[0]?.timestamp, now_ms + 5_000)
  })

  it("refuses what it can't read, by name", () => {
    const compressed = batchOf([text("a")])
    compressed.writeInt16BE(2, 21)
    assert.throws(() => readChunks(0, compressed, 0, chunkLimits), /compression/)
    const old = batchOf([text("a")])
    old[16] = 1
    assert.throws(() => readChunks(0, old, 0, chunkLimits), /before Kafka 0.11/)
  })

  it("keeps numbers of 64 bits, as far as numbers go", () => {
    const buffer = Buffer.alloc(8)
    for (const n of [0, 1, -1, -2, 2 ** 32 - 1, 2 ** 32, -(2 ** 32), 2 ** 53 - 1, -(2 ** 53)]) {
      writeInt64(buffer, 0, n)
      assert.strictEqual(readInt64(buffer, 0), n)
      assert.strictEqual(buffer.readBigInt64BE(0), BigInt(n))
    }
  })
})

describe("Requests", () => {
  it("read what each partition answered to a produce, whatever became of the others", () => {
    const answer = Buffer.from(
      "00000001000174000000020000000000000000000000000005ffffffffffffffff0000000000000000" +
        "00000001002dffffffffffffffffffffffffffffffff0000000000000000" +
        "00000000",
      "hex",
    )
    assert.deepStrictEqual(produce([], 1, now_ms).read(answer), [
      { topic: "t", partition: 0, code: 0, baseOffset: 5 },
      { topic: "t", partition: 1, code: 45, baseOffset: -1 },
    ])
  })

  it("read what each partition gave to a fetch, passing over aborted transactions", () => {
    const none = "ffffffffffffffff".repeat(3)
    const answer = Buffer.from(
      `00000000${"0000"}00000000` +
        `00000001000174${"00000003"}` +
        `000000000000${none}ffffffffffffffff00000002abcd` +
        `000000010001${none}ffffffffffffffffffffffff` +
        `000000020000${none}00000001${"00".repeat(16)}ffffffff00000000`,
      "hex",
    )
    const read = fetch([], { wait_ms: 1, fetch_bytes: 1, partition_bytes: 1 }).read(answer)
    assert.deepStrictEqual(
      read.map(({ batches, code, partition, topic }) => ({ topic, partition, code, batches: batches.toString("hex") })),
      [
        { topic: "t", partition: 0, code: 0, batches: "abcd" },
        { topic: "t", partition: 1, code: 1, batches: "" },
        { topic: "t", partition: 2, code: 0, batches: "" },
      ],
    )
  })
})
