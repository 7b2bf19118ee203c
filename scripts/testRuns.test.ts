/** `npm test` and `npm run verify` have every test file between them, each once. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { createVitest } from "vitest/node"

const root = join(import.meta.dirname, "..")
/** The starter's test is not for vitest: packages/nimbus/src/create/Starter.test.ts runs it. */
const isOwn = (path: string) => !/(^|\/)(node_modules|dist)(\/|$)|^examples\/starter\//.test(path)

const Manifest = Schema.Struct({ scripts: Schema.Record(Schema.String, Schema.String) })
const { scripts } = Schema.decodeUnknownSync(Schema.fromJsonString(Manifest))(
  readFileSync(join(root, "package.json"), "utf8"),
)

/** The projects that a script of package.json asks vitest for. */
const projectsOf = (script: string): string => {
  const [, projects] =
    /vitest run --config vitest\.workspace\.ts --project '([^']+)'$/.exec(scripts[script] ?? "") ?? []
  if (projects === undefined) throw new Error(`npm run ${script} does not run vitest`)
  return projects
}

const filesOf = async (script: string): Promise<ReadonlyArray<string>> => {
  const config = join(root, "vitest.workspace.ts")
  const vitest = await createVitest("test", { root, config, project: [projectsOf(script)], watch: false })
  try {
    return (await vitest.globTestSpecifications()).map(({ moduleId }) => moduleId.slice(root.length + 1)).sort()
  } finally {
    await vitest.close()
  }
}

describe("npm test and npm run verify", () => {
  it("run every test file, each once, and what is long is verified", async () => {
    const all = globSync("**/*.test.ts", { cwd: root, exclude: (path) => !isOwn(path) })
    const isLong = (path: string) => path.endsWith(".verify.test.ts")
    assert.isNotEmpty(all.filter(isLong))
    assert.deepStrictEqual(await filesOf("verify"), all.filter(isLong).sort())
    assert.deepStrictEqual(await filesOf("test"), all.filter((path) => !isLong(path)).sort())
  })
})
