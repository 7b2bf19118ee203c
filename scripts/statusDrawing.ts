/**
 * Draws the steps of a client's status, from the arrows that the status machine moves along, where the drawing stands:
 * in docs/protocol.md and on top of Status.ts. A test fails while one of them is another: run `npm run docs`.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Status from "../packages/domain/src/protocol/Status.ts"

const root = join(import.meta.dirname, "..")

/** Where it stands, and what stands before each of its lines. */
export const places: ReadonlyArray<readonly [path: string, indent: string]> = [
  [join(root, "docs/protocol.md"), ""],
  [join(root, "packages/domain/src/protocol/Status.ts"), " * "],
]

const columns: ReadonlyArray<Status.Start> = ["UNKNOWN", "OFFLINE", "REPLAYING", "LIVE"]
const column_chars = 13
const centre = (text: string): string => {
  const left = Math.floor((column_chars - text.length) / 2)
  return `${" ".repeat(left)}${text}`.padEnd(column_chars)
}

/** A lane from the first to the last status that a step knows. */
const lane = (step: string, from: ReadonlyArray<Status.Start>, to: ReadonlyArray<Status.Start>): string => {
  const marks = columns.map((name) =>
    from.includes(name) ? (to.includes(name) ? "◉" : "○") : to.includes(name) ? "●" : " ",
  )
  const cells = marks.map(centre).join("")
  const [first, last] = [cells.search(/\S/), cells.search(/\S\s*$/)]
  const line = cells.slice(first, last + 1).replaceAll(" ", "─")
  return `${cells.slice(0, first)}${line}${cells.slice(last + 1)}${step}`
}

export const drawing: ReadonlyArray<string> = [
  columns.map(centre).join("").trimEnd(),
  ...Object.entries(Status.arrows).map(([step, { from, to }]) => lane(step, from, to)),
]

/** As it stands in a file: from the names of the statuses to the end of its block. */
const standing = /^.*UNKNOWN +OFFLINE +REPLAYING +LIVE *\n(?:.*[○●◉].*\n)*/m

/** The text with the drawing of today. */
export const redrawn = (text: string, indent: string): string => {
  if (!standing.test(text)) throw new Error("There is no drawing of the statuses.")
  return text.replace(standing, drawing.map((line) => `${indent}${line}\n`).join(""))
}

if (import.meta.main) {
  for (const [path, indent] of places) writeFileSync(path, redrawn(readFileSync(path, "utf8"), indent))
}
