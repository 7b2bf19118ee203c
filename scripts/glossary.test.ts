/** Holds docs/glossary.md, the other pages and the sources together: a term of the glossary is the one that is used. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "..")
const read = (path: string): string => readFileSync(join(root, path), "utf8")

const glossary = read("docs/glossary.md")
const [terms = "", names = ""] = glossary.split("## Names in the sources")

/** The entries of a table, from the first cell of each row. */
const entriesIn = (table: string): ReadonlyArray<string> =>
  [...table.matchAll(/^\| ([^|]+?) +\|/gm)]
    .flatMap(([, cell = ""]) => cell.split(", "))
    .map((entry) => entry.replaceAll("`", ""))
    .filter((entry) => !["---", "term", "name"].includes(entry))

/** The pages of the documentation without the glossary. */
const pages = globSync(["README.md", "CONTRIBUTING.md", "docs/*.md"], { cwd: root }).filter(
  (path) => path !== "docs/glossary.md",
)

/** The text of a page, without what is code: names that users have stay as they are. */
const prose = (path: string): string => read(path).replaceAll(/```.*?```|`[^`]*`/gs, "")

const everyPage = pages.map(read).join("\n").toLowerCase()
const everySource = globSync("{packages,bench}/**/*.ts", { cwd: root, exclude: ["**/node_modules/**", "**/dist/**"] })
  .map(read)
  .join("\n")

/** Words that earlier versions had for something that this field has a term for. */
const replaced = ["door", "doors", "shelve", "shelved", "shelves", "shelf", "dlq", "lane", "lanes", "hello"]

describe("docs/glossary.md", () => {
  it.each(entriesIn(terms))("has the term %s, which other pages use", (term) => {
    const word = term.replace(/^to /, "").toLowerCase()
    assert.match(everyPage, new RegExp(`\\b${word}`))
  })

  it.each(entriesIn(names))("has the name %s, which the sources declare", (name) => {
    const stem = `${name[0]?.toUpperCase()}${name.slice(1)}`
    assert.match(everySource, new RegExp(`(class|interface|type|const) (make)?(${name}|${stem})\\b`))
  })

  it("is in the order of the alphabet", () => {
    for (const table of [terms, names]) {
      const rows = [...table.matchAll(/^\| ([^|]+?) +\|/gm)].map(([, cell = ""]) => cell).slice(2)
      const keys = rows.map((row) => row.replace(/^to /, "").replaceAll("`", "").toLowerCase())
      assert.isAbove(keys.length, 10)
      assert.deepStrictEqual(
        keys,
        keys.toSorted((a, b) => a.localeCompare(b)),
      )
    }
  })

  it.each(pages)("has the terms of %s: none that they have replaced", (path) => {
    const found = replaced.filter((word) => new RegExp(`\\b${word}\\b`, "i").test(prose(path)))
    assert.deepStrictEqual(found, [])
  })
})
