/** Holds docs/reference.md and what the packages export together. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "..")

/** What others import. What tests Nimbus itself is for the workspace alone. */
const entrances = globSync("packages/*/package.json", { cwd: root }).flatMap((path) => {
  const { exports = {}, name } = JSON.parse(readFileSync(join(root, path), "utf8"))
  return Object.keys(exports)
    .filter((subpath) => !subpath.startsWith("./testing/"))
    .map((subpath) => join(name, subpath))
})

describe("docs/reference.md", () => {
  it("has each entrance of each package, and no other", () => {
    const page = readFileSync(join(root, "docs/reference.md"), "utf8")
    const named = [...page.matchAll(/`(@nimbus\/[a-z/]+)`/g)].map((match) => match[1]!)
    assert.isAbove(entrances.length, 0)
    assert.deepStrictEqual(named.sort(), entrances.sort())
  })
})
