/** A thread that runs seeds for `Range.ts`: asked with the next options, it answers with what came of them. */
import { parentPort } from "node:worker_threads"
import { run, type RunOptions } from "../simulation/index.ts"
import { production } from "../production/Production.ts"

export interface Answer {
  readonly options: RunOptions
  /** `undefined`: everything held. */
  readonly failure: string | undefined
  readonly counts: ReadonlyMap<string, number>
  readonly settled_ms: number
  readonly lasted_ms: number
}

parentPort?.on("message", (options: RunOptions) => {
  const { counts, lasted_ms, settled_ms, violation } = run(production, options)
  const answer: Answer = { options, failure: violation?.message, counts, settled_ms, lasted_ms }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- threads have no origin
  parentPort?.postMessage(answer)
})
