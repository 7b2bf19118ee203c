import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { rules as modelRules } from "../model/Rules.ts"
import { rules as worldRules } from "./rules.ts"
import { page, patches, simulated } from "./page.ts"

describe("docs/mutations.md", () => {
  const rows = readFileSync(page, "utf8").split("\n")
  const names = rows
    .filter((row) => row.startsWith("| ") && !row.startsWith("| ---"))
    .map((row) => row.split(" | ")[0]?.slice(2))

  it("has a row for every rule and every bug, and no other: else run npm run mutations", () => {
    const inBoth = new Set<string>(Object.values(patches))
    const others = Object.entries(worldRules).filter(([name]) => !inBoth.has(name))
    assert.deepStrictEqual(names, [
      "without the rule",
      ...modelRules.map(({ rule }) => rule),
      ...others.map(([, { rule }]) => rule),
      "without",
      ...simulated.map(({ rule }) => rule),
    ])
  })

  it("says of each that it was caught", () => {
    assert.deepStrictEqual(
      rows.filter((row) => row.includes("NOT CAUGHT") || row.endsWith("| – | – | – |")),
      [],
    )
  })

  it("names only rules that the specification has", () => {
    const macros = modelRules.map(({ macro }) => macro)
    assert.includeMembers(macros, Object.keys(patches))
  })
})
