/**
 * The simulator finds bugs in the shells: with each of them some seed fails, and the same seed holds without the bug. The
 * faults that are left after shrinking still make it fail.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Production, run, type RunOptions, shrink } from "../simulation/index.ts"
import { loadPackage } from "./Mutant.ts"
import { type ShellPatch, shells } from "./shells.ts"
import { type Code, code, production, productionOf } from "../production/Production.ts"

const max_seeds = 1_000
const optionsOf = (seed: number, { faults }: ShellPatch): RunOptions => ({ seed, clients: 5, events: 60, faults })

const load = async (patch: ShellPatch): Promise<Production> => {
  switch (patch.package) {
    case "pipeline":
      return productionOf({ ...code, pipeline: await loadPackage<Code["pipeline"]>(patch) })
    case "gateway":
      return productionOf({ ...code, gateway: await loadPackage<Code["gateway"]>(patch) })
    case "client":
      return productionOf({ ...code, client: await loadPackage<Code["client"]>(patch) })
  }
}

const firstFailure = (mutant: Production, patch: ShellPatch) => {
  for (let seed = 1; seed <= max_seeds; seed++) {
    const options = optionsOf(seed, patch)
    const outcome = run(mutant, options)
    if (outcome.violation !== undefined) return { options, outcome }
  }
  return undefined
}

describe("the simulator finds the bug where not", () => {
  for (const patch of Object.values(shells)) {
    it(`"${patch.rule}"`, { timeout: 300_000 }, async ({ annotate }) => {
      const mutant = await load(patch)
      const found = firstFailure(mutant, patch)
      if (found === undefined) return assert.fail(`no check failed in ${max_seeds} seeds`)
      const { options, outcome } = found
      assert.isUndefined(run(production, options).violation, "the same seed holds without the bug")
      const shrunk = shrink(mutant, options, outcome)
      assert.strictEqual(shrunk.outcome.violation?.rule, outcome.violation?.rule)
      assert.isAtMost(shrunk.outcome.faults.length, outcome.faults.length)
      const faults = shrunk.outcome.faults.map(({ name }) => name).join(", ")
      await annotate(`seed ${options.seed}, by ${faults || "no fault"}: ${shrunk.outcome.violation?.message}`)
    })
  }
})
