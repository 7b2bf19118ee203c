/** `nimbus create`: what it copies, what it refuses, and that the copy's own test passes with the packages of the workspace. */
import { execFile } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { parse } from "yaml"
import { browserWith } from "../testing/Browser.ts"
import { freePort, nimbus, startServer, temporaryDirectory, withoutArchive } from "../testing/Processes.ts"
import { manifestOf, nameOf } from "./Starter.ts"

const starter = fileURLToPath(new URL("../../../../examples/starter", import.meta.url))
const textOf = (file: string) => readFileSync(join(starter, file), "utf8")

const create = Effect.fnUntraced(function* (cwd: string, directory: string) {
  const created = yield* nimbus(["create", directory], { cwd })
  const ended = yield* created.ended
  return { ...ended, stdout: created.stdout(), stderr: created.stderr() }
})

const files = [
  ".dockerignore",
  ".env",
  ".gitignore",
  "Dockerfile",
  "README.md",
  "compose.yaml",
  "package.json",
  "page",
  "page/index.html",
  "src",
  "src/app.ts",
  "src/handlers.test.ts",
  "src/handlers.ts",
  "src/page.ts",
  "tsconfig.json",
]

describe("nimbus create", () => {
  it.live("copies the starter, without what a run has left there, and says what to do next", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const { code, stderr, stdout } = yield* create(cwd, "My App")
      assert.deepStrictEqual([code, stderr], [0, ""])
      for (const line of ["cd 'My App'", "npm install", "npm start"]) assert.include(stdout, `  ${line}\n`)
      const made = readdirSync(join(cwd, "My App"), { recursive: true, encoding: "utf8" })
      assert.sameMembers(made, files)
      const manifest = JSON.parse(readFileSync(join(cwd, "My App/package.json"), "utf8"))
      assert.strictEqual(manifest.name, "my-app")
      assert.strictEqual(manifest.dependencies["@nimbus/server"], "0.0.0")
      assert.notInclude(JSON.stringify(manifest), "workspace:")
    }),
  )

  it.live("makes an application whose test passes, here with the packages of the workspace", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      assert.strictEqual((yield* create(cwd, ".")).code, 0)
      symlinkSync(join(starter, "node_modules"), join(cwd, "node_modules"))
      const said = yield* Effect.promise(() => promisify(execFile)(process.execPath, ["--test"], { cwd }))
      assert.match(said.stdout, /^. pass [1-9]\d*$/m)
    }),
  )

  it.live("makes an application whose page greets, and streams a story, in a real browser", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      assert.strictEqual((yield* create(cwd, ".")).code, 0)
      symlinkSync(join(starter, "node_modules"), join(cwd, "node_modules"))
      const [port, pagePort] = [yield* freePort, yield* freePort]
      // The ports that it is made for may be in use here.
      const html = join(cwd, "page/index.html")
      writeFileSync(html, readFileSync(html, "utf8").replace(":3000`", `:${port}\``))
      const origin = `http://127.0.0.1:${pagePort}`
      const ports = { NIMBUS_HTTP_PORT: `${port}`, PAGE_PORT: `${pagePort}`, NIMBUS_ORIGINS: origin }
      yield* startServer({ cwd, env: { ...withoutArchive, ...ports } })
      const browser = yield* browserWith([])
      yield* Effect.promise(async () => {
        const page = await browser.newPage()
        await page.goto(origin)
        const answer = page.getByRole("status")
        await page.getByRole("button", { name: "Greet" }).click()
        await answer.filter({ hasText: "Hello, Ada!" }).waitFor()
        await page.getByRole("button", { name: "Tell a story" }).click()
        await answer.filter({ hasText: "and came back with a story." }).waitFor()
        const story = "Once upon a time Ada went out to sea, and came back with a story."
        assert.strictEqual(await answer.textContent(), story)
      })
    }),
  )

  it.live("takes a directory that is empty but for a repository", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      mkdirSync(join(cwd, ".git"))
      assert.strictEqual((yield* create(cwd, ".")).code, 0)
      assert.isTrue(existsSync(join(cwd, "src/handlers.ts")))
    }),
  )

  it.live.each([
    { what: "that is not empty", directory: ".", says: "it is not empty: it has notes.txt" },
    { what: "that is a file", directory: "notes.txt", says: "EEXIST: file already exists" },
    { what: "below a file", directory: "notes.txt/app", says: "ENOTDIR: not a directory" },
  ])("refuses one $what in one line, and changes nothing", ({ directory, says }) =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      writeFileSync(join(cwd, "notes.txt"), "mine")
      const { code, stderr, stdout } = yield* create(cwd, directory)
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr, /^nimbus: no application can be made in [^\n]* \(STARTER_REFUSED, see docs\/errors\.md\)\n$/)
      assert.include(stderr, says)
      assert.deepStrictEqual(readdirSync(cwd), ["notes.txt"])
      assert.strictEqual(readFileSync(join(cwd, "notes.txt"), "utf8"), "mine")
    }),
  )

  it.each([
    ["/tmp/My App", "my-app"],
    ["/srv/@acme.chat_", "acme-chat"],
    ["/", "app"],
    ["/srv/日本", "app"],
  ])("calls the package in %s %s", (directory, name) => {
    assert.strictEqual(nameOf(directory), name)
  })

  it("asks for the version that has made it", () => {
    const manifest = JSON.parse(manifestOf(textOf("package.json"), "shop", "1.2.3"))
    assert.deepInclude(manifest, { name: "shop", version: "0.0.0" })
    assert.strictEqual(manifest.dependencies["@nimbus/client"], "1.2.3")
    assert.notProperty(manifest, "description")
  })
})

const Compose = Schema.Struct({
  services: Schema.Struct({
    app: Schema.Struct({
      build: Schema.Literal("."),
      ports: Schema.Array(Schema.String),
      volumes: Schema.Array(Schema.String),
    }),
  }),
  volumes: Schema.Record(Schema.String, Schema.Null),
})

/** What the Dockerfile's instructions of a name say. */
const instructions = (name: string) =>
  textOf("Dockerfile")
    .split("\n")
    .filter((line) => line.startsWith(`${name} `))
    .map((line) => line.slice(name.length + 1))

describe("the container of the starter", () => {
  it("keeps its data where its user may write, and on a volume", () => {
    const { services, volumes } = Schema.decodeUnknownSync(Compose)(parse(textOf("compose.yaml")))
    const [data = ""] = instructions("VOLUME")
    assert.include(instructions("ENV").join(" "), `NIMBUS_DATA=${data}`)
    assert.include(instructions("RUN"), `install -d -o node -g node -m 700 ${data}`)
    assert.deepStrictEqual(instructions("USER"), ["node"])
    assert.deepStrictEqual(services.app.volumes, [`data:${data}`])
    assert.deepStrictEqual(Object.keys(volumes), ["data"])
  })

  it("opens the ports that it serves, to this machine", () => {
    const { services } = Schema.decodeUnknownSync(Compose)(parse(textOf("compose.yaml")))
    const ports = instructions("EXPOSE").flatMap((line) => line.split(" "))
    assert.deepStrictEqual(ports, ["3000", "8080"])
    assert.deepStrictEqual(
      services.app.ports,
      ports.map((port) => `127.0.0.1:${port}:${port}`),
    )
  })

  it("runs the Node of Nimbus' own image, and by the command of npm start", () => {
    const own = readFileSync(join(starter, "../../Dockerfile"), "utf8")
    assert.include(own, `\nFROM ${instructions("FROM")[0]}\n`)
    const { scripts } = JSON.parse(textOf("package.json"))
    assert.deepStrictEqual(JSON.parse(instructions("CMD")[0] ?? ""), [
      "node_modules/.bin/nimbus",
      ...scripts.start.split(" ").slice(1),
    ])
  })
})
