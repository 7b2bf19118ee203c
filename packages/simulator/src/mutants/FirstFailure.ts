/** Finds the first seed that fails with a rule removed from any source file. */
import { pathToFileURL } from "node:url"
import { join } from "node:path"
import type { RunOptions } from "../simulation/index.ts"
import type { Patched } from "./Hook.ts"
import type { Patch } from "./Mutant.ts"
import { runRange, seeds } from "../command/Range.ts"
import type { Answer } from "../command/Worker.ts"

const packages = join(import.meta.dirname, "..", "..", "..")
const hook = pathToFileURL(join(import.meta.dirname, "Hook.ts")).href

/** Returns `undefined` if none of `max_seeds` seeds fails. */
export const firstFailure = async (
  { file, find, package: name, replace }: Patch,
  options: Omit<RunOptions, "seed">,
  max_seeds: number,
): Promise<Answer | undefined> => {
  const patched: Patched = { url: pathToFileURL(join(packages, name, "src", file)).href, find, replace }
  let failed: Answer | undefined = undefined
  await runRange({
    runs: seeds(1, max_seeds, options),
    // With one thread, the first seed to fail is the lowest.
    threads: 1,
    worker: { execArgv: [...process.execArgv, "--import", hook], workerData: patched },
    onAnswer: (answer) => {
      if (answer.failure === undefined) return true
      failed = answer
      return false
    },
  })
  return failed
}
