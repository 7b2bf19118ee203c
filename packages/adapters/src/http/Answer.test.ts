import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { resultOf } from "./Answer.ts"

const body = new TextEncoder().encode(`{"message":"x"}`)

describe("an answer", () => {
  it.each([
    { status: 200, tag: "Success" },
    { status: 201, tag: "Success" },
    { status: 299, tag: "Success" },
    { status: 300, tag: "HttpHandlerAnswerInvalid" },
    { status: 399, tag: "HttpHandlerAnswerInvalid" },
    { status: 400, tag: "HttpHandlerRefused" },
    { status: 499, tag: "HttpHandlerRefused" },
    { status: 500, tag: "HttpHandlerUnavailable" },
    { status: 599, tag: "HttpHandlerUnavailable" },
  ])("of $status is $tag", ({ status, tag }) => {
    const result = resultOf({ status, body }, 1_024)
    assert.strictEqual(Result.isSuccess(result) ? result._tag : result.failure._tag, tag)
  })

  it.each([200, 300, 400, 500])("of %s may be too large to be read", (status) => {
    const result = resultOf({ status, body: undefined }, 1_024)
    assert.isTrue(Result.isFailure(result))
  })

  it("tells the client nothing of where a redirect points to", () => {
    const result = resultOf({ status: 302, location: "http://inside/", body }, 1_024)
    assert(Result.isFailure(result) && result.failure._tag === "HttpHandlerAnswerInvalid")
    assert.notInclude(result.failure.message, "inside")
    assert.strictEqual(result.failure.cause, "http://inside/")
  })
})
