/** Shows that no page points to a file or a heading that is not there. */
import { existsSync, globSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Frames from "../packages/domain/src/protocol/Frames.ts"

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

/** The paths that a page has as code: with a slash, and with letters only that occur in names of files. */
const pathsIn = (page: string): ReadonlyArray<string> =>
  [...page.replaceAll(/```.*?```/gs, "").matchAll(/`((?:[\w-][\w.-]*\/)+[\w.-]+)`/g)].map((match) => match[1]!)

describe("docs/architecture.md", () => {
  const page = readFileSync(join(root, "docs/architecture.md"), "utf8")

  it.each(["adapters", "gateway"])("names every folder of packages/%s", (name) => {
    const [row = ""] = page.match(new RegExp(`^\\| \`packages/${name}\` \\|.*$`, "m")) ?? []
    const folders = globSync(`packages/${name}/src/*/`, { cwd: root }).map((folder) => basename(folder))
    for (const folder of folders.filter((folder) => folder !== "testing")) assert.include(row, `\`${folder}\``)
  })

  it("names only files and folders that exist", () => {
    const paths = pathsIn(page)
    assert.isAbove(paths.length, 50)
    const missing = paths.filter((path) => !existsSync(join(root, path)) && !existsSync(join(root, "packages", path)))
    assert.deepStrictEqual(missing, [])
  })

  it.each(["handler", "setting", "metric", "frame", "transport", "store"])("has a recipe to add a %s", (what) => {
    const [, recipe = ""] = page.split(`### Add a ${what}\n`)
    const [steps = ""] = recipe.split("\n### ")
    assert.match(steps, /^1\. /m)
    // What fails if a step is forgotten.
    assert.match(steps, /^(?!\d).*\.test\.ts|compiler/m)
  })
})

describe("docs/websocket.md", () => {
  const page = readFileSync(join(root, "docs/websocket.md"), "utf8")
  const typesOf = (frames: {
    readonly members: ReadonlyArray<{ readonly fields: { readonly type: { readonly literal: string } } }>
  }) => frames.members.map(({ fields }) => fields.type.literal)

  it("has every frame", () => {
    const [, fromClient = "", fromGateway = ""] = page.split(/^## From the /m)
    for (const type of typesOf(Frames.ClientFrame)) assert.include(fromClient, `- \`${type}\`:`)
    for (const type of typesOf(Frames.ServerFrame)) assert.include(fromGateway, `| \`${type}\` |`)
  })
})

describe("README.md", () => {
  it("shows a handler that runs as a test", () => {
    const [shown = ""] =
      readFileSync(join(root, "README.md"), "utf8").match(/(?<=```ts\n)const order = .*?(?=```)/s) ?? []
    assert.isNotEmpty(shown)
    assert.include(readFileSync(join(root, "examples/embed/src/Orders.ts"), "utf8"), shown)
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
