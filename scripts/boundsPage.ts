/**
 * Writes docs/bounds.md: every bound of every package with its default and what its `Limits.ts` says about it. A test
 * fails while the page is not what this would write: run `npm run docs`.
 *
 * A bound is a number in an exported object whose name ends in `Limits`. It is described by the comment above its
 * declaration, or above the nearest one before it that has a comment.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
export const page = join(root, "docs/bounds.md")

const head = `# Bounds

Every queue, buffer, retry and wait of Nimbus has a bound. This page is written from the \`Limits.ts\` of each package by
\`npm run docs\`; each file also says at its top what happens at its bounds.
`

export const boundsPage = async (): Promise<string> => {
  const paths = globSync("packages/{*,gateway/page}/src/Limits.ts", { cwd: root })
  const sections = await Promise.all(paths.sort().map(section))
  return [head, ...sections].join("\n")
}

const section = async (path: string): Promise<string> => {
  const source = readFileSync(join(root, path), "utf8")
  const exported: Record<string, unknown> = await import(join(root, path))
  const objects = Object.keys(exported)
    .filter((name) => name.endsWith("Limits") && typeof exported[name] === "object")
    .sort()
  return [
    `## [${path.split("/").slice(1, -2).join("/")}](../${path})\n`,
    ...objects.map((name) => `### ${name}\n\n${table(source, name, numbersOf(exported[name]))}`),
  ].join("\n")
}

const numbersOf = (limits: unknown): ReadonlyArray<readonly [string, number]> =>
  typeof limits === "object" && limits !== null
    ? Object.entries(limits).filter((entry): entry is [string, number] => typeof entry[1] === "number")
    : []

const table = (source: string, object: string, bounds: ReadonlyArray<readonly [string, number]>): string =>
  [
    "| bound | default | |",
    "| --- | --- | --- |",
    ...bounds.map(([name, value]) => `| \`${name}\` | ${worded(name, value)} | ${commentOf(source, object, name)} |`),
    "",
  ].join("\n")

/**
 * The comment above the declaration of a bound, on one line: in the interface that is named as the object, or else
 * anywhere in the file. Throws where there is none: a bound has to be described.
 */
export const commentOf = (source: string, object: string, name: string): string => {
  const own = source.search(new RegExp(`^export interface ${object} `, "im"))
  const ownEnd = source.indexOf("\n}", own)
  const declaration = new RegExp(`^ +(readonly )?${name}\\??:`, "m")
  const inOwn = own === -1 ? -1 : source.slice(own, ownEnd).search(declaration)
  const declared = inOwn === -1 ? source.search(declaration) : own + inOwn
  const comments = [...source.slice(0, Math.max(0, declared)).matchAll(/\/\*\*(.*?)\*\//gs)]
  const comment = comments.at(-1)?.[1]
  if (comment === undefined) throw new Error(`the bound ${name} is not described`)
  return comment
    .replaceAll(/\s*\n\s*\*\s*/g, " ")
    .replaceAll("|", "\\|")
    .trim()
}

const units: ReadonlyArray<readonly [suffix: RegExp, steps: ReadonlyArray<readonly [number, string]>]> = [
  [
    /bytes/,
    [
      [1024 ** 3, "GiB"],
      [1024 ** 2, "MiB"],
      [1024, "KiB"],
      [1, "B"],
    ],
  ],
  [
    /_ms$/,
    [
      [86_400_000, "d"],
      [3_600_000, "h"],
      [60_000, "min"],
      [1000, "s"],
      [1, "ms"],
    ],
  ],
]

/** A number in the largest unit that leaves it whole. */
export const worded = (name: string, value: number): string => {
  if (!Number.isFinite(value)) return "none"
  const steps = units.find(([suffix]) => suffix.test(name))?.[1] ?? []
  const step = steps.find(([size]) => value >= size && value % size === 0)
  return step === undefined ? value.toLocaleString("en-US") : `${value / step[0]} ${step[1]}`
}

if (import.meta.main) writeFileSync(page, await boundsPage())
