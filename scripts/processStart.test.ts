/**
 * The processes of a cluster as people start them, by npm or pnpm in their packages, where no service runs: each tells
 * what it waits for and how to start that, is alive and not ready meanwhile, and leaves when it is told to.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually } from "../packages/domain/src/testing/Eventually.ts"
import manifest from "../package.json" with { type: "json" }
import { freePorts } from "./services/Tools.ts"

const root = join(import.meta.dirname, "..")
/** As on a machine with Node and npm alone. */
const path = (process.env["PATH"] ?? "").split(":").filter((folder) => !folder.includes("node_modules"))
const pnpm = manifest.scripts.pnpm.split(" ")

const start = (name: string, command: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const [program = "", ...args] = command
      const child = spawn(program, args, {
        cwd: join(root, "packages", name),
        env: { HOME: process.env["HOME"], PATH: path.join(":"), ...env },
        // A group of its own: npm does not hand on every signal.
        detached: true,
      })
      const output = { text: "" }
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => (output.text += text))
      }
      const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))
      const kill = (signal: NodeJS.Signals) => {
        if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), signal)
      }
      return { output, closed, kill }
    }),
    ({ kill }) => Effect.sync(() => kill("SIGKILL")),
  )

const statusOf = (port: number, path: string) =>
  Effect.promise(() =>
    fetch(`http://127.0.0.1:${port}${path}`).then(
      ({ status }) => status,
      () => 0,
    ),
  )

describe("without services", () => {
  it.live.each([
    { name: "gateway", command: ["npm", "start"] },
    { name: "pipeline", command: ["npm", "start"] },
    { name: "gateway", command: [...pnpm, "start"] },
    { name: "pipeline", command: [...pnpm, "start"] },
  ])("$command in packages/$name waits, says for what, and is alive", ({ command, name }) =>
    Effect.gen(function* () {
      const [http = 0, nowhere = 0] = yield* Effect.promise(() => freePorts(2))
      const { closed, kill, output } = yield* start(name, command, {
        NIMBUS_HTTP_PORT: `${http}`,
        NIMBUS_PIPELINE_HTTP_PORT: `${http}`,
        NIMBUS_PORT: "0",
        NIMBUS_REDIS_ADDRESS: `127.0.0.1:${nowhere}`,
      })
      const line = new RegExp(
        `waiting for Redis at 127.0.0.1:${nowhere}: connect ECONNREFUSED.*; to start it here: docker compose up --detach redis`,
      )
      yield* eventually(
        "it waits",
        Effect.sync(() => output.text.includes("waiting for Redis")),
        60_000,
      )
      assert.match(output.text, line)
      assert.strictEqual(yield* statusOf(http, "/healthz"), 200)
      assert.strictEqual(yield* statusOf(http, "/readyz"), 503)
      kill("SIGTERM")
      yield* Effect.promise(() => closed)
      assert.include(output.text, "nimbus: stopped")
    }),
  )
})
