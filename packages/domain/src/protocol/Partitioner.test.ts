import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ClientId } from "./Ids.ts"
import { murmur2, partitionOf } from "./Partitioner.ts"

const encoder = new TextEncoder()

const bytes = Schema.Uint8Array
const partitions = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))

describe("Partitioner", () => {
  it.each([
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
  ])("murmur2 of %s is what Kafka's own tests say", (text, hash) => {
    assert.strictEqual(murmur2(encoder.encode(text)), hash)
  })

  it.effect.prop("murmur2 is Kafka's, on bytes of any length", [bytes], ([data]) =>
    Effect.sync(() => assert.strictEqual(murmur2(data), murmur2AsInJava(data))),
  )

  it.effect.prop("a client's partition is Kafka's", [ClientId, partitions], ([clientId, partitions]) =>
    Effect.sync(() => assert.strictEqual(partitionOf(clientId, partitions), partitionInJava(clientId, partitions))),
  )

  it.effect.prop("and so is that of any key, short or long", [Schema.String, partitions], ([key, partitions]) =>
    Effect.sync(() => {
      for (const text of [key, `${key}é`, key.repeat(100), "a".repeat(256 + key.length)])
        assert.strictEqual(partitionOf(text, partitions), partitionInJava(text, partitions))
    }),
  )

  it("spreads clients evenly", () => {
    const counts = Array.from({ length: 16 }, () => 0)
    for (let i = 0; i < 16_000; i++) counts[partitionOf(`client-${i}`, 16)]!++
    assert.isAbove(Math.min(...counts), 850)
    assert.isBelow(Math.max(...counts), 1_150)
  })
})

const partitionInJava = (key: string, partitions: number): number =>
  Number((BigInt(murmur2AsInJava(encoder.encode(key))) & 0x7fffffffn) % BigInt(partitions))

/** `org.apache.kafka.common.utils.Utils#murmur2` line by line, with Java's ints as BigInts cut to 32 bits. */
const murmur2AsInJava = (data: Uint8Array): number => {
  const int = (n: bigint) => BigInt.asIntN(32, n)
  const unsignedShift = (n: bigint, by: bigint) => BigInt.asUintN(32, n) >> by
  const at = (i: number) => BigInt(data[i]!)
  const m = 0x5bd1e995n
  const length = data.length
  let h = int(0x9747b28cn ^ BigInt(length))
  for (let i = 0; i < length >> 2; i++) {
    const i4 = i * 4
    let k = int(at(i4) + (at(i4 + 1) << 8n) + (at(i4 + 2) << 16n) + (at(i4 + 3) << 24n))
    k = int(k * m)
    k = int(k ^ unsignedShift(k, 24n))
    k = int(k * m)
    h = int(h * m)
    h = int(h ^ k)
  }
  const tail = length & ~3
  if (length % 4 === 3) h = int(h ^ (at(tail + 2) << 16n))
  if (length % 4 >= 2) h = int(h ^ (at(tail + 1) << 8n))
  if (length % 4 >= 1) h = int(int(h ^ at(tail)) * m)
  h = int(h ^ unsignedShift(h, 13n))
  h = int(h * m)
  return Number(int(h ^ unsignedShift(h, 15n)))
}
