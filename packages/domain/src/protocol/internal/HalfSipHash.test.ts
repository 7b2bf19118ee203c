import { assert, describe, it } from "@effect/vitest"
import { halfSipHash, type Words } from "./HalfSipHash.ts"

/** The bytes 0, 1, 2 … as the text that they are. */
const counting = (bytes: number): string =>
  String.fromCharCode(...Array.from({ length: bytes / 2 }, (_, i) => 2 * i + ((2 * i + 1) << 8)))

const hex = ({ high, low }: Words): string => {
  const bytes = new DataView(new ArrayBuffer(8))
  bytes.setUint32(0, low, true)
  bytes.setUint32(4, high, true)
  return bytes.getBigUint64(0).toString(16).padStart(16, "0")
}

const hashOf = (text: string, key: Words, rounds?: number, last?: number): string => {
  const out = { low: 0, high: 0 }
  halfSipHash(text, key, out, rounds, last)
  return hex(out)
}

describe("HalfSipHash", () => {
  it("gives the vectors of the reference, of 2 and 4 rounds", () => {
    const key = { low: 0x03020100, high: 0x07060504 }
    const vectors = [
      [0, "218d1f59b9b83cc8"],
      [2, "064f39ef7c50eb57"],
      [4, "d5e78a175be52ea1"],
      [6, "ce3e91358aa2bc25"],
      [8, "edfee820bce4858c"],
      [34, "8324e4d7528f9830"],
      [62, "f90b3ab572d46693"],
    ] as const
    for (const [bytes, expected] of vectors) assert.strictEqual(hashOf(counting(bytes), key, 2, 4), expected)
  })

  it("depends on the key, and on every character", () => {
    const key = { low: 1, high: 2 }
    const texts = ["", "a", "b", "aa", "ab", "ba", "aaa", "\u0000", "\u0000\u0000", "ā"]
    assert.strictEqual(new Set(texts.map((text) => hashOf(text, key))).size, texts.length)
    assert.notStrictEqual(hashOf("a", key), hashOf("a", { low: 2, high: 1 }))
  })
})
