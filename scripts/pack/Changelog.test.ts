import { assert, describe, it } from "@effect/vitest"
import { withPending } from "./Changelog.ts"

const released = "# @nimbus/one\n\n## 1.0.0\n\n- It is there.\n"
const one = { name: "@nimbus/one", version: "1.1.0" }

describe("the changelog in a tarball", () => {
  it("begins with what its changesets say, and has nothing of those of other packages", () => {
    const changesets = [
      `---\n"@nimbus/one": minor\n"@nimbus/two": patch\n---\n\nIt can do more.\nMuch more.\n`,
      `---\n"@nimbus/one-more": minor\n---\n\nAnother one.\n`,
    ]
    const pending = "## 1.1.0, not released yet\n\n- It can do more.\n  Much more.\n"
    assert.strictEqual(
      withPending(released, one, changesets),
      `# @nimbus/one\n\n${pending}\n## 1.0.0\n\n- It is there.\n`,
    )
  })

  it("is as it was where there are none, as after a release", () => {
    assert.strictEqual(withPending(released, one, []), released)
  })
})
