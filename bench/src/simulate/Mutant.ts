/** Which seed is the first that fails where a rule is taken out of the code, wherever it stands. */
import { pathToFileURL } from "node:url"
import { join } from "node:path"
import type { Patch, Patched } from "@nimbus/domain/mutation"
import type { RunOptions } from "@nimbus/domain/testing/simulation"
import { runRange, seeds } from "./Range.ts"
import type { Answer } from "./Worker.ts"

const packages = join(import.meta.dirname, "..", "..", "..", "packages")
const hook = pathToFileURL(join(packages, "domain", "mutation", "Hook.ts")).href

/** `undefined`: none of so many seeds. */
export const firstFailure = async (
  of: string,
  { file, find, replace }: Patch,
  options: Omit<RunOptions, "seed">,
  max_seeds: number,
): Promise<Answer | undefined> => {
  const patched: Patched = { url: pathToFileURL(join(packages, of, "src", file)).href, find, replace }
  let failed: Answer | undefined = undefined
  await runRange({
    runs: seeds(1, max_seeds, options),
    // One, so that the first to fail is the lowest.
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
