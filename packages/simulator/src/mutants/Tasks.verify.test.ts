/**
 * The rules of tasks are needed: without each some seed fails, and the same seed holds with it.
 */
import { assert, describe, it } from "@effect/vitest"
import { production } from "../production/Production.ts"
import { run } from "../simulation/index.ts"
import { firstFailure } from "./FirstFailure.ts"
import { optionsOf, type Patch } from "./Mutant.ts"
import { tasks } from "./tasks.ts"

const max_seeds = 300

describe("the simulator finds what breaks without", () => {
  for (const patch of Object.values<Patch>(tasks)) {
    it(`"${patch.rule}"`, { timeout: 300_000 }, async ({ annotate }) => {
      const found = await firstFailure(patch, optionsOf(patch), max_seeds)
      if (found === undefined) return assert.fail(`${max_seeds} seeds did not miss it`)
      assert.isUndefined(run(production, found.options).violation, "the same seed holds with the rule")
      await annotate(`seed ${found.options.seed}: ${found.failure}`)
    })
  }
})
