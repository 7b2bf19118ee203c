/**
 * Shows that `@nimbus/domain` is of use outside of this workspace: its tarball, installed into an empty project,
 * type-checks there (its own declarations included) and runs on Node as plain ESM.
 */
import { execFile } from "node:child_process"
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { partitionOf } from "../packages/domain/src/Partitioner.ts"
import manifest from "../package.json" with { type: "json" }

const root = join(import.meta.dirname, "..")

const program = `
import { ClientId, Frames, partitionOf, Status } from "@nimbus/domain"
import { Effect, Result } from "effect"

const clientId: ClientId = ClientId.make("c1")
const frame = Frames.parseClientFrame('{"type":"ack","seq":7}')
const status: Result.Result<Status.Status | undefined, unknown> = Status.transition(undefined, {
  _tag: "Connect",
  pod: Status.Offline.fields.pod.make("p1"),
  atLeast: Status.Offline.fields.epoch.make(5),
})

Effect.runSync(
  Effect.sync(() =>
    console.log(
      JSON.stringify({
        partition: partitionOf(clientId, 8),
        frame: Result.getOrThrow(frame),
        status: Result.getOrThrow(status),
      }),
    ),
  ),
)
`

const tsconfig = {
  compilerOptions: {
    target: "es2024",
    lib: ["es2024", "esnext.disposable", "esnext.iterator", "dom"],
    types: [],
    module: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    outDir: "dist",
  },
  files: ["main.ts"],
}

/** Runs a command to its end, at most two minutes; answers what it printed, or fails with it. */
const run = (cwd: string, command: string, ...args: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(command, args, { cwd, timeout: 120_000, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      reject(
        new Error(`${command} ${args.join(" ")}: ${error.message}\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`),
      )
    })
  })

const pnpm = (...args: ReadonlyArray<string>): Promise<string> =>
  run(root, "npm", "run", "--silent", "pnpm", "--", ...args)

describe("the tarball of @nimbus/domain", () => {
  let project: string

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), "nimbus-tarball-"))
    await pnpm("--dir", join(root, "packages/domain"), "pack", "--pack-destination", project)
    const tarball = (await readdir(project)).find((name) => name.endsWith(".tgz"))
    const dependencies = { "@nimbus/domain": `file:./${tarball}`, effect: manifest.dependencies.effect }
    await writeFile(join(project, "package.json"), JSON.stringify({ private: true, type: "module", dependencies }))
    await writeFile(join(project, "tsconfig.json"), JSON.stringify(tsconfig))
    await writeFile(join(project, "main.ts"), program)
    await pnpm("--dir", project, "install", "--prefer-offline")
  }, 300_000)

  afterAll(() => rm(project, { recursive: true, force: true }))

  const typeCheck = (config: string): Promise<string> =>
    run(project, process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-p", config)

  it("holds compiled modules and their types, no sources and no tests", async () => {
    const files = await readdir(join(project, "node_modules/@nimbus/domain"), { recursive: true })
    assert.include(files, "dist/index.js")
    assert.include(files, "dist/index.d.ts")
    assert.include(files, "dist/testing/index.js")
    assert.include(files, "LICENSE")
    const strays = files.filter((file) => file.includes(".test.") || (file.endsWith(".ts") && !file.endsWith(".d.ts")))
    assert.deepStrictEqual(strays, [])
  })

  it("type-checks in an empty project, and what was compiled there runs", async () => {
    await typeCheck("tsconfig.json")
    const printed = await run(project, process.execPath, "dist/main.js")
    assert.deepStrictEqual(JSON.parse(printed), {
      partition: partitionOf("c1", 8),
      frame: { type: "ack", seq: 7 },
      status: { _tag: "REPLAYING", epoch: 5, pod: "p1" },
    })
  }, 180_000)

  it("does not type-check a program that uses it wrongly", async () => {
    await writeFile(join(project, "wrong.ts"), program.replace(`ClientId.make("c1")`, `"c1"`))
    await writeFile(join(project, "wrong.json"), JSON.stringify({ ...tsconfig, files: ["wrong.ts"] }))
    await typeCheck("wrong.json").then(
      () => assert.fail("a string is no ClientId"),
      (error: Error) => assert.include(error.message, "wrong.ts"),
    )
  }, 180_000)
})
