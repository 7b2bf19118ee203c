/**
 * One service as a process group of its own: started, stopped, killed and started again on its own.
 *
 *     start ─▶ prepare (the first time) ─▶ spawn ─▶ isReady … ─▶ running
 *     stop  ─▶ its signal, SIGKILL after `stop_timeout_ms`      kill ─▶ SIGKILL
 *     clear ─▶ stopped, and its data is gone
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { report, until, type User } from "./Tools.ts"

export const serviceNames = ["kafka", "redis", "postgres"] as const
export type ServiceName = (typeof serviceNames)[number]

/** How one kind of service is run. */
export interface Plan {
  readonly name: ServiceName
  /** `host:port`. */
  readonly address: string
  /** What tells a program of ours where it is. */
  readonly environment: Readonly<Record<string, string>>
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly user?: User | undefined
  readonly stop_signal: NodeJS.Signals
  /** Once for each empty data directory, which is there. */
  prepare?(): Promise<void>
  /** Whether it answers. */
  isReady(): Promise<boolean>
}

/** It only ends what would never come: brokers start slowly on a machine that is busy. */
const start_timeout_ms = 180_000
const stop_timeout_ms = 20_000

export class Service {
  readonly name: ServiceName
  readonly address: string
  readonly environment: Readonly<Record<string, string>>
  readonly #plan: Plan
  readonly #directory: string
  readonly #onChange: () => void
  #child: ChildProcess | undefined
  #isPrepared = false

  /** Keeps its data in `<directory>/<name>`; calls `onChange` whenever its process group has changed. */
  constructor(plan: Plan, directory: string, onChange: () => void) {
    this.name = plan.name
    this.address = plan.address
    this.environment = plan.environment
    this.#plan = plan
    this.#directory = directory
    this.#onChange = onChange
  }

  /** Its process group, while it runs. */
  get group(): number | undefined {
    return this.isRunning ? this.#child?.pid : undefined
  }

  get isRunning(): boolean {
    const child = this.#child
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Starts it, with the data it had, and waits until it answers. Nothing if it runs. */
  async start(): Promise<void> {
    if (this.isRunning) return
    const began = Date.now()
    if (!this.#isPrepared) {
      await this.#plan.prepare?.()
      this.#isPrepared = true
    }
    this.#spawn()
    const isReady = await until(async () => !this.isRunning || (await this.#plan.isReady()), start_timeout_ms)
    if (!isReady || !this.isRunning) {
      const ending = this.isRunning ? `does not answer after ${start_timeout_ms} ms` : "ended at once"
      await this.kill()
      throw new Error(`${this.name} ${ending}. The end of its log:\n${this.#logTail()}`)
    }
    report(`${this.name} answers at ${this.address} after ${((Date.now() - began) / 1000).toFixed(1)} s`)
  }

  /** Asks it to leave, and kills it when it does not in time. */
  stop(): Promise<void> {
    return this.#end(this.#plan.stop_signal)
  }

  /** Kills it as a crash would. */
  kill(): Promise<void> {
    return this.#end("SIGKILL")
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Stops it and takes its data away: the next start begins with nothing. */
  async clear(): Promise<void> {
    await this.stop()
    rmSync(dataDirectory(this.#directory, this.name), { recursive: true, force: true })
    makeDataDirectory(this.#directory, this.name)
    this.#isPrepared = false
  }

  #spawn(): void {
    const { args, command, env, user } = this.#plan
    const log = openSync(this.#logFile, "a")
    try {
      const child = spawn(command, args, {
        cwd: dataDirectory(this.#directory, this.name),
        stdio: ["ignore", log, log],
        env: { ...process.env, ...env },
        detached: true,
        ...user,
      })
      // What can't be spawned has no pid: `start` sees that it does not run.
      child.once("error", (error) => report(`${this.name}: ${error.message}`))
      child.once("exit", this.#onChange)
      child.unref()
      this.#child = child
    } finally {
      closeSync(log)
    }
    this.#onChange()
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const group = this.group
    if (group === undefined) return
    signalGroup(group, signal)
    if (await until(() => !this.isRunning, stop_timeout_ms)) return
    report(`${this.name} did not end by ${signal} within ${stop_timeout_ms} ms and is killed`)
    signalGroup(group, "SIGKILL")
    if (!(await until(() => !this.isRunning, stop_timeout_ms))) throw new Error(`${this.name} can't be killed`)
  }

  get #logFile(): string {
    return join(this.#directory, `${this.name}.log`)
  }

  #logTail(): string {
    return readFileSync(this.#logFile, "utf8").trimEnd().split("\n").slice(-20).join("\n")
  }
}

export const dataDirectory = (directory: string, name: ServiceName): string => join(directory, name)

export const makeDataDirectory = (directory: string, name: ServiceName): void => {
  mkdirSync(dataDirectory(directory, name), { recursive: true })
}

const signalGroup = (group: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-group, signal)
  } catch (error) {
    // It ended in the meantime.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error
  }
}
