/** A command loads what it needs: it is done before a gateway or the client of a store would be imported. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { freePort, nimbus, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

const recorder = new URL("testing/recordLoaded.ts", import.meta.url).href

/** The files that a command loads, after it has ended well. */
const loadedBy = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const cwd = yield* temporaryDirectory
  const LOADED = join(cwd, "loaded")
  const command = yield* nimbus(args, { cwd, env: { LOADED, NODE_OPTIONS: `--import=${recorder}` } })
  assert.strictEqual((yield* command.ended).code, 0, command.stderr())
  return readFileSync(LOADED, "utf8").split("\n")
})

/** What is ours, and the packages beside it. */
const partsOf = (urls: ReadonlyArray<string>) => ({
  ours: urls.filter((url) => url.includes("/packages/")),
  others: new Set(
    urls.flatMap((url) => /\/node_modules\/((@[^/]+\/)?[^/.@][^/]*)\/(?!node_modules)/.exec(url)?.[1] ?? []),
  ),
})

/** More of our own files than this is a package too much: each costs about 3 ms. The commands know all that a gateway is asked. */
const few_files = 64

const assertLight = (urls: ReadonlyArray<string>): void => {
  const { others, ours } = partsOf(urls)
  assert.deepStrictEqual(
    [...others].filter((name) => !/^(effect|@effect\/platform-node(-shared)?)$/.test(name)),
    [],
  )
  assert.isBelow(ours.length, few_files, ours.join("\n"))
}

describe("the nimbus command", () => {
  it.live("loads no more than its flags to help", () => Effect.map(loadedBy("--help"), assertLight))

  it.live("loads no gateway and no store to ask a server", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const cwd = yield* temporaryDirectory
      yield* startServer({ cwd, env: { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}` } })
      assertLight(yield* loadedBy("status", `--url=http://127.0.0.1:${port}`))
    }),
  )
})
