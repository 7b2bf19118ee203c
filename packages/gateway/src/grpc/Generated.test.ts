import { execFile } from "node:child_process"
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "../..")
const bin = join(root, "node_modules/.bin")

/** What is below a directory, by path. */
const filesIn = (directory: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    globSync(`${directory}/**/*.{js,ts}`)
      .sort()
      .map((path) => [relative(directory, path), readFileSync(path, "utf8")]),
  )

describe("generated code", () => {
  it.each([
    ["buf.gen.yaml", "src/grpc/gen"],
    ["buf.gen.before.yaml", "src/testing/gen/before"],
  ])("of %s is what `npm run generate` would write", async (template, committed) => {
    const fresh = mkdtempSync(join(tmpdir(), "nimbus-proto-"))
    try {
      await promisify(execFile)(join(bin, "buf"), ["generate", "--template", template, "--output", fresh], {
        cwd: root,
        env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}` },
      })
      const files = filesIn(join(fresh, committed))
      assert.isAbove(Object.keys(files).length, 0)
      assert.deepStrictEqual(filesIn(join(root, committed)), files)
    } finally {
      rmSync(fresh, { recursive: true, force: true })
    }
  })
})
