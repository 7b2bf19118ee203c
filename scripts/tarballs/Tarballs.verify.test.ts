/**
 * Shows that what `npm run pack` writes is of use outside of this workspace: installed by npm into empty projects, it
 * type-checks, runs and bundles there. Three projects, each installed once,
 *
 * | project | installed | shown |
 * | --- | --- | --- |
 * | sdk | domain, client | types without Node's, Node 20, 22 and 24, `require`, Vite, esbuild |
 * | server | everything | the command, on the oldest Node that it runs on and before that |
 * | cluster | the same, and what the processes of a cluster ask for | the types of every import, a gateway that starts |
 *
 * and a fourth, the starter, as `nimbus create` makes it.
 */
import { spawn } from "node:child_process"
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as esbuild from "esbuild"
import * as vite from "vite"
import { isWanted, nodeIn } from "../clients/Clients.ts"
import { linkedPaths } from "../pack/Links.ts"
import { freePorts, until } from "../services/Tools.ts"
import {
  compile,
  environment,
  examplesOf,
  importsOf,
  makeProject,
  type Project,
  root,
  run,
  resolutionNames,
  writeExamples,
} from "./Project.ts"

const tarballs = join(root, "dist/tarballs")
const paths = (...names: ReadonlyArray<string>): ReadonlyArray<string> =>
  readdirSync(tarballs)
    .filter((file) => names.length === 0 || names.some((name) => file.startsWith(`nimbus-${name}-`)))
    .map((file) => join(tarballs, file))

const packages = ["domain", "client", "adapters", "gateway", "pipeline", "nimbus"]

/** Nobody's runtime dependencies, with the beginnings of their names. */
const unwanted =
  /^(kafkajs|ioredis|lz4-napi|snappy|@node-rs|@aws-sdk|@socket\.io\/redis|vitest|@effect\/vitest|playwright)/

let sdk: Project
let server: Project

beforeAll(async () => {
  await run({ cwd: root }, process.execPath, join(root, "scripts/pack/main.ts"))
  sdk = makeProject()
  server = makeProject()
  await Promise.all([sdk.install(...paths("domain", "client"), "ws@8"), server.install(...paths())])
  // Effect's package for Node asks for it beside itself. Nimbus does not load it, so all of this works without.
  for (const name of ["redis", "@redis"]) {
    rmSync(join(server.directory, "node_modules", name), { recursive: true, force: true })
  }
}, 300_000)

afterAll(() => {
  sdk.remove()
  server.remove()
})

const nodes: ReadonlyArray<readonly [string, string]> = [
  ["20", isWanted("node20") ? nodeIn("node20") : ""],
  ["22", isWanted("node22") ? nodeIn("node22") : ""],
  ["24", process.execPath],
]
const installedNodes = nodes.filter(([, node]) => node !== "")

/** Runs a module in a project. */
const evaluate = (project: Project, node: string, code: string, kind = "module"): Promise<string> =>
  run({ cwd: project.directory, node }, node, `--input-type=${kind}`, "--eval", code)

describe("each tarball", () => {
  it.each(packages)(
    "of packages/%s has a README with an example, a licence, a changelog, and no sources or tests",
    (folder) => {
      const { name } = JSON.parse(readFileSync(join(root, "packages", folder, "package.json"), "utf8"))
      const files = readdirSync(join(server.directory, "node_modules", name), { recursive: true, encoding: "utf8" })
      assert.includeMembers(files, ["README.md", "LICENSE", "CHANGELOG.md"])
      assert.isNotEmpty(examplesOf(folder))
      // Its messages name it.
      if (folder === "nimbus") assert.includeMembers(files, ["docs/errors.md", "starter/.env", "starter/gitignore"])
      const strays = files.filter((file) => /\.test\.|(?<!\.d)\.ts$|^src\//.test(file) && !file.startsWith("starter/"))
      assert.deepStrictEqual(strays, [])
      if (folder !== "domain")
        assert.deepStrictEqual(
          files.filter((file) => file.includes("testing")),
          [],
        )
    },
  )

  it.each(packages)("of packages/%s has no page that points to what it does not have", (folder) => {
    const { name } = JSON.parse(readFileSync(join(root, "packages", folder, "package.json"), "utf8"))
    const directory = join(server.directory, "node_modules", name)
    const pages = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".md"))
    const dead = pages.flatMap((page) =>
      linkedPaths(readFileSync(join(directory, page), "utf8"))
        .filter((path) => !existsSync(join(directory, dirname(page), path)))
        .map((path) => `${page}: ${path}`),
    )
    assert.deepStrictEqual(dead, [])
    if (folder === "nimbus") assert.isTrue(existsSync(join(directory, "ops/alerts.yml")))
  })

  it("is right for publint and for attw", async () => {
    const tool = (name: string) => join(import.meta.dirname, "node_modules/.bin", name)
    for (const path of paths()) {
      const [said] = await Promise.all([
        run({ cwd: root }, tool("publint"), "run", path, "--strict"),
        run({ cwd: root }, tool("attw"), path, "--profile", "esm-only", "--no-emoji"),
      ])
      assert.include(said, "All good!")
    }
  }, 180_000)
})

describe("the SDK alone", () => {
  const browser = { lib: ["es2024", "esnext.disposable", "esnext.iterator", "dom"], types: [] }

  /** The suites need vitest, which is not installed here. */
  const imports = () =>
    ["@nimbus/domain", "@nimbus/client"]
      .flatMap((name) => importsOf(sdk, name))
      .filter((name) => !name.includes("/testing"))

  it("brings Effect and nothing else of ours or of brokers", () => {
    const ours = sdk.installed().filter((name) => name.startsWith("@nimbus/"))
    assert.sameMembers(ours, ["@nimbus/domain", "@nimbus/client"])
    assert.deepStrictEqual(
      sdk.installed().filter((name) => unwanted.test(name) || name.includes("redis")),
      [],
    )
  })

  it.each(resolutionNames)("type-checks under %s by TypeScript 5.9 and 7, without Node's types", async (resolution) => {
    // `./node` is for Node, whose types this program has not.
    const names = imports().filter((name) => name !== "@nimbus/client/node")
    sdk.write("all.ts", names.map((name, i) => `export * as all${i} from "${name}"\n`).join(""))
    await compile(sdk, resolution, { ...browser, files: ["all.ts", ...writeExamples(sdk, "domain", "client")] })
  })

  it("refuses a program that uses it wrongly", async () => {
    sdk.write(
      "wrong.ts",
      `import { ClientId } from "@nimbus/domain/protocol"\nexport const clientId: ClientId = "c1"\n`,
    )
    await compile(sdk, "nodenext", { ...browser, files: ["wrong.ts"] }).then(
      () => assert.fail("a string is no ClientId"),
      (error: Error) => assert.include(error.message, "wrong.ts"),
    )
  })

  it.each(installedNodes)("is imported and required on Node %s", async (major, node) => {
    const names = imports()
    assert.include(names, "@nimbus/domain")
    const imported = `const all = await Promise.all(${JSON.stringify(names)}.map((name) => import(name)))`
    const required = `const all = ${JSON.stringify(names)}.map((name) => require(name))`
    const print = "console.log(process.versions.node.split('.')[0], all.map((one) => Object.keys(one).length).join())"
    const [one, other] = await Promise.all([
      evaluate(sdk, node, `${imported};${print}`),
      evaluate(sdk, node, `${required};${print}`, "commonjs"),
    ])
    assert.match(one, new RegExp(`^${major} `))
    assert.notMatch(one, /\b0\b(?!\.)/)
    assert.strictEqual(other.split(",").length, names.length)
  })

  it.each(["@nimbus/domain", "@nimbus/client"])("bundles %s for browsers with esbuild and with Vite", async (name) => {
    sdk.write("page.ts", `import * as all from "${name}"\nglobalThis.all = all\n`)
    const entry = join(sdk.directory, "page.ts")
    const { outputFiles, warnings } = await esbuild.build({
      entryPoints: [entry],
      bundle: true,
      format: "esm",
      platform: "browser",
      write: false,
      logLevel: "silent",
    })
    assert.deepStrictEqual(warnings, [])
    const built = await vite.build({
      root: sdk.directory,
      configFile: false,
      logLevel: "error",
      build: { write: false, rolldownOptions: { input: entry } },
    })
    const chunks = "output" in built ? built.output : []
    for (const code of [outputFiles[0]?.text, "code" in chunks[0]! ? chunks[0].code : undefined]) {
      assert.isString(code)
      assert.notMatch(code, /from ?"node:|require\("node:/)
    }
  })
})

/** `nimbus …` in the server's project, or another command elsewhere, until the work is done. */
const running = async <A>(
  node: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>,
  work: (printed: () => string, hasEnded: () => boolean) => Promise<A>,
  { command = "npx", cwd = server.directory }: { readonly command?: string; readonly cwd?: string } = {},
): Promise<A> => {
  // A group of its own: npx does not hand on every signal.
  const words = command === "npx" ? ["--no", ...args] : args
  const child = spawn(command, words, { cwd, env: environment(node, env), detached: true })
  let text = ""
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (some: string) => (text += some))
  const closed = new Promise((resolve) => child.once("close", resolve))
  try {
    return await work(
      () => text,
      () => child.exitCode !== null,
    )
  } finally {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM")
    await closed
  }
}

const patience_ms = 90_000

describe("the server", () => {
  const able = installedNodes.filter(([major]) => major !== "20")

  it("needs no Kafka, no other store of a cluster, and nothing of tests", () => {
    assert.include(server.installed(), "@nimbus/server")
    assert.deepStrictEqual(
      server.installed().filter((name) => unwanted.test(name)),
      [],
    )
  })

  it.each(able)(
    "starts in an empty project on Node %s, and clients of every Node get their results",
    async (major, node) => {
      const [http, grpc] = await freePorts(2)
      const env = { NIMBUS_HTTP_PORT: `${http}`, NIMBUS_PORT: `${grpc}`, NIMBUS_DATA: `data-${major}` }
      await running(node, ["nimbus", "start"], env, async (printed, hasEnded) => {
        await until(() => printed().includes("Nimbus is running") || hasEnded(), patience_ms)
        assert.include(printed(), `http://127.0.0.1:${http}/`)
        assert.include(printed(), "npx --no nimbus client")
        const page = await fetch(`http://127.0.0.1:${http}/`)
        assert.include(await page.text(), "<script")
        const answer = await run(
          { cwd: server.directory, node },
          "npx",
          "--no",
          "nimbus",
          "client",
          "--client_id=c1",
          "--start=1",
          "--end=3",
          `--addr=ws://127.0.0.1:${http}`,
        )
        assert.include(answer, `sq(3): {"number":3,"result":9}`)
        for (const [name, other] of installedNodes) {
          const client = `
          import { connect } from "@nimbus/client"
          ${name === "20" ? `import WebSocket from "ws"` : "const { WebSocket } = globalThis"}
          const url = "ws://127.0.0.1:${http}"
          const client = await connect({ url, clientId: "on-${name}", WebSocket, onResult: () => {} })
          console.log(JSON.stringify((await client.request("sq", { number: ${name} })).data))
          await client.close()`
          const number = Number(name)
          assert.deepStrictEqual(JSON.parse(await evaluate(sdk, other, client)), { number, result: number * number })
        }
      })
    },
  )

  it.each(able)("runs the handlers of a module in TypeScript on Node %s", async (major, node) => {
    server.write(
      "handlers.ts",
      `import { Handlers } from "@nimbus/domain"
      import { Effect, Schema } from "effect"
      const twice = (n: number): number => 2 * n
      export default [
        Handlers.make("twice", { input: Schema.Number, output: Schema.Number, handler: (n) => Effect.succeed(twice(n)) }),
      ]`,
    )
    const [http, grpc] = await freePorts(2)
    const settings = { NIMBUS_HTTP_PORT: `${http}`, NIMBUS_PORT: `${grpc}`, NIMBUS_DATA: `own-${major}` }
    const env = { ...settings, NIMBUS_HANDLERS: "./handlers.ts" }
    await running(node, ["nimbus", "start"], env, async (printed, hasEnded) => {
      await until(() => printed().includes("Nimbus is running") || hasEnded(), patience_ms)
      assert.include(printed(), `http://127.0.0.1:${http}/`)
      const client = `
        import { connect } from "@nimbus/client"
        const client = await connect({ url: "ws://127.0.0.1:${http}", clientId: "own", onResult: () => {} })
        console.log(JSON.stringify((await client.request("twice", 21)).data))
        await client.close()`
      assert.strictEqual((await evaluate(sdk, process.execPath, client)).trim(), "42")
    })
  })

  it("runs a pipeline of one's own, which says what it waits for", async () => {
    server.write(
      "pipeline.mjs",
      `import { Handlers } from "@nimbus/domain"
      import * as Pipeline from "@nimbus/server/pipeline"
      Pipeline.main(Handlers.samples)`,
    )
    const failed = await run({ cwd: server.directory }, process.execPath, "pipeline.mjs").then(
      () => assert.fail("there is no Kafka"),
      (error: Error) => error,
    )
    // The client libraries of a cluster are not installed yet.
    assert.include(failed.message, "(LIBRARY_MISSING, see docs/errors.md)")
  })

  it("says the version that is installed", async () => {
    const { version } = JSON.parse(
      readFileSync(join(server.directory, "node_modules/@nimbus/server/package.json"), "utf8"),
    )
    const said = await run({ cwd: server.directory }, "npx", "--no", "--", "nimbus", "--version")
    assert.include(said, version)
  })

  it.runIf(isWanted("node20"))("says in one line on Node 20 what it needs", async () => {
    for (const command of ["nimbus", "nimbus-gateway", "nimbus-pipeline"]) {
      const text = await running(nodeIn("node20"), [command, "start"], {}, async (printed, hasEnded) => {
        assert.isTrue(await until(hasEnded, patience_ms))
        return printed()
      })
      assert.match(text, /^nimbus: this is Node 20\.\d+\.\d+; Node 22\.19 or later is needed\n$/)
    }
  })

  it("names the libraries that a cluster needs, by a command that installs them, after which it starts", async () => {
    const text = await running(process.execPath, ["nimbus-gateway"], {}, async (printed, hasEnded) => {
      assert.isTrue(await until(hasEnded, patience_ms))
      return printed()
    })
    const [, wanted = ""] =
      /^nimbus: .*: npm install (.*) \(LIBRARY_MISSING, see docs\/errors\.md\)\n$/.exec(text) ?? []
    assert.include(wanted, "kafkajs@")
    await server.install(...wanted.split(" "))
    const [http, grpc, nowhere] = await freePorts(3)
    const env = {
      NIMBUS_HTTP_PORT: `${http}`,
      NIMBUS_PORT: `${grpc}`,
      NIMBUS_REDIS_ADDRESS: `127.0.0.1:${nowhere}`,
    }
    await running(process.execPath, ["nimbus-gateway"], env, async (printed, hasEnded) => {
      await until(() => printed().includes("waiting for Redis") || hasEnded(), patience_ms)
      assert.include(printed(), `waiting for Redis at 127.0.0.1:${nowhere}`)
    })
  }, 180_000)
})

describe("every import of every package", () => {
  const names = [
    "@nimbus/domain",
    "@nimbus/client",
    "@nimbus/adapters",
    "@nimbus/gateway",
    "@nimbus/pipeline",
    "@nimbus/server",
  ]
  let examples: ReadonlyArray<string>

  beforeAll(async () => {
    const { peerDependencies }: { readonly peerDependencies: Readonly<Record<string, string>> } = JSON.parse(
      readFileSync(join(root, "packages/adapters/package.json"), "utf8"),
    )
    const peers = Object.entries(peerDependencies).map(([name, range]) => `${name}@${range}`)
    await server.install(...peers, "vitest@5", "@effect/vitest@4.0.5", "@types/node@24")
    const imports = names.flatMap((name) => importsOf(server, name))
    server.write("all.ts", imports.map((name, i) => `export * as all${i} from "${name}"\n`).join(""))
    examples = writeExamples(server, ...packages)
  }, 180_000)

  it.each(resolutionNames)(
    "type-checks under %s by both, and so do the examples",
    { timeout: 180_000 },
    async (resolution) => {
      await compile(server, resolution, {
        files: ["all.ts", ...examples],
        // Effect's declarations name types of the DOM.
        lib: ["es2024", "esnext.disposable", "esnext.iterator", "dom"],
        types: ["node"],
      })
    },
  )
})

describe("the examples", () => {
  // vitest is installed beside what the tests above have tried without it.
  it.each(["domain", "embed"])("of examples/%s run as tests where the tarballs are installed", async (example) => {
    const folder = join(server.directory, example)
    cpSync(join(root, "examples", example, "src"), folder, { recursive: true })
    const tool = join(server.directory, "node_modules/vitest/vitest.mjs")
    const cwd = server.directory
    const said = await run({ cwd, env: { NO_COLOR: "1" } }, process.execPath, tool, "run", "--dir", folder)
    assert.match(said, /Tests {2}\d+ passed \(\d+\)/)
  })
})

describe("the starter", () => {
  const place = mkdtempSync(join(tmpdir(), "nimbus-starter-"))
  const app = join(place, "my-app")
  const container = join(place, "container")
  const linesOf = (file: string) => readFileSync(join(app, file), "utf8").trim().split("\n")
  /** What an instruction of its Dockerfile says, where it stands first. */
  const instruction = (name: string) =>
    linesOf("Dockerfile")
      .find((line) => line.startsWith(`${name} `))
      ?.slice(name.length + 1) ?? ""

  /** Ports of its own; the page's origin is none that `.env` names. */
  const settings = async (data: string) => {
    const [http, grpc, page] = await freePorts(3)
    const ports = { NIMBUS_HTTP_PORT: `${http}`, NIMBUS_PORT: `${grpc}`, PAGE_PORT: `${page}` }
    return { http, page, env: { ...ports, NIMBUS_DATA: data } }
  }

  const serves = async (http: number | undefined, page: number | undefined) => {
    const [html, script] = await Promise.all([
      fetch(`http://127.0.0.1:${page}/`),
      fetch(`http://127.0.0.1:${http}/client.js`, { headers: { origin: "http://127.0.0.1:8080" } }),
    ])
    assert.include(await html.text(), "<h1>My application</h1>")
    assert.strictEqual(script.status, 200)
    const client = `
      import { connect } from "@nimbus/client"
      const client = await connect({ url: "ws://127.0.0.1:${http}", clientId: "own", onResult: () => {} })
      const { data } = await client.request("greet", { name: "Ada" })
      let story = ""
      for await (const part of client.stream("tell", { hero: "Ada" })) story += part
      console.log(JSON.stringify([data.text, story]))
      await client.close()`
    const story = "Once upon a time Ada went out to sea, and came back with a story."
    assert.deepStrictEqual(JSON.parse(await evaluate(sdk, process.execPath, client)), ["Hello, Ada!", story])
  }

  beforeAll(async () => {
    const all = paths().flatMap((path) => ["-p", path])
    const made = await run({ cwd: place }, "npx", "-y", "--prefer-offline", ...all, "nimbus", "create", "my-app")
    assert.include(made, "cd my-app\n  npm install\n  npm start")
    // As long as no registry has the packages.
    cpSync(tarballs, join(app, "vendor"), { recursive: true })
    const vendored = readdirSync(join(app, "vendor")).map((file) => `./vendor/${file}`)
    await run({ cwd: app }, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", ...vendored)
  }, 300_000)

  afterAll(() => rmSync(place, { recursive: true, force: true }))

  it("passes its own test", async () => {
    const said = await run({ cwd: app }, "npm", "test")
    assert.match(said, /^# pass [1-9]\d*$|^ℹ pass [1-9]\d*$/m)
  })

  it.each(installedNodes.filter(([major]) => major !== "20"))(
    "serves its page and its handlers by npm start on Node %s",
    async (major, node) => {
      const { env, http, page } = await settings(`data-${major}`)
      const work = async (printed: () => string, hasEnded: () => boolean) => {
        await until(() => printed().includes("Nimbus is running") || hasEnded(), patience_ms)
        assert.include(printed(), `http://127.0.0.1:${http}/`)
        await serves(http, page)
      }
      await running(node, ["start"], env, work, { cwd: app, command: "npm" })
    },
  )

  it.runIf(isWanted("node20"))("says in one line on Node 20 what it needs", async () => {
    const work = async (printed: () => string, hasEnded: () => boolean) => {
      assert.isTrue(await until(hasEnded, patience_ms))
      return printed()
    }
    const text = await running(nodeIn("node20"), ["start"], {}, work, { cwd: app, command: "npm" })
    assert.match(text, /^nimbus: this is Node 20\.\d+\.\d+; Node 22\.19 or later is needed$/m)
  })

  it("runs as its Dockerfile says: what it copies, installs and starts", async () => {
    const ignored = new Set(linesOf(".dockerignore").map((line) => join(app, line)))
    assert.strictEqual(instruction("COPY"), ". .")
    cpSync(app, container, { recursive: true, filter: (file) => !ignored.has(file) })
    assert.isFalse(existsSync(join(container, "node_modules")))
    const env = { npm_config_prefer_offline: "true", npm_config_audit: "false" }
    await run({ cwd: container, env }, "sh", "-c", instruction("RUN"))
    assert.isFalse(existsSync(join(container, "node_modules/typescript")))
    const { env: ports, http, page } = await settings(join(place, "volume"))
    const image = Object.fromEntries(
      instruction("ENV")
        .split(" ")
        .map((pair) => pair.split("="))
        .map(([name = "", value = ""]) => [name, value]),
    )
    const [command = "", ...args]: ReadonlyArray<string> = JSON.parse(instruction("CMD"))
    const work = async (printed: () => string, hasEnded: () => boolean) => {
      await until(() => printed().includes("Nimbus is running") || hasEnded(), patience_ms)
      assert.include(printed(), `ws://0.0.0.0:${http}/`)
      await serves(http, page)
      const [node = "", ...asked]: ReadonlyArray<string> = JSON.parse(instruction("HEALTHCHECK").replace("CMD ", ""))
      await run({ cwd: container }, node, ...asked.map((word) => word.replace("3000", `${http}`)))
    }
    // Its ports are published to this machine alone.
    assert.match(readFileSync(join(app, "compose.yaml"), "utf8"), /^ {6}NIMBUS_INSECURE: "true"$/m)
    await running(process.execPath, args, { ...image, NIMBUS_INSECURE: "true", ...ports }, work, {
      cwd: container,
      command: join(container, command),
    })
  })
})

describe("a rehearsed release", () => {
  it("says the versions, packs them, writes an SBOM of each package, and changes nothing but dist", async () => {
    const status = () => run({ cwd: root }, "git", "status", "--porcelain")
    const before = await status()
    const said = await run({ cwd: root }, process.execPath, join(root, "scripts/pack/release.ts"), "--dry-run").catch(
      // That there are advisories is for a release to mind.
      (error: Error) => error.message,
    )
    assert.match(said, /the release has stopped: there are advisories|This was a dry run/)
    assert.strictEqual(await status(), before)
    assert.lengthOf(paths(), packages.length)
    const sboms = readdirSync(join(root, "dist/sbom"))
    assert.lengthOf(sboms, packages.length)
    assert.include(readFileSync(join(root, "dist/sbom", sboms[0]!), "utf8"), `"bomFormat": "CycloneDX"`)
  }, 300_000)
})
