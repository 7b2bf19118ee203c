/**
 * Every rule is needed, and the property of `Delivery.property.verify.test.ts` sees that: with any one rule taken out, some
 * world fails within a bounded number of seeds, and the same world holds with the rule.
 */
import { assert, describe, it } from "@effect/vitest"
import { load, type Patch, type WorldModule } from "../mutants/Mutant.ts"
import { ruleNames, rules } from "../mutants/rules.ts"
import * as World from "./index.ts"

const steps = 400
const max_seeds = 1_500

/** The first failure of the mutant, and how many seeds it took. */
const firstFailure = (mutant: WorldModule, withTraffic = false) => {
  for (let seed = 0; seed < max_seeds; seed++) {
    for (const withLosses of withTraffic ? [false] : [false, true]) {
      const options = World.ofSeed(seed, steps, withLosses, withTraffic)
      const failure = mutant.run(options)
      if (failure !== undefined) return { options, failure, seeds: seed + 1 }
    }
  }
  return undefined
}

describe("a failure", () => {
  it("is told by the few steps that matter", async () => {
    const mutant = await load(rules.heldPushesCheckPrev)
    const found = firstFailure(mutant)
    if (found === undefined) return assert.fail("nothing failed")
    const { failure, options } = found
    const shrunk = mutant.run(mutant.shrink(options, failure))
    assert.isBelow(shrunk?.trace.length ?? Infinity, failure.trace.length / 2)
    assert.strictEqual(shrunk?.violation.rule, failure.violation.rule)
    assert.include(mutant.explain(options, failure), shrunk?.trace.at(-1) ?? "a trace")
  })
})

describe("without the rule", () => {
  for (const name of ruleNames) {
    const patch: Patch = rules[name]
    if (patch.world === "by script") continue
    it(`"${patch.rule}" a world fails`, { timeout: 180_000 }, async ({ annotate }) => {
      const found = firstFailure(await load(patch), patch.world === "under traffic")
      if (found === undefined) return assert.fail(`${max_seeds} seeds did not miss it`)
      assert.strictEqual(World.run(found.options), undefined, "the same world fails with the rule in place")
      await annotate(`took ${found.seeds} seeds: ${found.failure.violation.message}`)
    })
  }
})
