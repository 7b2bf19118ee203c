/** A DynamoDB server for tests, in a process of its own and in memory: dynalite, which is installed with everything else. */
import { type ChildProcess, spawn } from "node:child_process"
import { createRequire } from "node:module"
import { join } from "node:path"
import { at, freePorts } from "./Tools.ts"

export interface Dynalite {
  readonly endpoint: string
  /** What tells programs of ours where it is, and who they are. */
  readonly environment: Readonly<Record<string, string>>
  stop(): Promise<void>
}

/** `directory`: on disk instead of in memory. */
export const startDynalite = async (directory?: string): Promise<Dynalite> => {
  const program = createRequire(join(import.meta.dirname, "../../packages/adapters/package.json")).resolve(
    "dynalite/cli.js",
  )
  const port = at(await freePorts(1), 0)
  const args = [program, "--port", `${port}`, "--host", "127.0.0.1", "--createTableMs", "50"]
  const child = spawn(process.execPath, directory === undefined ? args : [...args, "--path", directory], {
    stdio: ["ignore", "ignore", "inherit"],
  })
  const end = () => child.kill("SIGKILL")
  process.once("exit", end)
  const endpoint = `http://127.0.0.1:${port}`
  await answers(child, endpoint)
  return {
    endpoint,
    environment: {
      NIMBUS_DYNAMODB_ENDPOINT: endpoint,
      NIMBUS_DYNAMODB_REGION: "local",
      AWS_ACCESS_KEY_ID: "local",
      AWS_SECRET_ACCESS_KEY: "local",
    },
    stop: () =>
      new Promise((resolve) => {
        process.off("exit", end)
        child.once("exit", () => resolve())
        child.kill("SIGKILL")
      }),
  }
}

/** Any answer will do: a request without a signature is refused. */
const answers = async (child: ChildProcess, endpoint: string): Promise<void> => {
  const deadline = Date.now() + 60_000
  for (;;) {
    if (child.exitCode !== null) throw new Error(`dynalite ended with ${child.exitCode}`)
    const answered = await fetch(endpoint).then(
      () => true,
      () => false,
    )
    if (answered) return
    if (Date.now() > deadline) throw new Error(`dynalite does not answer at ${endpoint}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
