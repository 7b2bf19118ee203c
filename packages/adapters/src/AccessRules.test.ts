import { assert, describe, it } from "@effect/vitest"
import { defaults } from "@nimbus/domain/access"
import { Result } from "effect"
import { capabilitiesOf, claimOf, noRules, parse, type RuleFile } from "./AccessRules.ts"

const rulesOf = (value: unknown): RuleFile => Result.getOrThrow(parse(JSON.stringify(value)))

const file = rulesOf({
  defaults: ["connect:{sub}", "read"],
  rules: [
    { match: { groups: "staff" }, capabilities: ["room:join:staff.*"] },
    { match: { sub: ["alice", "bob"], verified: true }, capabilities: ["broadcast"] },
    { match: { "realm_access.roles": "ops*" }, capabilities: ["admin:operator"] },
    { issuer: "partners", match: { sub: "alice" }, capabilities: ["journey"] },
    { issuer: "*", match: { level: 3 }, capabilities: ["cancel"] },
    { capabilities: ["archive:read"] },
  ],
})
const base = ["connect:{sub}", "read"]

describe("the rules", () => {
  it.each([
    { who: "anybody of the first issuer", claims: {}, has: ["archive:read"] },
    { who: "one whose claim has the value", claims: { groups: "staff" }, has: ["room:join:staff.*", "archive:read"] },
    { who: "one whose list has it", claims: { groups: ["x", "staff"] }, has: ["room:join:staff.*", "archive:read"] },
    { who: "one whose claim begins otherwise", claims: { groups: "staffer" }, has: ["archive:read"] },
    {
      who: "one of several, with all claims",
      claims: { sub: "bob", verified: true },
      has: ["broadcast", "archive:read"],
    },
    { who: "one with some of the claims", claims: { sub: "bob", verified: "true" }, has: ["archive:read"] },
    {
      who: "one with a claim within others that begins so",
      claims: { realm_access: { roles: ["a", "ops-1"] } },
      has: ["admin:operator", "archive:read"],
    },
    { who: "the same name of another issuer", issuer: "partners", claims: { sub: "alice" }, has: ["journey"] },
    { who: "one of any issuer", issuer: "others", claims: { level: 3, sub: "bob", verified: true }, has: ["cancel"] },
  ])("give $who what they say", ({ claims, has, issuer }) => {
    assert.deepStrictEqual(capabilitiesOf(file, issuer, claims, undefined), [...base, ...has])
  })

  it("alone make operators of an issuer beside the first, by its name; its claims let in as its own clients", () => {
    const rules = rulesOf({
      defaults: ["read", "admin:viewer"],
      rules: [
        { issuer: "*", capabilities: ["cancel", "admin:viewer"] },
        { issuer: "partners", match: { groups: "ops" }, capabilities: ["admin:operator", "connect:alice"] },
      ],
    })
    const of = (issuer: string | undefined, groups: string, said?: ReadonlyArray<string>) =>
      capabilitiesOf(rules, issuer, { groups }, said)
    const own = ["connect:{sub}", "connect:{sub}/*", "connect:at.partners.bob", "connect:at.partners.*", "send:*"]
    const others = ["connect:*", "connect:alice", "connect:at.*", "connect:at.partners*", "connect:at.partners2.bob"]
    const roles = ["admin:viewer", "admin:operator", "admin:publisher", "admin:owner"]
    const all = [...own, ...others, ...roles]
    assert.deepStrictEqual(of("partners", "x", all), [...own, "cancel"])
    assert.deepStrictEqual(of("partners", "ops", all), [...own, "cancel", "admin:operator", "connect:alice"])
    assert.deepStrictEqual(of("partners", "x"), ["read", "cancel"])
    assert.deepStrictEqual(of(undefined, "x", all), [...all, "cancel", "admin:viewer"])
    // A slip goes on to be seen.
    assert.deepStrictEqual(of("partners", "x", ["admin:onwer", "connect:"]), ["admin:onwer", "connect:", "cancel"])
  })

  it("add to what the token says, and their defaults stand for what it does not say", () => {
    assert.deepStrictEqual(capabilitiesOf(file, undefined, {}, ["ack"]), ["ack", "archive:read"])
    assert.deepStrictEqual(capabilitiesOf(file, undefined, {}, []), ["archive:read"])
    assert.deepStrictEqual(capabilitiesOf(noRules, undefined, {}, undefined), defaults)
    const list = rulesOf([{ capabilities: ["cancel"] }])
    assert.deepStrictEqual(capabilitiesOf(list, undefined, {}, undefined), [...defaults, "cancel"])
  })

  it.each([
    { text: "{", says: /^it is no JSON/ },
    { text: "{}", says: /rules/ },
    { text: `[{"capabilities":["sned:*"]}]`, says: /^there is no capability sned:\*$/ },
    { text: `{"defaults":["all"],"rules":[]}`, says: /^there is no capability all$/ },
    { text: `[{"capabilities":["read"],"when":{"a":1}}]`, says: /when/ },
    { text: `[{"match":{"a":{"b":1}},"capabilities":[]}]`, says: /match/ },
  ])("that are none say what is wrong: $text", ({ says, text }) => {
    const result = parse(text)
    assert(Result.isFailure(result))
    assert.match(result.failure, says)
  })
})

describe("a claim", () => {
  it("is found by its name, with dots or without, and otherwise by a path", () => {
    const claims = { "https://a.example/x": 1, a: { b: { c: 2 } }, "a.b": 3 }
    assert.strictEqual(claimOf(claims, "https://a.example/x"), 1)
    assert.strictEqual(claimOf(claims, "a.b.c"), 2)
    assert.strictEqual(claimOf(claims, "a.b"), 3)
    for (const none of ["a.x", "b", "a.b.c.d", "constructor", "a.__proto__", "toString.name"])
      assert.isUndefined(claimOf(claims, none))
  })
})
