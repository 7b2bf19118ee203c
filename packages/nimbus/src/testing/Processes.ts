/** For the tests of the command as its users have it: processes of their own, in directories of their own. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { eventually, type NeverHappened } from "@nimbus/domain/testing"
import { Effect, Exit, type Scope } from "effect"
import { at, freePorts } from "../../../../scripts/services/Tools.ts"

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true })),
)

/** A port that nobody listens on. */
export const freePort = Effect.promise(async () => at(await freePorts(1), 0))

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Running {
  readonly pid: number | undefined
  /** What it has printed so far. */
  stdout(): string
  stderr(): string
  /** Waits until it has printed this on stdout. */
  printed(text: string): Effect.Effect<void, NeverHappened>
  readonly ended: Effect.Effect<Ended>
  kill(signal: NodeJS.Signals): Effect.Effect<void>
}

/**
 * For servers of tests that are not about the archive: to make its database takes seconds of processor time, and a server
 * that is told to stop meanwhile waits for it.
 */
export const withoutArchive = { NIMBUS_STORAGE: "none" } as const

export interface Surroundings {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
}

const programs = {
  nimbus: fileURLToPath(new URL("../main.ts", import.meta.url)),
  gateway: fileURLToPath(new URL("../cluster/gateway.ts", import.meta.url)),
  pipeline: fileURLToPath(new URL("../cluster/pipeline.ts", import.meta.url)),
  ownPipeline: fileURLToPath(new URL("ownPipeline.ts", import.meta.url)),
}

/** For a process to start on a machine that is busy with others. */
const patience_ms = 60_000

/** Children that live: a worker that ends on its own takes them along. */
const children = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL")
})

/** Runs `nimbus …` until it ends, or the scope does. */
export const nimbus = (args: ReadonlyArray<string>, surroundings: Surroundings) => run("nimbus", args, surroundings)

/** Runs a program until it ends, or the scope does. */
export const run = (
  program: keyof typeof programs,
  args: ReadonlyArray<string>,
  { cwd, env }: Surroundings,
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [programs[program], ...args], {
        cwd,
        env: { ...withoutSettings(process.env), NIMBUS_PORT: "0", ...env },
        stdio: ["ignore", "pipe", "pipe"],
      })
      children.add(child)
      const printed = { stdout: "", stderr: "" }
      for (const name of ["stdout", "stderr"] as const) {
        child[name].setEncoding("utf8").on("data", (text: string) => (printed[name] += text))
      }
      const ended = new Promise<Ended>((resolve) =>
        child.once("close", (code, signal) => {
          children.delete(child)
          resolve({ code, signal })
        }),
      )
      return {
        pid: child.pid,
        stdout: () => printed.stdout,
        stderr: () => printed.stderr,
        printed: (text: string) =>
          eventually(
            `${args.join(" ")} prints ${JSON.stringify(text)}`,
            Effect.sync(() => printed.stdout.includes(text)),
            patience_ms,
          ),
        ended: Effect.promise(() => ended),
        kill: (signal: NodeJS.Signals) => Effect.sync(() => void child.kill(signal)),
      }
    }),
    (running, exit) =>
      running.kill("SIGKILL").pipe(
        Effect.andThen(running.ended),
        // Of a test that failed: what it said of itself is all there is to look at afterwards.
        Effect.andThen(Exit.isFailure(exit) ? tellLast(program, running) : Effect.void),
      ),
  )

const tellLast = (program: string, { stderr, stdout }: Running): Effect.Effect<void> => {
  const last = (text: string) => text.trimEnd().split("\n").slice(-40).join("\n")
  return Effect.logError(`${program} had printed:\n${last(stdout())}\n${last(stderr())}`)
}

/** `nimbus start`, once it serves. */
export const startServer = Effect.fnUntraced(function* (surroundings: Surroundings) {
  const server = yield* nimbus(["start"], surroundings)
  yield* server.printed("Nimbus is running")
  return server
})

/** A gateway or a pipeline of a cluster, once it is ready; its own HTTP port is `port`. */
export const startMember = Effect.fnUntraced(function* (
  program: "gateway" | "pipeline" | "ownPipeline",
  port: number,
  { cwd, env }: Surroundings,
) {
  const setting = program === "gateway" ? "NIMBUS_HTTP_PORT" : "NIMBUS_PIPELINE_HTTP_PORT"
  const member = yield* run(program, [], { cwd, env: { ...env, [setting]: `${port}` } })
  const isReady = Effect.promise(() =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  yield* eventually(`the ${program} at ${port} is ready`, isReady, patience_ms)
  return member
})

/** The tests' own environment must not choose the settings of what they test. */
const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("NIMBUS_")))
