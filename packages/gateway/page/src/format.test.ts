import { assert, describe, it } from "@effect/vitest"
import { bytes, count, duration, many, ms, perSecond, shortMs } from "./format.ts"

describe("format", () => {
  it("counts", () => {
    assert.deepStrictEqual(
      [count(0), count(30_000), many(1, "client"), many(2, "client")],
      ["0", "30,000", "1 client", "2 clients"],
    )
  })

  it("tells rates and times with a digit more where they are small", () => {
    assert.deepStrictEqual([perSecond(0.25), perSecond(9.96), perSecond(1_234.5)], ["0.3/s", "10/s", "1,235/s"])
    assert.deepStrictEqual([ms(0.44), ms(12.6), ms(undefined)], ["0.4 ms", "13 ms", "–"])
  })

  it("keeps times short where there is little room", () => {
    assert.deepStrictEqual([shortMs(0.44), shortMs(999), shortMs(12_500)], ["0.4 ms", "999 ms", "12.5 s"])
  })

  it("tells sizes in the largest unit that leaves a number above one", () => {
    assert.deepStrictEqual([bytes(1_023), bytes(1_536), bytes(3 * 1024 * 1024)], ["1023 B", "1.5 KiB", "3 MiB"])
  })

  it("tells how long something takes, and never that it takes no time", () => {
    assert.deepStrictEqual(
      [duration(1), duration(89_001), duration(90_001), duration(7_200_000)],
      ["1 s", "2 min", "2 min", "2 h"],
    )
  })
})
