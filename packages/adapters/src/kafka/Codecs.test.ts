import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { uncompress } from "./Codecs.ts"
import { read, summaryOf } from "./testing/Batch.ts"
import { codecs } from "./testing/Foreign.ts"

const said = "nimbus ".repeat(40)
const most_bytes = 1_000_000
const hex = (bytes: string) => Buffer.from(bytes, "hex")

/** Whole batches as Kafka 4.1.1 writes them, whose codecs are those of Java's producers. */
const javas = {
  gzip: "0000000000000000000000590000000002fb7e7aaf000100000000000001a0c4506c7b000001a0c4506c7bffffffffffffffff000000000000000000011f8b08000000000000ff3bc0c2c0c0c094bd81252f3337a9b458619442a31800f62b877722010000",
  snappy:
    "0000000000000000000000690000000002d13191a3000200000000000001a0c4506c7b000001a0c4506c7bffffffffffffffff0000000000000000000182534e4150505900000000010000000100000024a2023cc004000000026bb0046e696d62757320fe0700fe0700fe0700fe07004207000000",
  lz4: "00000000000000000000005b00000000024f8dc2aa000300000000000001a0c4506c7b000001a0c4506c7bffffffffffffffff0000000000000000000104224d186040821b000000ff01c004000000026bb0046e696d627573200700fa50627573200000000000",
  zstd: "00000000000000000000005500000000027b7c5e1c000400000000000001a0c4506c7b000001a0c4506c7bffffffffffffffff0000000000000000000128b52ffd0058c4000088c004000000026bb0046e696d627573200001001ca49625010000",
}

const snappy = 2
const lz4 = 3
/** A raw block, as C's, Go's and Rust's producers write it. */
const rawSnappy = hex("9802186e696d62757320fe0700fe0700fe0700fe0700420700")
const xerial = hex("82534e41505059000000000100000001")
const frame = hex("04224d18604082120000007f6e696d627573200700f860696d6275732000000000")
/** With a checksum for each block, and one for all. */
const summed = hex("04224d187440bd120000007f6e696d627573200700f860696d62757320f555311b00000000f9a58d14")

const length = (bytes: number): Buffer => {
  const written = Buffer.alloc(4)
  written.writeUInt32BE(bytes)
  return written
}

describe("Codecs", () => {
  for (const [name, batch] of Object.entries(javas)) {
    it(`read ${name} as Kafka itself writes it`, () => {
      assert.deepStrictEqual(summaryOf(read(hex(batch), 0)).values, [said])
    })
  }

  it("read Snappy as one raw block, and in blocks with a length each", () => {
    assert.strictEqual(uncompress(snappy, rawSnappy, most_bytes).toString(), said)
    const blocks = [length(rawSnappy.length), rawSnappy]
    assert.strictEqual(uncompress(snappy, Buffer.concat([xerial, ...blocks]), most_bytes).toString(), said)
    assert.strictEqual(
      uncompress(snappy, Buffer.concat([xerial, ...blocks, ...blocks]), most_bytes).toString(),
      said + said,
    )
    assert.strictEqual(uncompress(snappy, xerial, most_bytes).length, 0)
  })

  it("read frames of LZ4 with and without checksums, with a size in front, and blocks that are stored as they are", () => {
    assert.strictEqual(uncompress(lz4, frame, most_bytes).toString(), said)
    assert.strictEqual(uncompress(lz4, summed, most_bytes).toString(), said)
    const sized = Buffer.concat([hex("04224d186840"), Buffer.alloc(8), Buffer.alloc(1), frame.subarray(7)])
    assert.strictEqual(uncompress(lz4, sized, most_bytes).toString(), said)
    const stored = Buffer.concat([frame.subarray(0, 7), hex("03000080"), Buffer.from("abc"), Buffer.alloc(4)])
    assert.strictEqual(uncompress(lz4, stored, most_bytes).toString(), "abc")
  })

  it("refuse what is cut off, or linked, or no such thing", () => {
    for (const [codec, bytes] of [
      [snappy, rawSnappy],
      [snappy, Buffer.concat([xerial, length(rawSnappy.length), rawSnappy])],
      [lz4, frame],
    ] as const) {
      assert.throws(() => uncompress(codec, bytes.subarray(0, -3), most_bytes))
      assert.throws(() => uncompress(codec, bytes.subarray(2), most_bytes))
      assert.throws(() => uncompress(codec, Buffer.alloc(0), most_bytes))
    }
    const linked = Buffer.from(frame)
    linked[4] = 0x40
    assert.throws(() => uncompress(lz4, linked, most_bytes), /need each other/)
    assert.throws(() => uncompress(5, frame, most_bytes), /number 5/)
  })

  it("give no more than they may, and make no room for more before they know", () => {
    const most = /more than 100 bytes uncompressed/
    const block = Buffer.concat([xerial, length(rawSnappy.length), rawSnappy])
    assert.throws(() => uncompress(snappy, rawSnappy, 100), most)
    assert.throws(() => uncompress(snappy, block, 100), most)
    assert.throws(() => uncompress(snappy, Buffer.concat([block, block.subarray(16)]), 400), /more than 400 bytes/)
    // It says that it has 4 GiB.
    assert.throws(() => uncompress(snappy, hex("ffffffff0f0000"), 100), most)
    assert.throws(() => uncompress(lz4, frame, 100), most)
    assert.throws(() => uncompress(0, Buffer.alloc(101), 100), most)
    for (const [name, { compress, type }] of Object.entries(codecs)) {
      const bomb = compress(Buffer.alloc(50_000_000))
      assert.isBelow(bomb.length, 3_000_000)
      assert.throws(() => uncompress(type, bomb, 1_000_000), /more than 1000000 bytes uncompressed/, name)
    }
  })

  it.effect.prop(
    "read back what was written, and throw or give a little of anything else",
    [Schema.Uint8Array, Schema.Array(Schema.Int).pipe((ints) => Arbitrary.schema(ints))],
    ([bytes, changes]) =>
      Effect.sync(() => {
        for (const { compress, type } of Object.values(codecs)) {
          const whole = Buffer.concat([Buffer.from(bytes), Buffer.from(said)])
          const compressed = compress(whole)
          assert.deepStrictEqual(uncompress(type, compressed, most_bytes), whole)
          changes.forEach((change, i) => (compressed[Math.abs(change + i * 7) % compressed.length] = change))
          try {
            assert.isAtMost(uncompress(type, compressed, most_bytes).length, most_bytes)
          } catch (error) {
            assert.instanceOf(error, Error)
          }
        }
      }),
    { arbitrary: { runs: 300 } },
  )
})
