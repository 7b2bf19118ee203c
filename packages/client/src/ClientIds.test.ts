import { assert, describe, it } from "@effect/vitest"
import { clientIdOf } from "./ClientIds.ts"
import { BadRequest } from "./Errors.ts"

describe("the client id of a subject", () => {
  it.each([
    ["alice@example.com", {}, "alice@example.com"],
    ["auth0|123", {}, "sub.auth0:7C123"],
    ["alice", { issuer: "partners" }, "at.partners.alice"],
    ["alice", { device: "phone" }, "alice::phone"],
    ["auth0|123", { device: "phone" }, "sub.auth0:7C123::phone"],
  ] as const)("%s with %j is %s", (subject, options, id) => {
    assert.strictEqual(clientIdOf(subject, options), id)
  })

  it.each([
    ["x".repeat(129), {}],
    ["", {}],
    ["alice", { device: "a phone" }],
    ["alice", { device: "" }],
  ] as const)("is none of %j with %j", (subject, options) => {
    assert.throws(() => clientIdOf(subject, options), BadRequest)
  })
})
