/** The command as CI runs it: the same seed is the same run anywhere, and 1,000 seeds hold. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { run } from "../simulation/index.ts"
import { production } from "../production/Production.ts"

const main = join(import.meta.dirname, "main.ts")

const simulate = (...flags: ReadonlyArray<string>) =>
  promisify(execFile)(process.execPath, [main, ...flags], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 })

/** An idle machine of two processors takes a minute; among all other tests it takes longer. */
const timeout = 480_000

describe("npm run simulate", () => {
  it("gives the same trace for the same seed, byte for byte, in another process", { timeout }, async () => {
    const flags = ["--seed", "8", "--trace"]
    const [one, other] = [await simulate(...flags), await simulate(...flags)]
    assert.include(one.stdout, "no more faults")
    assert.isAbove(one.stdout.length, 20_000)
    assert.strictEqual(one.stdout, other.stdout)
  })

  it("gives the same trace whatever ran before in the same process", { timeout }, () => {
    const options = { seed: 8, clients: 5, events: 60, salt: 0 }
    const [first, second] = [run(production, options, true), run(production, options, true)]
    assert.isAbove(first.trace.length, 200)
    assert.deepStrictEqual(second.trace, first.trace)
  })

  it(
    "holds for 1,000 seeds, in which every fault and every rule of the protocol comes about",
    { timeout },
    async () => {
      const { stdout } = await simulate("--seeds", "1000", "--clients", "5", "--events", "60", "--threads", "2")
      assert.match(stdout, /1000 seeds from 1 .* 0 failed/)
      assert.notInclude(stdout, "NEVER")
    },
  )

  it("names the faults there are when it is asked for another", async () => {
    const { code, stderr } = await simulate("--faults", "log-away,nonsense").then(
      () => assert.fail("it took nonsense"),
      (error: { readonly code: number; readonly stderr: string }) => error,
    )
    assert.strictEqual(code, 2)
    assert.match(stderr, /nonsense; there are:\nevent-consumers-crash\n/)
  })
})
