/**
 * Counts what vitest's JSON reports say, for the last line of `.ci/run`: `12 passed, 0 failed`.
 *
 * A test file that could not even be collected has no tests to count, so it counts as one failure itself.
 */
import { readFileSync } from "node:fs"
import { Schema } from "effect"

const Report = Schema.Struct({
  success: Schema.Boolean,
  testResults: Schema.Array(
    Schema.Struct({
      status: Schema.String,
      assertionResults: Schema.Array(Schema.Struct({ status: Schema.String })),
    }),
  ),
})

const decodeReport = Schema.decodeUnknownSync(Schema.fromJsonString(Report))

export interface Count {
  readonly passed: number
  readonly failed: number
  /** Nothing failed, inside or outside of tests, and at least one test ran. */
  readonly ok: boolean
}

/** Reads a report. Throws on text that is no report: then there is nothing to count. */
export const countTests = (report: string): Count => {
  const { success, testResults } = decodeReport(report)
  let passed = 0
  let failed = 0
  for (const file of testResults) {
    const failedHere = file.assertionResults.filter((test) => test.status === "failed").length
    passed += file.assertionResults.filter((test) => test.status === "passed").length
    failed += failedHere === 0 && file.status === "failed" ? 1 : failedHere
  }
  return { passed, failed, ok: success && failed === 0 && passed > 0 }
}

export const summary = ({ failed, passed }: Count): string => `${passed} passed, ${failed} failed`

/** What several runs came to together. All of them must be well, and there must be one. */
export const total = (counts: ReadonlyArray<Count>): Count => ({
  passed: counts.reduce((sum, { passed }) => sum + passed, 0),
  failed: counts.reduce((sum, { failed }) => sum + failed, 0),
  ok: counts.length > 0 && counts.every(({ ok }) => ok),
})

if (import.meta.main) {
  const count = total(process.argv.slice(2).map((path) => countTests(readFileSync(path, "utf8"))))
  console.log(summary(count))
  process.exitCode = count.ok ? 0 : 1
}
