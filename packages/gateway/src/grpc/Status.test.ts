import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { percentEncoded } from "./Status.ts"

describe("grpc-message", () => {
  it("leaves all of printable ASCII as it is, but for the percent sign", () => {
    const printable = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i)).join("")
    assert.strictEqual(percentEncoded(printable), printable.replace("%", "%25"))
  })

  it("writes every other byte of the UTF-8 as two digits", () => {
    assert.strictEqual(percentEncoded("Küche\n\u007f 50%"), "K%C3%BCche%0A%7F 50%25")
  })

  it.effect.prop(
    "is what it was once it is decoded, and only printable ASCII",
    { text: Arbitrary.schema(Schema.String) },
    ({ text }) =>
      Effect.sync(() => {
        assert.match(percentEncoded(text), /^[ -~]*$/)
        assert.strictEqual(decodeURIComponent(percentEncoded(text)), text.toWellFormed())
      }),
  )
})
