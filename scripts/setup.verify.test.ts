/** What the first `npm start` in a fresh clone installs: what it needs, and not what tests and other builds need. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { root, run } from "./tarballs/Project.ts"

describe("the setup of a start", () => {
  let clone: string
  const setup = () => run({ cwd: clone }, "npm", "run", "setup:start")
  const packages = () => readdirSync(join(clone, "node_modules/.pnpm"))

  beforeAll(async () => {
    clone = mkdtempSync(join(tmpdir(), "nimbus-clone-"))
    await run({ cwd: root }, "git", "clone", "--quiet", root, clone)
    await setup()
  }, 300_000)

  afterAll(() => rmSync(clone, { recursive: true, force: true }))

  it("installs no browser, no generator, no compiler and nothing of tests", () => {
    assert.isNotEmpty(packages().filter((name) => name.startsWith("effect@")))
    const heavy = /^(@sparticuz|playwright|@bufbuild\+buf|typedoc|typescript|vitest|oxlint|oxfmt|@changesets|esbuild)/
    assert.deepStrictEqual(
      packages().filter((name) => heavy.test(name)),
      [],
    )
  })

  it("builds the page, and what it installs runs the command", async () => {
    assert.include(readdirSync(join(clone, "packages/gateway/page/dist/site")), "index.html")
    assert.match(await run({ cwd: clone }, "npm", "run", "--silent", "nimbus", "--", "--version"), /^nimbus v/)
  })

  it("is followed by the whole setup where tests are to run, which a start then leaves alone", async () => {
    await run({ cwd: clone }, "npm", "run", "setup")
    const all = packages()
    assert.isNotEmpty(all.filter((name) => name.startsWith("vitest@")))
    await setup()
    assert.deepStrictEqual(packages(), all)
  }, 300_000)
})
