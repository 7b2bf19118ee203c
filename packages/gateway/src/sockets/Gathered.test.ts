import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Gathered } from "./Gathered.ts"

const sizes = Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))))

describe("Gathered", () => {
  it.effect.prop("has what has come, in order, and what it gave stays as it was", { sizes }, ({ sizes }) =>
    Effect.sync(() => {
      const gathered = new Gathered()
      const pieces = sizes.map((bytes, i) => Buffer.alloc(bytes, i))
      const given = pieces.map((piece, i) => {
        gathered.add(piece)
        assert.deepStrictEqual(gathered.bytes, Buffer.concat(pieces.slice(0, i + 1)))
        return gathered.bytes
      })
      given.forEach((bytes, i) => assert.deepStrictEqual(bytes, Buffer.concat(pieces.slice(0, i + 1))))
      assert.deepStrictEqual(gathered.take(), Buffer.concat(pieces))
      assert.strictEqual(gathered.length, 0)
    }),
  )

  it("does not copy all that has come for each piece", () => {
    const gathered = new Gathered()
    const rooms = new Set<ArrayBufferLike>()
    for (let i = 0; i < 10_000; i++) {
      gathered.add(Buffer.from([i]))
      rooms.add(gathered.bytes.buffer)
    }
    assert.isAtMost(rooms.size, 16)
  })
})
