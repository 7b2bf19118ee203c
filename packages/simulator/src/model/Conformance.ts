/** Holds traces against the specification: each must be a behaviour that its rules allow, action by action. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { replay } from "./Spin.ts"
import type { Macros } from "./Mixes.ts"
import { fileOf, type Trace } from "./Traces.ts"

export interface Refusal {
  readonly trace: Trace
  /** How many actions the specification allows; the next one it does not. */
  readonly allowed: number
}

/** The traces that the specification refuses. */
export const refusals = async (traces: ReadonlyArray<Trace>, macros: Macros): Promise<ReadonlyArray<Refusal>> => {
  const said = await replay(macros, (directory) => writeFileSync(join(directory, "traces.txt"), fileOf(traces)))
  const reached = new Map<number, number>()
  for (const [, trace, cursor] of said.matchAll(/^at (\d+) (\d+)$/gm)) {
    reached.set(Number(trace), Math.max(reached.get(Number(trace)) ?? 0, Number(cursor)))
  }
  return traces.flatMap((trace, i) => {
    const allowed = reached.get(i)
    if (allowed === undefined) throw new Error(`the replay did not begin trace ${i}: ${said.slice(-1_000)}`)
    return allowed === trace.steps.length ? [] : [{ trace, allowed }]
  })
}

/** The actions before the refused one, and that one. */
export const account = ({ allowed, trace }: Refusal): string => {
  const from = Math.max(0, allowed - shown_before)
  const lines = trace.words.slice(from, allowed + 1).map((words, i) => `${String(from + i + 1).padStart(5)}  ${words}`)
  return `seed ${trace.seed}: the specification does not allow action ${allowed + 1}\n${lines.join("\n")}`
}

const shown_before = 30
