import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { boundsPage, commentOf, page, worded } from "./boundsPage.ts"

describe("docs/bounds.md", () => {
  it("is what npm run docs writes", async () => {
    assert.strictEqual(readFileSync(page, "utf8"), await boundsPage(), "run npm run docs")
  })

  it("words a number in the largest unit that leaves it whole", () => {
    assert.strictEqual(worded("frame_bytes", 256 * 1024), "256 KiB")
    assert.strictEqual(worded("merge_bytes", 1025), "1025 B")
    assert.strictEqual(worded("idle_ms", 90_000), "90 s")
    assert.strictEqual(worded("age_ms", 7 * 86_400_000), "7 d")
    assert.strictEqual(worded("routes", 200_000), "200,000")
    assert.strictEqual(worded("attempts", Number.POSITIVE_INFINITY), "none")
  })

  it("describes a bound by the comment above it, or above the one before it", () => {
    const source = `
/** The file. */
export interface OtherLimits {
  /** Of the others. */
  readonly bytes: number
}
export interface OwnLimits {
  /**
   * Results at once.
   * Beyond: wait.
   */
  readonly results: number
  readonly bytes: number
}`
    assert.strictEqual(commentOf(source, "ownLimits", "results"), "Results at once. Beyond: wait.")
    assert.strictEqual(commentOf(source, "ownLimits", "bytes"), "Results at once. Beyond: wait.")
    assert.strictEqual(commentOf(source, "otherLimits", "bytes"), "Of the others.")
    assert.strictEqual(commentOf(source, "otherLimits", "results"), "Results at once. Beyond: wait.")
    assert.throws(() => commentOf(source.replaceAll("/**", "/*"), "ownLimits", "bytes"), /bytes is not described/)
  })
})
