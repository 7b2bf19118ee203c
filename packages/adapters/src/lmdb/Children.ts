/** For the tests of what lies on disk: temporary directories, and processes of their own to be killed. */
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
  /** What it has printed so far, in whole lines. */
  readonly lines: () => ReadonlyArray<string>
  /** By SIGKILL; done once the process is gone. */
  readonly kill: Effect.Effect<void>
}

/** Runs an ES module of this folder's kind in a process of its own, which ends with the scope. Its arguments begin at `process.argv[1]`. */
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

/** The address of a file beside this one, to be imported by a child. */
export const moduleUrl = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)

const kill = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })
