/** The image, which the Dockerfile describes, without a container engine: its files, laid in a directory, and run. */
import { spawn, spawnSync } from "node:child_process"
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { eventually } from "../packages/domain/src/testing/Eventually.ts"
import { Effect } from "effect"
import * as Image from "./Image.ts"
import { certificate as certificateOf } from "./services/Tls.ts"
import { freePorts } from "./services/Tools.ts"

/** A user without rights: where the tests run as root, the image's user owns as little as `node` does there. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined

const position = (instruction: string, text: string): number =>
  Image.steps.findIndex(
    (step) => step.stage === Image.image && step.instruction === instruction && step.rest.includes(text),
  )

describe("the Dockerfile", () => {
  it("copies the manifest of every package that it takes along before it installs", () => {
    const packages = readdirSync(join(import.meta.dirname, "../packages"))
      .map((name) => `packages/${name}/`)
      .filter((directory) => Image.inContext(`${directory}package.json`))
    assert.include(packages, "packages/nimbus/")
    const copied = Image.steps.filter((step) => step.stage === "install" && step.instruction === "COPY")
    for (const directory of [...packages, "packages/gateway/page/"]) {
      assert.include(
        copied.map((step) => step.rest),
        `${directory}package.json ${directory}`,
      )
    }
  })

  it("begins with bases that are pinned by their digest, in the starter too", () => {
    const bases = Image.steps.flatMap(({ instruction, rest }) => (instruction === "FROM" ? [rest.split(" ")[0]!] : []))
    const stages = new Set(Image.steps.map(({ stage }) => stage))
    const own = bases.filter((base) => !stages.has(base))
    assert.lengthOf(own, 2)
    const [starter = ""] = readFileSync(join(import.meta.dirname, "../examples/starter/Dockerfile"), "utf8").split("\n")
    for (const base of [...own, starter.replace("FROM ", "")]) {
      assert.match(base, /^node:24\.\d+\.\d+-slim@sha256:[0-9a-f]{64}$/)
    }
  })

  it("gives the data directory to the user that it runs as, before it runs as that user", () => {
    const { NIMBUS_DATA = "unset" } = Image.environment
    const made = position("RUN", `install -d -o node -g node -m 700 ${NIMBUS_DATA}`)
    assert.isAtLeast(made, 0)
    assert.isAbove(position("VOLUME", NIMBUS_DATA), made)
    assert.isAbove(position("USER", "node"), made)
  })

  it.each([
    ["packages/domain/src/protocol/Ids.ts", true],
    ["package.json", true],
    [".env", false],
    ["packages/gateway/.env", false],
    ["packages/gateway/.env.local", false],
    ["packages/nimbus/data/data.mdb", false],
    ["packages/domain/src/protocol/Router.test.ts", false],
    ["docs/README.md", false],
    ["packages/simulator/src/simulation/World.ts", false],
  ])("takes %s along: %s", (path, taken) => {
    assert.strictEqual(Image.inContext(path), taken)
  })
})

describe("the image", () => {
  let directory: string

  /** An absolute path of the image. */
  const inside = (path: string) => join(directory, path)
  const data = Image.environment["NIMBUS_DATA"]

  /** Runs Node in the image as its user, who may write nothing but its data directory. */
  const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) => {
    const child = spawn(inside("node"), args, {
      cwd: inside("nimbus"),
      env: { PATH: process.env["PATH"], ...Image.environment, ...(data && { NIMBUS_DATA: inside(data) }), ...env },
      ...nobody,
    })
    const printed = { text: "" }
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (printed.text += text))
    }
    return { child, printed }
  }

  /** The exit code of the image's health check. */
  const healthOf = (port: number | string, env: Readonly<Record<string, string>> = {}) => {
    const [, ...args] = Image.listOf("HEALTHCHECK")
    return spawnSync(process.execPath, args, { env: { NIMBUS_HTTP_PORT: `${port}`, ...env } }).status
  }

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "nimbus-image-"))
    mkdirSync(inside("var/lib/nimbus"), { recursive: true })
    if (nobody !== undefined) chownSync(inside("var/lib/nimbus"), nobody.uid, nobody.gid)
    copyFileSync(process.execPath, inside("node"))
    await Image.build(Image.image, inside("nimbus"))
    chmodSync(inside("nimbus"), 0o555)
    chmodSync(directory, 0o755)
  })

  afterAll(() => {
    chmodSync(inside("nimbus"), 0o755)
    rmSync(directory, { recursive: true, force: true })
  })

  it.live("serves all addresses by its default command, as a user who may write the data directory alone", () =>
    Effect.gen(function* () {
      const [port = 0] = yield* Effect.promise(() => freePorts(1))
      assert.strictEqual(healthOf(port), 1)
      const env = { NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: "0", NIMBUS_INSECURE: "true" }
      const { child, printed } = yield* Effect.acquireRelease(
        Effect.sync(() => start(Image.listOf("CMD").slice(1), env)),
        ({ child }) => Effect.sync(() => child.kill("SIGKILL")),
      )
      yield* eventually(
        "it serves, or ends",
        Effect.sync(() => printed.text.includes("Nimbus is running") || child.exitCode !== null),
        60_000,
      )
      assert.include(printed.text, `ws://0.0.0.0:${port}/`)
      assert.strictEqual(healthOf(port), 0)
      assert.isNotEmpty(readdirSync(inside("var/lib/nimbus")))
      const page = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/readyz`))
      assert.strictEqual(page.status, 200)
    }),
  )

  it.live("is asked for its health by TLS where it speaks that alone", () =>
    Effect.gen(function* () {
      const { certificate, directory, key } = yield* certificateOf
      chmodSync(directory, 0o755)
      for (const [from, name] of [
        [certificate, "tls.crt"],
        [key, "tls.key"],
      ] as const) {
        copyFileSync(from, join(directory, name))
        chmodSync(join(directory, name), 0o644)
      }
      const [port = 0] = yield* Effect.promise(() => freePorts(1))
      const tls = { NIMBUS_TLS: directory }
      const env = { NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: "0", NIMBUS_INSECURE: "true", ...tls }
      const { child, printed } = yield* Effect.acquireRelease(
        Effect.sync(() => start(Image.listOf("CMD").slice(1), env)),
        ({ child }) => Effect.sync(() => child.kill("SIGKILL")),
      )
      yield* eventually(
        "it serves, or ends",
        Effect.sync(() => printed.text.includes("Nimbus is running") || child.exitCode !== null),
        60_000,
      )
      assert.strictEqual(healthOf(port, tls), 0, printed.text)
      assert.strictEqual(healthOf(port), 1)
    }),
  )

  it.live("does not serve without locks unless it is told to, and writes nothing then", () =>
    Effect.gen(function* () {
      const before = readdirSync(inside("var/lib/nimbus"))
      const { child, printed } = start(Image.listOf("CMD").slice(1), { NIMBUS_HTTP_PORT: "1", NIMBUS_PORT: "0" })
      yield* eventually(
        "it ends",
        Effect.sync(() => child.exitCode !== null),
        60_000,
      )
      assert.strictEqual(child.exitCode, 1)
      assert.match(printed.text, /^nimbus: NIMBUS_HOST=0\.0\.0\.0 [^\n]* \(NO_LOCKS, see docs\/errors\.md\)\n$/)
      assert.deepStrictEqual(readdirSync(inside("var/lib/nimbus")), before)
    }),
  )

  it.live.each(["gateway", "pipeline"])("has all that a %s imports, which waits for its services there", (name) =>
    Effect.gen(function* () {
      const [port = 0, nowhere = 0] = yield* Effect.promise(() => freePorts(2))
      const { child, printed } = yield* Effect.acquireRelease(
        Effect.sync(() =>
          start([`packages/nimbus/src/cluster/${name}.ts`], {
            NIMBUS_HTTP_PORT: `${port}`,
            NIMBUS_PIPELINE_HTTP_PORT: `${port}`,
            NIMBUS_PORT: "0",
            ...(name === "gateway" && { NIMBUS_INSECURE: "true" }),
            NIMBUS_REDIS_ADDRESS: `127.0.0.1:${nowhere}`,
          }),
        ),
        ({ child }) => Effect.sync(() => child.kill("SIGKILL")),
      )
      yield* eventually(
        "it waits, or ends",
        Effect.sync(() => printed.text.includes("waiting for Redis") || child.exitCode !== null),
        60_000,
      )
      assert.include(printed.text, "waiting for Redis")
      assert.strictEqual(healthOf(port), 0)
    }),
  )
})
