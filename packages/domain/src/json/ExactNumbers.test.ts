import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { boundlessNumber, inexactNumber } from "./ExactNumbers.ts"

const places = (number: string): ReadonlyArray<string> => [
  number,
  `[${number}]`,
  `{"type":"event","data":${number}}`,
  `{"data": ${number} }`,
  `{"data":[1,\n\t${number}]}`,
]

describe("numbers in JSON", () => {
  it.each([
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "12345678901234567890",
    "1e400",
    "-1E+400",
    "1e-400",
    "0.1234567890123456789",
    "1.00000000000000000001",
    "9007199.2547409931",
    "9007199254740993.0",
    "9007199254740993e0",
    "900719925474099.3e1",
    "1".repeat(200),
    `1e${"9".repeat(400)}`,
  ])("are refused where they would change: %s", (number) => {
    assert.notDeepEqual(JSON.stringify(JSON.parse(number)), number)
    for (const json of places(number)) assert.include(inexactNumber(json) ?? "", number.slice(0, 39))
  })

  it.each([
    "0",
    "-0",
    "-0.0",
    "0e999",
    "7",
    "9007199254740991",
    "9007199254740992",
    "-9007199254740991",
    "1790000000000",
    "1.0",
    "1e3",
    "1E+3",
    "1e22",
    "1e23",
    "100000000000000000000000",
    "48.137154000000000000",
    "0.1",
    "0.30000000000000004",
    "0.10000000000000001",
    "0.1000000000000000055511151231257827",
    "5e-324",
    "1.7976931348623157e308",
    "2.2250738585072014E-308",
    `1${"0".repeat(300)}`,
  ])("are taken where they come back: %s", (number) => {
    for (const json of places(number)) assert.isUndefined(inexactNumber(json))
  })

  it("are beyond all bounds, or not", () => {
    for (const number of ["1e400", "-1e400", "9".repeat(400)]) assert.isDefined(boundlessNumber(`{"data":[${number}]}`))
    for (const number of ["9007199254740993", "1e-400", "1e308"]) assert.isUndefined(boundlessNumber(`[${number}]`))
  })

  it("are none within text, however it is quoted", () => {
    for (const text of [
      "9007199254740993",
      ": 9007199254740993",
      `a\\",9007199254740993`,
      "[1e400",
      "\\",
      `\n:1e400`,
    ]) {
      assert.isUndefined(inexactNumber(JSON.stringify({ [text]: [text, 1] })))
    }
    assert.isDefined(inexactNumber(String.raw`{"a\\":9007199254740993}`))
  })

  it.effect.prop(
    "are all taken that JavaScript writes, alone, with 17 digits, and in data",
    [Schema.Finite, Schema.Json],
    ([number, data]) =>
      Effect.sync(() => {
        assert.isUndefined(inexactNumber(JSON.stringify(number)))
        assert.isUndefined(inexactNumber(JSON.stringify(data)))
        if (Number.isInteger(number) || number === 0) return
        assert.isUndefined(inexactNumber(`[${number.toPrecision(17)}]`))
      }),
  )

  it("are looked at in time that grows with the text alone", () => {
    const digits = 250_000
    const texts = [
      `[1${"0".repeat(digits)}1]`,
      `["${"\\\\".repeat(digits / 2)}",1e5]`,
      `[${"1e5,".repeat(digits / 4)}1]`,
    ]
    const start = performance.now()
    for (const text of texts) inexactNumber(text)
    assert.isBelow(performance.now() - start, 5_000)
  })
})
