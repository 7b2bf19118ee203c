import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { fromDigits, naturalOf } from "./Digits.ts"
import { Cursor } from "../protocol/Ids.ts"

const decode = Schema.decodeUnknownResult(fromDigits(Cursor))

describe("digits", () => {
  it("spell a cursor", () => {
    for (const number of [-1, 0, 7, 10, 1_000, Number.MAX_SAFE_INTEGER]) {
      assert.deepStrictEqual(decode(String(number)), Result.succeed(Cursor.make(number)))
    }
    assert.strictEqual(Schema.encodeSync(fromDigits(Cursor))(Cursor.make(12)), "12")
  })

  it.each([
    "",
    " ",
    "\t",
    "0x10",
    "0b1",
    "1e3",
    "+1",
    " 1",
    "1 ",
    "01",
    "-0",
    "-01",
    "1.0",
    "1_000",
    "١",
    "NaN",
    "Infinity",
    "--1",
    "1\n",
  ])("are not %j, and the reason shows it", (text) => {
    const refused = decode(text)
    assert.isTrue(Result.isFailure(refused))
    assert.include(Result.isFailure(refused) ? refused.failure.message : "", JSON.stringify(text))
    assert.isUndefined(naturalOf(text))
  })

  it.each(["-2", "9007199254740992", "99999999999999999999", "9".repeat(1_000)])("spell no cursor by %s", (text) => {
    assert.isTrue(Result.isFailure(decode(text)))
    assert.isUndefined(naturalOf(text))
  })

  it("are one text, not several", () => {
    const refused = decode(["1", "2"])
    assert.include(Result.isFailure(refused) ? refused.failure.message : "", "must be one text of digits")
  })

  it("are read by hand as by schema", () => {
    assert.deepStrictEqual(["0", "12", "9007199254740991", "-1"].map(naturalOf), [
      0,
      12,
      Number.MAX_SAFE_INTEGER,
      undefined,
    ])
  })
})
