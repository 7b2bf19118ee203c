import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { callerHeader, callerHeaders, callerOnly, CallerReader, readCaller, withoutCaller } from "./Caller.ts"
import { Grants, type Principal, Subject } from "./index.ts"

const alice: Principal = {
  issuer: "https://id.example",
  subject: "auth0|ålice",
  clientId: Result.getOrThrow(Subject.clientIdOf({ issuer: undefined, name: "alice" })),
  grants: Grants.none,
  claims: { groups: ["staff", "all"], tenant: { id: 7 } },
  expires_s: 1_000,
  issued_s: 900,
  tokenId: "j1",
  keyId: "k1",
}

describe("a caller", () => {
  it("comes out of the header as who the gateway knew, with nothing else of the token", () => {
    assert.deepStrictEqual(readCaller(callerHeaders(alice)), {
      issuer: "https://id.example",
      subject: "auth0|ålice",
      claims: { groups: ["staff", "all"], tenant: { id: 7 } },
    })
  })

  it("is nobody without the header", () => {
    assert.isUndefined(readCaller(undefined))
    assert.isUndefined(readCaller({ "nimbus-journey": "[]" }))
  })

  it.each([
    "",
    "alice",
    "null",
    `"alice"`,
    "[]",
    "{}",
    `{"issuer":"i","subject":"s"}`,
    `{"issuer":"i","claims":{}}`,
    `{"issuer":1,"subject":"s","claims":{}}`,
    `{"issuer":"i","subject":["s"],"claims":{}}`,
    `{"issuer":"i","subject":"s","claims":null}`,
    `{"issuer":"i","subject":"s","claims":["a"]}`,
  ])("is nobody where the header has %s", (text) => {
    assert.isUndefined(readCaller({ [callerHeader]: text }))
    assert.isUndefined(new CallerReader().read({ [callerHeader]: text }))
  })

  it("can't be changed by a handler for the next one", () => {
    const caller = readCaller(callerHeaders(alice))
    assert(caller !== undefined)
    assert.throws(() => Object.assign(caller, { subject: "bob" }))
    assert.throws(() => Object.assign(caller.claims, { groups: [] }))
    assert.throws(() => Array.isArray(caller.claims["groups"]) && caller.claims["groups"].push("admin"))
  })

  it("is the same object for the same header, and another for another", () => {
    const reader = new CallerReader()
    const first = reader.read(callerHeaders(alice))
    assert.isDefined(first)
    assert.strictEqual(reader.read({ ...callerHeaders(alice), other: "x" }), first)
    assert.strictEqual(reader.read(callerHeaders({ ...alice, subject: "bob" }))?.subject, "bob")
    // More than it keeps.
    for (let i = 0; i < 20_000; i++)
      assert.strictEqual(reader.read(callerHeaders({ ...alice, subject: `s${i}` }))?.subject, `s${i}`)
    assert.deepStrictEqual(reader.read(callerHeaders(alice)), first)
  })

  it("leaves the headers, and nothing else does", () => {
    assert.isUndefined(withoutCaller(undefined))
    assert.isUndefined(withoutCaller(callerHeaders(alice)))
    const others = { traceparent: "00-1" }
    assert.strictEqual(withoutCaller(others), others)
    const both = { ...others, ...callerHeaders(alice) }
    assert.deepStrictEqual(withoutCaller(both), others)
    assert.deepStrictEqual(callerOnly(both), callerHeaders(alice))
    assert.isUndefined(callerOnly(others))
  })
})
