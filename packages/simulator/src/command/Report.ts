/** What the command prints: a failure so that it can be understood and repeated, and a range as tables of counts. */
import { execFileSync } from "node:child_process"
import {
  describe,
  faultCounts,
  type FaultName,
  type Outcome,
  ruleCounts,
  type RunOptions,
} from "../simulation/index.ts"

/** Lines of a trace that are printed. `--trace` prints all. */
const max_lines = 300

export const commit = (): string => {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
    }).trim()
  } catch {
    return "unknown"
  }
}

/** How a name of a fault is written on the command line. */
export const flagOf = (name: string): string => name.replaceAll(" ", "-")

export const failure = (options: RunOptions, outcome: Outcome, shrunkFrom: number): string => {
  const { faults, trace, violation } = outcome
  const left = trace.length > max_lines ? [`  … ${trace.length - max_lines} lines before; --trace prints them`] : []
  return [
    `FAILED  ${violation?.message}`,
    `seed ${options.seed}, commit ${commit()}, ${shrunkFrom} faults shrunk to ${faults.length}:`,
    ...faults.map((fault) => `  ${describe(fault)}`),
    `again: npm run simulate -- ${commandOf(options)}`,
    ...left,
    ...trace.slice(-max_lines),
    `         !  ${violation?.message}`,
  ].join("\n")
}

const commandOf = ({ clients, events, faults, only, salt, seed, tasks }: RunOptions): string => {
  const flags = [`--seed ${seed} --clients ${clients} --events ${events}`]
  if (faults !== undefined) flags.push(`--faults ${faults.map((name: FaultName) => flagOf(name)).join(",")}`)
  if (only !== undefined) flags.push(`--only ${only.length === 0 ? "none" : only.join(",")}`)
  if (tasks !== undefined) flags.push(`--tasks ${tasks ? "yes" : "no"}`)
  if (salt !== undefined && salt > 0) flags.push(`--salt ${salt}`)
  return flags.join(" ")
}

/** The counts of a run or a range, faults first. */
export const table = (counts: ReadonlyMap<string, number>): string => {
  const all = [...counts].filter(([, n]) => n > 0).sort(([a], [b]) => (a < b ? -1 : 1))
  return all.map(([name, n]) => `${String(n).padStart(12)}  ${name}`).join("\n")
}

/** What should have happened in a range and never did. */
export const neverFired = (counts: ReadonlyMap<string, number>): ReadonlyArray<string> =>
  [...faultCounts, ...ruleCounts].filter((name) => (counts.get(name) ?? 0) === 0)
