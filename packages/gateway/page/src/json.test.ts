import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { setJson } from "./json.ts"

describe("setJson", () => {
  it("sets each member on a line of its own, and keeps what is empty together", () => {
    assert.strictEqual(
      setJson(`{"a":[1,{"b":null}],"c":{ },"d":[]}`),
      `{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ],\n  "c": {},\n  "d": []\n}`,
    )
  })

  it("keeps every digit, and strings as they are", () => {
    assert.strictEqual(setJson("9007199254740993"), "9007199254740993")
    assert.strictEqual(setJson(`{"a":1.0,"b":"x, {\\"y\\": [ ]}"}`), `{\n  "a": 1.0,\n  "b": "x, {\\"y\\": [ ]}"\n}`)
  })

  it.prop("sets what JSON.stringify sets, as that does", [Schema.Json], ([value]) => {
    assert.strictEqual(setJson(JSON.stringify(value)), JSON.stringify(value, null, 2))
  })

  it("takes any text, and does not blow up what is deep", () => {
    assert.strictEqual(setJson(`{"a`), `{\n  "a`)
    assert.strictEqual(setJson("]]}"), "\n]\n]\n}")
    assert.isBelow(setJson("[".repeat(10_000)).length, 500_000)
  })
})
