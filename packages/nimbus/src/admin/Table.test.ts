import { assert, describe, it } from "@effect/vitest"
import { list, table } from "./Table.ts"

describe("table", () => {
  it("puts columns under their heads, numbers to the right, and a dash where there is nothing", () => {
    const text = table(
      ["CLIENT", "WAITING", "POD"],
      [
        ["ada", 5, "p1"],
        ["a-longer-name", 1_234, undefined],
      ],
    )
    assert.strictEqual(
      text,
      ["CLIENT         WAITING  POD", "ada                  5  p1", "a-longer-name     1234  -"].join("\n"),
    )
  })

  it("is its heads where there are no rows", () => {
    assert.strictEqual(table(["A", "BB"], []), "A  BB")
  })

  it("lists names and their values", () => {
    assert.strictEqual(
      list([
        ["log", "x"],
        ["clients", 3],
      ]),
      "log      x\nclients  3",
    )
  })
})
