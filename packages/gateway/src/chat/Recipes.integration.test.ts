/** The recipes of docs/chat.md, as they stand there: what they print, also where their connections break. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect as connectTo, createServer, type Socket as TcpSocket } from "node:net"
import { tmpdir } from "node:os"
import { join as joinPath } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ClientOffsets, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { clients, isWanted } from "../../../../scripts/clients/Clients.ts"
import { ask, hearsData, join, keeps, makeStore, on, startGateway } from "../testing/ChatClients.ts"

const page = readFileSync(new URL("../../../../docs/chat.md", import.meta.url), "utf8")
const recipes = page.slice(page.indexOf("\n## Recipes\n"), page.indexOf("\n## The open chat\n"))
const sourceOf = (language: string): string =>
  new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "ms").exec(recipes)?.[1] ?? assert.fail(`no recipe for ${language}`)

interface Recipe {
  /** As it stands in what the recipe says. */
  readonly name: string
  readonly library: string
  readonly isThere: boolean
  /** `directory`: an empty one of its own. */
  readonly start: (directory: string) => {
    readonly command: string
    readonly args: ReadonlyArray<string>
    readonly env?: Readonly<Record<string, string>>
  }
}

const javascript = (version: 3 | 4): Recipe => ({
  name: "JavaScript",
  library: `socket.io-client ${version}`,
  isThere: true,
  start: () => {
    const source = version === 4 ? sourceOf("js") : sourceOf("js").replace(`"socket.io-client"`, `"socket.io-client-3"`)
    return { command: process.execPath, args: ["--input-type=module", "--eval", source] }
  },
})

const all: ReadonlyArray<Recipe> = [
  javascript(4),
  javascript(3),
  {
    name: "Python",
    library: "python-socketio",
    isThere: isWanted("python"),
    start: (directory) => {
      const file = joinPath(directory, "chat.py")
      writeFileSync(file, sourceOf("python"))
      return { command: "python3", args: [file], env: { PYTHONPATH: clients.python.library } }
    },
  },
  {
    name: "Java",
    library: "io.socket:socket.io-client",
    isThere: isWanted("java"),
    start: (directory) => {
      const file = joinPath(directory, "Chat.java")
      writeFileSync(file, sourceOf("java"))
      return { command: "java", args: ["-cp", joinPath(clients.java.library, "*"), file] }
    },
  },
]

/** Runs it; what it has printed, line by line. */
const run = (recipe: Recipe, url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(joinPath(tmpdir(), "nimbus-recipe-"))
      const { args, command, env } = recipe.start(directory)
      const child: ChildProcess = spawn(command, [...args], {
        cwd: new URL("../..", import.meta.url),
        env: { ...process.env, ...env, NIMBUS_URL: url },
        stdio: ["ignore", "pipe", "inherit"],
      })
      let text = ""
      child.stdout?.setEncoding("utf8").on("data", (more: string) => (text += more))
      return { directory, child, lines: () => text.split("\n").slice(0, -1) }
    }),
    ({ child, directory }) =>
      Effect.promise(async () => {
        const ended = child.exitCode === null ? once(child, "exit") : undefined
        child.kill("SIGKILL")
        await ended
        rmSync(directory, { recursive: true, force: true })
      }),
  )

/** A way to a port that can be cut. */
const makeConnection = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const sockets = new Set<TcpSocket>()
      const state = { isCut: false }
      const server = createServer((socket) => {
        socket.on("error", () => {})
        if (state.isCut) return void socket.destroy()
        const to = connectTo(port, "127.0.0.1")
        to.on("error", () => {})
        for (const one of [socket, to]) {
          sockets.add(one)
          one.once("close", () => sockets.delete(one))
        }
        to.once("close", () => socket.destroy())
        socket.once("close", () => to.destroy())
        socket.pipe(to).pipe(socket)
      }).listen(0, "127.0.0.1")
      await once(server, "listening")
      const address = server.address()
      const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
      const cut = () => {
        state.isCut = true
        for (const socket of sockets) socket.destroy()
      }
      return { url, cut, mend: () => void (state.isCut = false), close: () => (cut(), server.close()) }
    }),
    ({ close }) => Effect.sync(() => void close()),
  )

describe.each(all)("the recipe for $name, $library", (recipe) => {
  it.live.skipIf(!recipe.isThere)("says something, hears the others, and goes on where it was", () =>
    Effect.gen(function* () {
      const store = makeStore()
      const { url } = yield* Effect.provideService(startGateway(), ClientOffsets, store.offsets)
      const connection = yield* makeConnection(Number(new URL(url).port))
      const other = yield* join(url, { auth: { room: "kitchen" } }, "message")
      const { lines } = yield* run(recipe, connection.url)
      const prints = (expected: ReadonlyArray<string>) =>
        Effect.andThen(
          eventually(
            `it prints ${expected.length} lines`,
            Effect.sync(() => lines().length >= expected.length),
          ),
          Effect.sync(() => assert.deepStrictEqual(lines(), expected)),
        )
      yield* prints(["said"])
      yield* hearsData(other, `hello from ${recipe.name}`)
      yield* ask(other, "message", "one")
      yield* prints(["said", "one"])
      yield* keeps(store, 2)
      connection.cut()
      yield* ask(other, "message", "two")
      yield* ask(other, "message", "three")
      connection.mend()
      yield* prints(["said", "one", "two", "three"])
      yield* ask(other, "message", "four")
      yield* prints(["said", "one", "two", "three", "four"])
    }).pipe(on(Topics.layerDefault)),
  )
})
