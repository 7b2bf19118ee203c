import { assert, describe, it } from "@effect/vitest"
import { Headers } from "effect/http"
import { bearerOf } from "./Operators.ts"

const of = (authorization: string) => bearerOf({ headers: Headers.fromInput({ authorization }) })

describe("bearerOf", () => {
  it.each([
    ["Bearer abc.def", "abc.def"],
    ["bearer   a token with spaces  ", "a token with spaces"],
    ["Basic YTpi", ""],
    ["Bearer", ""],
    ["Bearer ", ""],
  ])("of %j takes %j", (authorization, token) => {
    assert.strictEqual(of(authorization), token)
  })

  it("reads a header of spaces, as long as HTTP takes one, in no time", () => {
    const token = `a${" ".repeat(16_000)}b`
    const from_ms = performance.now()
    assert.strictEqual(of(`Bearer ${token}`), token)
    assert.isBelow(performance.now() - from_ms, 100)
  })
})
