/** Runs Spin: the specification becomes a C program, and that looks at every state. Needs `spin` and `gcc`. */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findProgram } from "../../../../scripts/services/Tools.ts"
import type { Macros, Spec } from "./Mixes.ts"
import type { Rule } from "./Rules.ts"

const fileOf = (spec: Spec): string => join(import.meta.dirname, "spec", `${spec}.pml`)
const build_timeout_ms = 120_000
/** To read traces takes 15 s. It runs with a low priority, so a loaded machine may take many times that. */
const run_timeout_ms = 240_000

/** Why the model can't be checked on this machine; `undefined` where it can. */
export const missing = (): string | undefined => {
  const lacking = ["spin", "gcc"].filter((program) => findProgram(program) === undefined)
  return lacking.length === 0 ? undefined : `no ${lacking.join(", no ")} on the PATH (Debian: apt-get install spin gcc)`
}

export interface CheckLimits {
  readonly timeout_ms: number
  readonly memory_mb: number
  /** Of the compiler: the search is faster, but the compiler takes longer than a short search. */
  readonly optimise: "-O0" | "-O2"
}

export interface Checked {
  readonly states: number
  readonly seconds: number
  readonly memory_mb: number
  /** What kept the search from its end. */
  readonly unfinished: string | undefined
  /** The invariant that does not hold. */
  readonly violated: string | undefined
  /** The steps to that. */
  readonly steps: ReadonlyArray<string>
}

/** Looks at every state within the bounds. Rejects only where Spin itself does not work. */
export const check = (
  { macros, spec, without }: { readonly spec: Spec; readonly macros: Macros; readonly without?: string },
  limits: CheckLimits,
): Promise<Checked> =>
  inScratch(async (directory) => {
    const defines = Object.entries(macros).map(([name, value]) => `-D${name}=${value}`)
    if (without !== undefined) defines.push(`-DNO_RULE_${without}`)
    await build(directory, spec, defines, [limits.optimise, "-DSAFETY", "-DHC4", `-DMEMLIM=${limits.memory_mb}`])
    const said = await pan(directory, ["-m500000", limits.optimise === "-O0" ? "-w20" : "-w25"], limits.timeout_ms)
    const violated = violatedIn(said.text)
    const steps =
      violated === undefined ? [] : stepsIn((await pan(directory, ["-r", `${spec}.pml.trail`], run_timeout_ms)).text)
    const unfinished = violated === undefined ? unfinishedIn(said) : undefined
    return { ...figuresIn(said.text), unfinished, violated, steps }
  })

/** For CI: a search within a few seconds. */
export const shortLimits: CheckLimits = { timeout_ms: run_timeout_ms, memory_mb: 1_000, optimise: "-O0" }

/** The specification with a rule and without it. It must hold with the rule, or its failure says nothing. */
export const withAndWithout = async ({
  macro,
  macros,
  spec,
}: Rule): Promise<{ readonly intact: Checked; readonly mutant: Checked }> => {
  const key = JSON.stringify({ spec, macros })
  const intact = intacts.get(key) ?? check({ spec, macros }, shortLimits)
  intacts.set(key, intact)
  return { intact: await intact, mutant: await check({ spec, macros, without: macro }, shortLimits) }
}

/** By bounds: many rules share them. */
const intacts = new Map<string, Promise<Checked>>()

/** Builds the specification, and runs it on a file of traces; answers what it says. */
export const replay = (macros: Macros, traces: (directory: string) => void): Promise<string> =>
  inScratch(async (directory) => {
    traces(directory)
    const defines = Object.entries(macros).map(([name, value]) => `-D${name}=${value}`)
    await build(directory, "nimbus", ["-DREPLAY", "-DWIDE", ...defines], ["-O0", "-DSAFETY"])
    const said = await pan(directory, ["-E", "-c0", "-m100000", "-w20"], run_timeout_ms)
    if (said.status !== "ended") throw new Error(`the replay ${said.status}: ${said.text.slice(-2_000)}`)
    return said.text
  })

const inScratch = async <A>(use: (directory: string) => Promise<A>): Promise<A> => {
  const directory = mkdtempSync(join(tmpdir(), "nimbus-model-"))
  try {
    return await use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** One process does each step, so that the reduction by partial orders finds nothing: NOREDUCE. */
const build = async (
  directory: string,
  spec: Spec,
  defines: ReadonlyArray<string>,
  flags: ReadonlyArray<string>,
): Promise<void> => {
  const translated = await execute("spin", [...defines, "-a", fileOf(spec)], directory, build_timeout_ms)
  if (/rror/.test(translated.text)) throw new Error(`spin: ${translated.text}`)
  const args = ["-w", "-DNOREDUCE", "-DVECTORSZ=16384", ...flags, "-o", "pan", "pan.c"]
  const compiled = await execute("gcc", args, directory, build_timeout_ms)
  if (compiled.text.includes("error")) throw new Error(`gcc: ${compiled.text}`)
}

interface Said {
  readonly text: string
  readonly status: "ended" | "took too long"
}

const pan = (directory: string, args: ReadonlyArray<string>, timeout_ms: number): Promise<Said> =>
  execute("nice", ["./pan", ...args], directory, timeout_ms)

/** What a program printed, whatever it thinks of it. Rejects where it could not be run. */
const execute = (program: string, args: ReadonlyArray<string>, cwd: string, timeout_ms: number): Promise<Said> =>
  new Promise((resolve, reject) => {
    const settings = { cwd, timeout: timeout_ms, maxBuffer: 256 * 1024 * 1024 }
    execFile(program, args, settings, (error, stdout, stderr) => {
      const text = stdout + stderr
      if (error === null || typeof error.code === "number") return resolve({ text, status: "ended" })
      if (error.killed === true) return resolve({ text, status: "took too long" })
      reject(error)
    })
  })

/** An invariant by its name; a bound of the specification's own arrays by what Spin says. */
const violatedIn = (text: string): string | undefined =>
  /^violated: (.*)$/m.exec(text)?.[1] ?? /^pan:\d+: (.*?) \(at depth/m.exec(text)?.[1]

const unfinishedIn = ({ status, text }: Said): string | undefined => {
  if (status !== "ended") return `it ${status}`
  if (/max search depth too small|reached -DMEMLIM|out of memory/.test(text)) return "a bound of the search was met"
  return /errors: 0/.test(text) ? undefined : text.slice(-500)
}

const figuresIn = (text: string) => ({
  states: Number(/^ *([\d.e+]+) states, stored/m.exec(text)?.[1] ?? 0),
  seconds: Number(/elapsed time ([\d.e+-]+) seconds/.exec(text)?.[1] ?? 0),
  memory_mb: Math.round(Number(/([\d.]+)\ttotal actual memory usage/.exec(text)?.[1] ?? 0)),
})

/** What the specification prints on the way to a failure. */
const stepsIn = (trail: string): ReadonlyArray<string> =>
  trail
    .split("\n")
    .filter((line) =>
      /^\s*(client|another|result of|router|put:|the |pod |barrier of|connected|event consumer|worker|violated)/.test(
        line,
      ),
    )
