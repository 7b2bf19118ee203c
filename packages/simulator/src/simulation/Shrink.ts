/** The fewest faults with which a run still breaks the same rule. */
import { type Outcome, run, type RunOptions } from "./Run.ts"
import type { Production } from "./Production.ts"

/** Other delays tried for each part of a plan: without a fault all that follows it is another run. */
const salts = 4

export interface Shrunk {
  readonly options: RunOptions
  /** With its trace. */
  readonly outcome: Outcome
}

/** Leaves out faults, halves of them first, then events, for as long as the rule is broken. */
export const shrink = (production: Production, options: RunOptions, failed: Outcome): Shrunk => {
  const rule = failed.violation?.rule
  const breaks = (candidate: RunOptions): RunOptions | undefined => {
    for (let salt = 0; salt < salts; salt++) {
      const salted = { ...candidate, salt: (options.salt ?? 0) + salt }
      if (run(production, salted).violation?.rule === rule) return salted
    }
    return undefined
  }
  let best: RunOptions = { ...options, only: options.only ?? failed.faults.map((_, i) => i) }
  for (let size = Math.max(1, (best.only?.length ?? 0) >> 1); size > 0; size >>= 1) {
    for (let at = 0; at < (best.only?.length ?? 0);) {
      const fewer = breaks({ ...best, only: best.only?.toSpliced(at, size) })
      if (fewer === undefined) at += size
      else best = fewer
    }
  }
  for (let events = best.events >> 1; events > 0; events >>= 1) {
    const fewer = breaks({ ...best, events })
    if (fewer === undefined) break
    best = fewer
  }
  return { options: best, outcome: run(production, best, true) }
}
