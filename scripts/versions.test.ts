/** What must have one version wherever it is named, and what must not fall back to an older patch. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const textOf = (path: string) => readFileSync(join(import.meta.dirname, "..", path), "utf8")
const found = (path: string, pattern: RegExp): ReadonlyArray<string> =>
  [...textOf(path).matchAll(pattern)].map((match) => match[1]!)

describe("versions", () => {
  it("runs the same Node in the image as on a machine", () => {
    const [pinned = "", ...more] = found("package.json", /"node": "(\d[\d.]*)"/g)
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(found("pnpm-workspace.yaml", /^nodeVersion: (.*)$/gm), [pinned])
    assert.deepStrictEqual([...new Set(found("Dockerfile", /^FROM node:([\d.]+)/gm))], [pinned])
    assert.strictEqual(process.versions.node, pinned)
  })

  it("has no engine.io before 6.6.13", () => {
    const installed = found("pnpm-lock.yaml", /^  engine\.io@(.*):$/gm)
    assert.isNotEmpty(installed)
    for (const version of installed) {
      const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number)
      assert.isAtLeast(major * 1e6 + minor * 1e3 + patch, 6_006_013)
    }
  })
})
