import { assert, describe, it } from "@effect/vitest"
import { Cursor, type Headers, Seq } from "@nimbus/domain/protocol"
import { Block, type Kept, pack } from "./MailboxBlock.ts"

const kept = (seq: number, timestamp = seq, value = `value ${seq}`, headers?: Headers): Kept => ({
  seq: Seq.make(seq),
  timestamp,
  value: new TextEncoder().encode(value),
  ...(headers && { headers }),
})

const unpacked = (blocks: ReturnType<typeof pack>) => blocks.map(({ bytes }) => new Block(bytes).unpack())

describe("MailboxBlock", () => {
  it("gives back what was packed", () => {
    const records = [kept(3, 9), kept(7, 2, ""), kept(8, 8, "8", { a: "ü" }), kept(9)]
    const blocks = pack(records, 1_000)
    assert.deepStrictEqual(unpacked(blocks), [records])
    assert.deepStrictEqual([blocks[0]?.first, blocks[0]?.last], [records[0]?.seq, records[3]?.seq])
  })

  it("begins a block where the size is reached, and gives a larger record one of its own", () => {
    const large = kept(3, 3, "x".repeat(500))
    const blocks = pack([kept(1), kept(2), large, kept(4), kept(5), kept(6), kept(7)], 100)
    assert.deepStrictEqual(unpacked(blocks), [[kept(1), kept(2)], [large], [kept(4), kept(5), kept(6)], [kept(7)]])
    assert.deepStrictEqual(
      blocks.map(({ bytes }) => bytes.length <= 100),
      [true, false, true, true],
    )
  })

  it("begins a block where a seq or a time is too far from the first", () => {
    const far = [kept(2 ** 32 + 1, 0), kept(2 ** 53 - 2, 0), kept(2 ** 53 - 1, 2 ** 40)]
    const blocks = pack([kept(1, 0), kept(2 ** 32, 0), ...far], 1_000)
    assert.deepStrictEqual(unpacked(blocks), [[kept(1, 0), kept(2 ** 32, 0)], ...far.map((record) => [record])])
  })

  it("goes on from a block before, if the next record fits", () => {
    const before = [kept(1, 5), kept(2, 6, "2", { a: "b" })]
    const base = new Block(pack(before, 1_000)[0]!.bytes)
    assert.deepStrictEqual(unpacked(pack([kept(3, 1), kept(4)], 1_000, base)), [[...before, kept(3, 1), kept(4)]])
    assert.deepStrictEqual(unpacked(pack([kept(3)], 80, base)), [[kept(3)]])
    assert.deepStrictEqual(unpacked(pack([kept(2 ** 40)], 1_000, base)), [[kept(2 ** 40)]])
  })

  it("finds the first record above a cursor", () => {
    const block = new Block(pack([kept(2), kept(4), kept(6)], 1_000)[0]!.bytes)
    const found = [-1, 1, 2, 3, 4, 5, 6, 7].map((cursor) => block.firstAbove(Cursor.make(cursor)))
    assert.deepStrictEqual(found, [0, 0, 1, 1, 2, 2, 3, 3])
  })
})
