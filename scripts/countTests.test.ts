import { assert, describe, it } from "@effect/vitest"
import { countTests, summary, total } from "./countTests.ts"

const report = (success: boolean, files: ReadonlyArray<{ status: string; tests: ReadonlyArray<string> }>): string =>
  JSON.stringify({
    success,
    testResults: files.map(({ status, tests }) => ({ status, assertionResults: tests.map((s) => ({ status: s })) })),
  })

describe("countTests", () => {
  it("adds up the files of a good run, and leaves skipped tests out", () => {
    const count = countTests(
      report(true, [
        { status: "passed", tests: ["passed", "passed", "skipped"] },
        { status: "passed", tests: ["passed", "todo"] },
      ]),
    )
    assert.strictEqual(summary(count), "3 passed, 0 failed")
    assert.isTrue(count.ok)
  })

  it("is not ok with a failed test", () => {
    const count = countTests(report(false, [{ status: "failed", tests: ["passed", "failed", "failed"] }]))
    assert.strictEqual(summary(count), "1 passed, 2 failed")
    assert.isFalse(count.ok)
  })

  it("counts a file that could not be collected as one failure", () => {
    const count = countTests(
      report(false, [
        { status: "passed", tests: ["passed"] },
        { status: "failed", tests: [] },
      ]),
    )
    assert.strictEqual(summary(count), "1 passed, 1 failed")
    assert.isFalse(count.ok)
  })

  it("is not ok when no test ran", () => {
    assert.isFalse(countTests(report(true, [])).ok)
    assert.isFalse(countTests(report(true, [{ status: "passed", tests: ["skipped"] }])).ok)
  })

  it("is not ok when something failed outside of the tests", () => {
    const count = countTests(report(false, [{ status: "passed", tests: ["passed"] }]))
    assert.strictEqual(summary(count), "1 passed, 0 failed")
    assert.isFalse(count.ok)
  })

  it("throws on text that is no report", () => {
    assert.throws(() => countTests("{}"))
    assert.throws(() => countTests("not json"))
  })

  it("adds up several runs, and all of them must be ok", () => {
    const good = countTests(report(true, [{ status: "passed", tests: ["passed", "passed"] }]))
    const bad = countTests(report(false, [{ status: "failed", tests: ["passed", "failed"] }]))
    assert.deepStrictEqual(total([good, good]), { passed: 4, failed: 0, ok: true })
    assert.deepStrictEqual(total([good, bad]), { passed: 3, failed: 1, ok: false })
    assert.isFalse(total([good, countTests(report(true, []))]).ok, "a run without a test")
    assert.isFalse(total([]).ok, "no run")
  })
})
