import { readFileSync } from "node:fs"
import { basename } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Status from "../packages/domain/src/protocol/Status.ts"
import { drawing, places, redrawn } from "./statusDrawing.ts"

describe("the drawing of the statuses", () => {
  it.each(places.map(([path, indent]) => [basename(path), path, indent] as const))(
    "in %s is of the arrows that the machine moves along",
    (_, path, indent) => {
      const text = readFileSync(path, "utf8")
      assert.strictEqual(text, redrawn(text, indent), "run npm run docs")
    },
  )

  it("has a lane for each step", () => {
    for (const step of Object.keys(Status.arrows))
      assert.lengthOf(
        drawing.filter((line) => line.endsWith(step)),
        1,
        step,
      )
  })

  it("is not there where it was taken out", () => {
    assert.throws(() => redrawn("## Status\n", ""), /no drawing/)
  })
})
