import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import manifest from "../package.json" with { type: "json" }
import * as Libraries from "./Libraries.ts"

const sources = import.meta.dirname
const { effect: _, ...optional } = manifest.peerDependencies

/** The packages that a store's sources import, but for those that every store has. */
const importedBy = (store: string): ReadonlyArray<string> => {
  const files = globSync(`${store}/**/*.ts`, { cwd: sources, exclude: ["**/*.test.ts", "**/testing/**"] })
  const names = files.flatMap((file) =>
    [...readFileSync(join(sources, file), "utf8").matchAll(/ from "((?:@[^/"]+\/)?[^./"@][^/"]*)/g)].map(
      ([, name = ""]) => name,
    ),
  )
  return [...new Set(names)].filter((name) => !/^(node:.*|effect|@nimbus\/domain)$/.test(name))
}

const failing = (code: string, message: string) => () => Promise.reject(Object.assign(new Error(message), { code }))

describe("the client libraries", () => {
  it.each(Object.entries(Libraries.libraries))("of %s are what its sources import", (store, packages) => {
    assert.sameMembers([...importedBy(store)], [...packages])
  })

  it("are optional peer dependencies, and no others are", () => {
    const packages = new Set<string>(Object.values(Libraries.libraries).flat())
    assert.sameMembers(Object.keys(optional), [...packages])
    assert.sameMembers(Object.keys(manifest.peerDependenciesMeta), [...packages])
  })

  it.effect("that are missing are named, with the versions that are wanted", () =>
    Effect.gen(function* () {
      const module = failing("ERR_MODULE_NOT_FOUND", "Cannot find package 'ioredis' imported from /here")
      const error = yield* Effect.flip(Libraries.load(["redis"], module))
      const { ioredis, "@socket.io/redis-streams-adapter": adapter } = optional
      assert.strictEqual(error.code, "LIBRARY_MISSING")
      assert.include(error.message, `npm install ioredis@${ioredis} @socket.io/redis-streams-adapter@${adapter}`)
    }),
  )

  it.effect.each([
    { what: "another package", code: "ERR_MODULE_NOT_FOUND", message: "Cannot find package 'other' imported from /x" },
    { what: "a file of ours", code: "ERR_MODULE_NOT_FOUND", message: "Cannot find module '/x/redis/index.ts'" },
    { what: "what a library itself does", code: "ERR_OTHER", message: "no 'ioredis'" },
  ])("are not blamed for $what", ({ code, message }) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Libraries.load(["redis"], failing(code, message)))
      assert.include(String(exit), "Die")
    }),
  )
})
