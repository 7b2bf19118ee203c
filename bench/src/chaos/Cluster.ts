/** Gateways and pipelines of a cluster, or the embedded server, each a process of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { setTimeout as sleep } from "node:timers/promises"

export type Role = "gateway" | "pipeline" | "slow-pipeline" | "tasks-pipeline" | "task-worker" | "embedded"

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const programs: Readonly<Record<Role, ReadonlyArray<string>>> = {
  gateway: [file("../../../packages/nimbus/src/cluster/gateway.ts")],
  pipeline: [file("../../../packages/nimbus/src/cluster/pipeline.ts")],
  "slow-pipeline": [file("slowPipeline.ts")],
  "tasks-pipeline": [file("tasksPipeline.ts")],
  "task-worker": [file("tasksPipeline.ts")],
  embedded: [file("../../../packages/nimbus/src/main.ts"), "start"],
}

/** What each process has in it beside its program. */
const preloaded = `--import=${new URL("preload.ts", import.meta.url).href}`

const ready_within_ms = 30_000

export interface NodeOptions {
  readonly role: Role
  readonly port: number
  /** Its settings beside the port. */
  readonly environment: Readonly<Record<string, string>>
  /** Where it logs and runs. */
  readonly directory: string
  /** Called when its process group has changed. */
  readonly onChange: () => void
}

/** A place in the cluster: one process after the other at the same port. */
export class ClusterNode {
  readonly name: string
  readonly port: number
  readonly #options: NodeOptions
  #child: ChildProcess | undefined
  #isWanted = false

  constructor(options: NodeOptions) {
    this.#options = options
    this.name = `${options.role} at ${options.port}`
    this.port = options.port
  }

  get group(): number | undefined {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null ? child.pid : undefined
  }

  /** Why it ended, if it did so on its own. */
  get failure(): string | undefined {
    if (!this.#isWanted || this.group !== undefined) return undefined
    return `${this.name} ended by itself. The end of its log:\n${this.logTail()}`
  }

  /** Starts it, and waits until it is ready. */
  async start(): Promise<void> {
    const { directory, environment, onChange, port, role } = this.#options
    const log = openSync(this.#log, "a")
    const child = spawn(process.execPath, [preloaded, ...programs[role]], {
      cwd: directory,
      detached: true,
      stdio: ["ignore", log, log],
      env: {
        ...withoutSettings(process.env),
        ...environment,
        CHAOS_SAMPLES: this.samples,
        NIMBUS_PORT: "0",
        [portSetting[role]]: String(port),
      },
    })
    closeSync(log)
    child.once("exit", onChange)
    this.#child = child
    this.#isWanted = true
    onChange()
    const deadline = Date.now() + ready_within_ms
    while (!(await this.#isReady())) {
      if (this.failure !== undefined) throw new Error(this.failure)
      if (Date.now() > deadline) throw new Error(`${this.name} is not ready in time:\n${this.logTail()}`)
      await sleep(50)
    }
  }

  /** SIGKILL, as a crash would; SIGTERM, as an operator does. Waits for the end. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    this.#isWanted = false
    const child = this.#child
    if (child === undefined || this.group === undefined) return
    const ended = once(child, "exit")
    child.kill(signal)
    child.kill("SIGCONT")
    await ended
  }

  /** It stands still, and does not know. */
  pause(): void {
    this.#child?.kill("SIGSTOP")
  }

  resume(): void {
    this.#child?.kill("SIGCONT")
  }

  /** Its clock is an hour ahead, an hour behind, and right again, each time the next of these. */
  shiftClock(): void {
    this.#child?.kill("SIGUSR2")
  }

  async get(path: string, timeout_ms = 5_000): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, { signal: AbortSignal.timeout(timeout_ms) })
    return response.text()
  }

  logTail(): string {
    return readFileSync(this.#log, "utf8").trimEnd().split("\n").slice(-15).join("\n")
  }

  /** Where it writes what `preload.ts` measures. */
  get samples(): string {
    return join(this.#options.directory, `${this.#options.role}-${this.port}.samples`)
  }

  get #log(): string {
    return join(this.#options.directory, `${this.#options.role}-${this.port}.log`)
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.get("/readyz")) === "ready\n"
    } catch {
      // It does not listen yet.
      return false
    }
  }
}

const portSetting: Readonly<Record<Role, string>> = {
  gateway: "NIMBUS_HTTP_PORT",
  pipeline: "NIMBUS_PIPELINE_HTTP_PORT",
  "slow-pipeline": "NIMBUS_PIPELINE_HTTP_PORT",
  "tasks-pipeline": "NIMBUS_PIPELINE_HTTP_PORT",
  "task-worker": "NIMBUS_PIPELINE_HTTP_PORT",
  embedded: "NIMBUS_HTTP_PORT",
}

/** The environment of this process must not choose the settings of what it runs. */
const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("NIMBUS_")))
