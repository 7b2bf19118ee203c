/** For tests of stored data: temporary directories, and child processes that a test can kill. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true })),
)

export interface Child {
  readonly pid: number | undefined
  /** The lines that it has printed so far. */
  readonly lines: () => ReadonlyArray<string>
  /** Sends SIGKILL, and completes when the process has ended. */
  readonly kill: Effect.Effect<void>
}

/**
 * Runs the source of an ES module in a child process, which ends with the scope. Its arguments begin at
 * `process.argv[1]`.
 */
export const startChild = (source: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", source, ...args], {
        cwd: fileURLToPath(new URL(".", import.meta.url)),
        stdio: ["ignore", "pipe", "inherit"],
      })
      let output = ""
      child.stdout.on("data", (bytes: Buffer) => {
        output += bytes.toString()
      })
      return { pid: child.pid, lines: () => output.split("\n").slice(0, -1), kill: kill(child) }
    }),
    (child) => child.kill,
  )

/** The URL of a file beside this one, which a child imports. */
export const moduleUrl = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)

const kill = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
