import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { faultIn } from "./EventData.ts"

class Point {
  readonly x = 1
}

const inItself: Record<string, unknown> = { name: "loop" }
inItself["self"] = [inItself]

describe("an event's data", () => {
  it.effect.prop("is taken if it is JSON", [Schema.Json], ([data]) =>
    Effect.sync(() => assert.isUndefined(faultIn(data))),
  )

  it.each([
    ["a property that is not there", { a: undefined, b: 1 }, { b: 1 }],
    ["a date", { at: new Date(0) }, { at: "1970-01-01T00:00:00.000Z" }],
    ["an object without prototype", Object.assign(Object.create(null), { a: [1] }), { a: [1] }],
    ["minus zero", [-0], [0]],
    ["half a character", "\ud800", "\ud800"],
    ["a key of that name", JSON.parse(`{"__proto__":{"a":1}}`), JSON.parse(`{"__proto__":{"a":1}}`)],
  ])("is taken with %s", (_, data, sent) => {
    assert.isUndefined(faultIn(data))
    assert.deepStrictEqual<unknown>(JSON.parse(JSON.stringify(data)), sent)
  })

  it.each([
    ["data is NaN", Number.NaN],
    ["data.a[1] is Infinity", { a: [1, Infinity] }],
    ["data is -Infinity", -Infinity],
    ["data[1] is undefined", [1, undefined]],
    // oxlint-disable-next-line no-sparse-arrays
    ["data[0] is undefined", [, 1]],
    ["data.f is a function", { f: () => 1 }],
    ["data.s is a symbol", { s: Symbol("s") }],
    ["data.n is a bigint", { n: 1n }],
    ["data is an instance of Map", new Map([["a", 1]])],
    ["data.s is an instance of Set", { s: new Set([1]) }],
    ["data is an instance of Point", new Point()],
    ["data is an instance of Error", new Error("no")],
    ["data is an instance of Uint8Array", new Uint8Array(2)],
    ["data is an instance of RegExp", /x/],
    ["data.at is an instance of Date", { at: new Date(Number.NaN) }],
    ["data.n is an instance of Number", { n: Object(1) }],
  ])("is refused where %s", (said, data) => {
    assert.include(faultIn(data), said)
  })

  it("is refused where it is in itself, or says so of itself for ever", () => {
    assert.include(faultIn(inItself), "in itself")
    const endless = { toJSON: (): unknown => endless }
    assert.include(faultIn(endless), "in itself")
  })
})
