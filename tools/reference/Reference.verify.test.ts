import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { entrances, read, undocumentedIn } from "./Reference.ts"

const fixture = { name: "fixture", path: join(import.meta.dirname, "fixture.ts") }

describe("the reference", () => {
  it("finds a docstring for every public name, and misses one where there is none", async () => {
    const [, project] = await read([...entrances, fixture])
    const missing = entrances.flatMap(({ name: entrance }) =>
      undocumentedIn(project, entrance).map((name) => `${entrance}: ${name}`),
    )
    assert.deepStrictEqual(missing, [])
    assert.deepStrictEqual(undocumentedIn(project, "fixture"), ["untold", "Bare"])
  })
})
