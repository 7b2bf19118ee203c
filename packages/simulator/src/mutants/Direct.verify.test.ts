/**
 * The simulator needs the rules of direct delivery, and of what others see of a client: without each of them some seed
 * fails, and the same seed holds with it.
 */
import { assert, describe, it } from "@effect/vitest"
import { production } from "../production/Production.ts"
import { run } from "../simulation/index.ts"
import { direct } from "./direct.ts"
import { firstFailure } from "./FirstFailure.ts"
import { optionsOf, type Patch } from "./Mutant.ts"

const max_seeds = 300

describe("the simulator finds what breaks without", () => {
  for (const patch of Object.values<Patch>(direct)) {
    it(`"${patch.rule}"`, { timeout: 300_000 }, async ({ annotate }) => {
      const found = await firstFailure(patch, optionsOf(patch), max_seeds)
      if (found === undefined) return assert.fail(`no check failed in ${max_seeds} seeds`)
      assert.isUndefined(run(production, found.options).violation, "the same seed holds with the rule")
      await annotate(`seed ${found.options.seed}: ${found.failure}`)
    })
  }
})
