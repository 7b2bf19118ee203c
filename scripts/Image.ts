/**
 * The image without a container engine: reads the Dockerfile and carries out those of its steps that make files, in a
 * directory of this machine. For tests.
 */
import { execFile } from "node:child_process"
import { cpSync, mkdirSync, readFileSync } from "node:fs"
import { basename, join, matchesGlob, relative } from "node:path"
import { promisify } from "node:util"

const root = join(import.meta.dirname, "..")
const textOf = (path: string) => readFileSync(join(root, path), "utf8")

/** An instruction of the Dockerfile; `stage` is the name that its stage has, or its number. */
export interface Step {
  readonly stage: string
  readonly instruction: string
  readonly rest: string
}

export const steps: ReadonlyArray<Step> = (() => {
  const steps: Array<Step> = []
  let stages = 0
  let stage = ""
  for (const line of textOf("Dockerfile").split("\n")) {
    if (line === "" || line.startsWith("#")) continue
    const [instruction = "", ...words] = line.split(" ")
    if (instruction === "FROM") stage = words[2] ?? `${stages}`
    if (instruction === "FROM") stages++
    steps.push({ stage, instruction, rest: words.join(" ") })
  }
  return steps
})()

/** The name of the stage that becomes the image. */
export const image = steps.at(-1)?.stage ?? ""

/** The words of an instruction of the image that has the form of a list, as CMD does. */
export const listOf = (instruction: string): ReadonlyArray<string> => {
  const step = steps.findLast((step) => step.stage === image && step.instruction === instruction)
  const list: unknown = JSON.parse(step?.rest.replace(/^[^[]*/, "") ?? "[]")
  if (!Array.isArray(list)) throw new Error(`${instruction} is no list`)
  return list.map(String)
}

/** The environment that the image sets. */
export const environment: Readonly<Record<string, string>> = Object.fromEntries(
  steps
    .filter((step) => step.stage === image && step.instruction === "ENV")
    .flatMap((step) => step.rest.split(" ").map((pair) => pair.split("=")))
    .map(([name = "", value = ""]) => [name, value]),
)

const ignore = textOf(".dockerignore").trim().split("\n")

/** Whether the build sees a file of the repository: the last line of .dockerignore that matches it, or a folder of it, says. */
export const inContext = (path: string): boolean => {
  const parts = path.split("/")
  const paths = parts.map((_, index) => parts.slice(0, index + 1).join("/"))
  return !ignore.reduce((ignored, line) => {
    const pattern = line.replace(/^!/, "")
    return paths.some((path) => matchesGlob(path, pattern)) ? !line.startsWith("!") : ignored
  }, false)
}

/** Carries out what a stage copies and installs, in `directory`. */
export const build = async (stage: string, directory: string): Promise<void> => {
  for (const { instruction, rest } of steps.filter((step) => step.stage === stage)) {
    if (instruction === "COPY") await copy(rest, directory)
    if (instruction === "RUN" && rest.includes("pnpm@")) await install(rest, directory)
  }
}

const copy = async (rest: string, directory: string): Promise<void> => {
  const [from] = rest.match(/(?<=--from=)\S+/) ?? []
  const words = rest.split(" ").filter((word) => !word.startsWith("--"))
  const target = words.at(-1) ?? ""
  const to = join(directory, target)
  // The page is taken as `npm run setup` built it, by the same program.
  if (from === "page") return cpSync(join(root, target), to, { recursive: true })
  if (from !== undefined) return build(from, directory)
  mkdirSync(to, { recursive: true })
  for (const source of words.slice(0, -1)) {
    const isFolder = source === target
    cpSync(join(root, source), isFolder ? to : join(to, basename(source)), {
      recursive: true,
      filter: (path) => (isFolder && path === join(root, source)) || inContext(relative(root, path)),
    })
  }
}

/** From what this machine has of the packages, where it has them. */
const install = (command: string, cwd: string) =>
  promisify(execFile)("sh", ["-c", command], {
    cwd,
    env: { ...process.env, npm_config_prefer_offline: "true" },
    timeout: 100_000,
  })
