import { assert, describe, it } from "@effect/vitest"
import { linkedPaths, withoutDeadLinks } from "./Links.ts"

const isThere = (path: string) => path === "errors.md" || path === "../README.md"

describe("the links of a page in a tarball", () => {
  it.each([
    [
      "see [errors.md](errors.md#codes) and the [README](../README.md)",
      "see [errors.md](errors.md#codes) and the [README](../README.md)",
    ],
    ["[Tasks.ts](../packages/domain/src/services/Tasks.ts) has it", "Tasks.ts has it"],
    ["[`a` and\n  b](x.md), [here](#below)", "`a` and\n  b, [here](#below)"],
    ["| ![One](images/one.png) | ![Two](images/two.png) |", "| One | Two |"],
    ["[Effect](https://effect.website)", "[Effect](https://effect.website)"],
    ["[a](x.md)\n```md\n[b](y.md)\n```\n[c](z.md)", "a\n```md\n[b](y.md)\n```\nc"],
  ])("of %j leave %j", (page, left) => {
    assert.strictEqual(withoutDeadLinks(page, isThere), left)
  })

  it("are those to other files", () => {
    const page = "[a](x.md#b) ![c](d.png) [e](#f) [g](https://h.org)\n```\n[i](j.md)\n```"
    assert.deepStrictEqual(linkedPaths(page), ["x.md", "d.png"])
  })
})
