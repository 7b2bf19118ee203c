/** Holds docs/configuration.md and the sources together, both ways: every setting that is read has a row, and no other. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { settingNames } from "../packages/adapters/src/process/SettingNames.ts"

const root = join(import.meta.dirname, "..")

/** The settings that some text names, where a regular expression finds one in its first group. */
const namesIn = (text: string, pattern: RegExp): ReadonlyArray<string> => [...text.matchAll(pattern)].map((m) => m[1]!)

const settingsOfSources = (): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const path of globSync("packages/*/src/**/*.ts", { cwd: root })) {
    if (path.endsWith(".test.ts") || path.endsWith("/SettingNames.ts") || path.includes("/testing/")) continue
    for (const name of namesIn(readFileSync(join(root, path), "utf8"), /"(NIMBUS_[A-Z0-9_]+)"/g)) names.add(name)
  }
  return names
}

describe("docs/configuration.md", () => {
  it("has a row for every setting that the sources read, and no other", () => {
    const read = settingsOfSources()
    const rows = namesIn(readFileSync(join(root, "docs/configuration.md"), "utf8"), /^\| `(NIMBUS_[A-Z0-9_]+)` \|/gm)
    assert.strictEqual(new Set(rows).size, rows.length)
    const missing = [...read].filter((name) => !rows.includes(name))
    const stale = rows.filter((name) => !read.has(name))
    assert.deepStrictEqual({ missing, stale }, { missing: [], stale: [] })
    // A name that is not in this list is told as unknown.
    assert.deepStrictEqual(settingNames.toSorted(), rows.toSorted())
  })
})
