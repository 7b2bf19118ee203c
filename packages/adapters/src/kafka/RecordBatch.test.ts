import { assert, describe, it } from "@effect/vitest"
import type { LogRecord } from "@nimbus/domain/protocol"
import { Arbitrary, Effect, Schema } from "effect"
import { readInt64, writeInt64 } from "./RecordBatch.ts"
import { fetch, produce } from "./Requests.ts"
import { batchOf, now_ms, read, sealed, text } from "./testing/Batch.ts"

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
      const [chunk, ...rest] = read(batchOf(records, { at: 1_000 }), 1_000).chunks
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
    let crc = -1
    for (const byte of batch.subarray(21)) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    }
    assert.strictEqual(batch.readUInt32BE(17), (crc ^ -1) >>> 0)
  })

  it("has the log's time where the topic is set so", () => {
    const appended = (time: number) => {
      const batch = batchOf([text("a")], { attributes: 0x08 })
      writeInt64(batch, 35, time)
      return read(sealed(batch), 0).chunks[0]?.records[0]?.timestamp
    }
    assert.strictEqual(appended(now_ms + 5_000), now_ms + 5_000)
    // What no `Date` can say is a time to Kafka too.
    assert.strictEqual(appended(-1), 0)
    assert.strictEqual(appended(9e15), 8.64e15)
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

  it("read what each partition gave to a fetch, and which transactions were aborted", () => {
    const none = "ffffffffffffffff".repeat(3)
    const bounds = "000000000000000900000000000000070000000000000000"
    const answer = Buffer.from(
      `00000000${"0000"}00000000` +
        `00000001000174${"00000003"}` +
        `000000000000${bounds}ffffffffffffffff00000002abcd` +
        `000000010001${none}ffffffffffffffffffffffff` +
        `000000020000${bounds}00000001${"00000000000000110000000000000005"}ffffffff00000000`,
      "hex",
    )
    const answers = fetch([], { wait_ms: 1, fetch_bytes: 1, partition_bytes: 1 }).read(answer)
    const bounded = { highWatermark: 9, lastStable: 7 }
    const unknown = { highWatermark: -1, lastStable: -1 }
    assert.deepStrictEqual(
      answers.map(({ batches, ...fetched }) => Object.assign(fetched, { batches: batches.toString("hex") })),
      [
        { topic: "t", partition: 0, code: 0, ...bounded, aborted: [], batches: "abcd" },
        { topic: "t", partition: 1, code: 1, ...unknown, aborted: [], batches: "" },
        { topic: "t", partition: 2, code: 0, ...bounded, aborted: [{ producerId: 17, firstOffset: 5 }], batches: "" },
      ],
    )
  })
})
