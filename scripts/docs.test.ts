/** Shows that no page points to a file or a heading that is not there. */
import { existsSync, globSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "..")
const pages = globSync(["*.md", "docs/*.md", "examples/*.md", "packages/*/README.md"], { cwd: root })

/** The targets of a page's links within the repository, without those in code. */
const linksOf = (text: string): ReadonlyArray<string> =>
  [...text.replaceAll(/```.*?```/gs, "").matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!)
    .filter((target) => !target.startsWith("https://"))

const anchorsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replaceAll(/[^a-z0-9 -]/g, "")
      .replaceAll(" ", "-"),
  )

const isThere = (page: string, link: string): boolean => {
  const [path = "", anchor] = link.split("#")
  const target = path === "" ? join(root, page) : join(root, dirname(page), path)
  if (!existsSync(target)) return false
  return anchor === undefined || anchorsOf(readFileSync(target, "utf8")).includes(anchor)
}

/** Whatever stands further in on one side than on the other. */
const unindented = (code: string): string => code.replaceAll(/^ +/gm, "")

describe("docs/architecture.md", () => {
  it("names every folder of the adapters", () => {
    const rows = readFileSync(join(root, "docs/architecture.md"), "utf8")
    const [row = ""] = rows.match(/^\| `packages\/adapters` \|.*$/m) ?? []
    for (const folder of globSync("packages/adapters/src/*/", { cwd: root }))
      assert.include(row, `\`${basename(folder)}\``)
  })
})

describe("docs/embedding.md", () => {
  it("shows code that runs as a test", () => {
    const sources = globSync("examples/domain/src/*.ts", { cwd: root }).map((path) =>
      unindented(readFileSync(join(root, path), "utf8")),
    )
    const shown = [...readFileSync(join(root, "docs/embedding.md"), "utf8").matchAll(/```ts\n(.*?)```/gs)]
    assert.isAbove(shown.length, 5)
    for (const [, code = ""] of shown)
      assert.isTrue(
        sources.some((source) => source.includes(unindented(code))),
        code,
      )
  })
})

describe("the pages", () => {
  it.each(pages)("%s points to what is there", (page) => {
    const dead = linksOf(readFileSync(join(root, page), "utf8")).filter((link) => !isThere(page, link))
    assert.deepStrictEqual(dead, [])
  })

  it("tells a dead link from a live one", () => {
    assert.isTrue(isThere("docs/errors.md", "websocket.md#closing"))
    assert.isFalse(isThere("docs/errors.md", "websocket.md#opening"))
    assert.isFalse(isThere("docs/errors.md", "no-such-page.md"))
    assert.deepStrictEqual(linksOf("[a](x.md) ```\n[b](y.md)\n``` [c](https://e.org)"), ["x.md"])
  })
})
