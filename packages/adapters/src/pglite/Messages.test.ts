import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Messages } from "./Messages.ts"

const message = (type: string, length: number): Uint8Array => {
  const bytes = Buffer.alloc(type.length + 4 + length, 7)
  bytes.write(type, "latin1")
  bytes.writeUInt32BE(length + 4, type.length)
  return new Uint8Array(bytes)
}

const Sizes = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })))

describe("Messages", () => {
  it.effect.prop("come out as they went in, however the bytes are cut", [Sizes, Sizes], ([lengths, cuts]) =>
    Effect.sync(() => {
      const sent = [message("", 9), ...lengths.map((length) => message("Q", length))]
      let bytes = new Uint8Array(Buffer.concat(sent))
      const messages = new Messages()
      const got: Array<Uint8Array> = []
      for (const cut of cuts) {
        got.push(...messages.push(bytes.subarray(0, cut)))
        bytes = bytes.subarray(cut)
      }
      got.push(...messages.push(bytes))
      assert.deepStrictEqual(got, sent)
    }),
  )

  it("leave out the one that says goodbye", () => {
    const messages = new Messages()
    const bytes = Buffer.concat([message("", 9), message("X", 0), message("S", 0)])
    assert.deepStrictEqual(messages.push(bytes), [message("", 9), message("S", 0)])
  })
})
