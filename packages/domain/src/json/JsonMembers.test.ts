import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { membersOf } from "./JsonMembers.ts"

const AnyObject = Schema.Record(Schema.String, Schema.Json)

/** Each member parsed on its own. */
const parsed = (json: string): unknown =>
  Object.fromEntries(Array.from(membersOf(json), ([name, text]) => [name, JSON.parse(text)]))

describe("membersOf", () => {
  it.effect.prop(
    "gives what JSON.parse gives, however it is indented",
    [AnyObject, Schema.Literals([0, 1, 3])],
    (given) =>
      Effect.sync(() => {
        const [object, indent] = given
        const json = JSON.stringify(object, undefined, indent)
        assert.deepStrictEqual(parsed(json), parsedWhole(json))
      }),
  )

  it.effect.prop(
    "gives nothing of what is no object",
    [Schema.Union([Schema.Array(AnyObject), Schema.String])],
    ([other]) => Effect.sync(() => assert.strictEqual(membersOf(JSON.stringify(other)).size, 0)),
  )

  it.each([
    ["digits that a double has no room for", `{"a":12345678901234567890}`, `12345678901234567890`],
    ["zeros at the end", `{"a":1.50}`, `1.50`],
    ["the last of several", `{"a":1,"a":[2]}`, `[2]`],
    ["a name that is escaped", `{"\\u0061":1}`, `1`],
    ["braces, commas and quotes within text", `{"b":"}\\",{","a":{"c":"]},\\\\"},"d":1}`, `{"c":"]},\\\\"}`],
    ["no spaces around it", ` {\t"b" : 1 ,\n "a" :\r [ 1 , 2 ]  } `, `[ 1 , 2 ]`],
  ])("gives %s", (_, json, value) => {
    assert.strictEqual(membersOf(json).get("a"), value)
  })
})

/** `__proto__` is a member like any other, which an object literal in a comparison would not say. */
const parsedWhole = (json: string): unknown => Object.fromEntries(Object.entries(JSON.parse(json)))
