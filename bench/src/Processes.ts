/** The servers that are measured, each in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Server } from "./Load.ts"
import { sleep } from "./Load.ts"
import { freePorts } from "../../scripts/services/Tools.ts"

export interface Running {
  readonly server: Server
  readonly base: string
  readonly pid: number | undefined
  /** Resident memory now, in bytes. */
  rss(): number
  stop(): Promise<void>
}

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** A gateway and a pipeline on Kafka, Redis and whatever keeps the mailboxes. */
export interface Cluster extends Running {
  readonly mailbox: "redis" | "postgres"
  /** Stands still while `f` writes, so that what it reads waits in the results topic. */
  whilePaused(f: () => Promise<void>): Promise<void>
}

const start = async (args: ReadonlyArray<string>, port: number, env: NodeJS.ProcessEnv): Promise<ChildProcess> => {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  })
  // However the bench ends, nothing is left behind.
  const end = () => child.kill("SIGKILL")
  process.once("exit", end)
  child.once("exit", () => process.off("exit", end))
  const deadline = Date.now() + 20_000
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${args.join(" ")} ended with ${child.exitCode}`)
    const answered = await fetch(`http://127.0.0.1:${port}/healthz`).then(
      (r) => r.ok,
      () => false,
    )
    if (answered) return child
    if (Date.now() > deadline) throw new Error(`${args.join(" ")} does not answer on port ${port}`)
    await sleep(50)
  }
}

const running = (child: ChildProcess, server: Server, base: string, cleanUp: () => void): Running => ({
  server,
  base,
  pid: child.pid,
  rss: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) * 1024,
  stop: () =>
    new Promise((resolve) => {
      child.once("exit", () => {
        cleanUp()
        resolve()
      })
      child.kill("SIGTERM")
    }),
})

/** `NIMBUS_EVENTS_PER_SECOND` where two transports are compared, not what ships: its own bound must not be what is measured. */
export const unlimited = "1000000"

/** The embedded server as `npm start` has it, on an empty data directory. `execArgv`: for a profile. */
export const startNimbus = (port: number, env: NodeJS.ProcessEnv = {}, execArgv: ReadonlyArray<string> = []) =>
  startEmbedded([...execArgv, file("../../packages/nimbus/src/main.ts"), "start"], port, env)

/** The same with the handler of `Io.ts`. */
export const startHandlers = (port: number, env: NodeJS.ProcessEnv = {}) => startServer("handlers.ts", port, env)

/** A server that is a file of the bench, on the port and data directory of its environment. */
export const startServer = (path: string, port: number, env: NodeJS.ProcessEnv = {}) =>
  startEmbedded([file(path)], port, env)

const startEmbedded = async (args: ReadonlyArray<string>, port: number, env: NodeJS.ProcessEnv): Promise<Running> => {
  const data = mkdtempSync(join(tmpdir(), "nimbus-bench-"))
  const settings = { NIMBUS_DATA: data, NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: "0", ...env }
  const child = await start(["--max-semi-space-size=8", ...args], port, settings)
  const url = (clientId: string) => `ws://127.0.0.1:${port}/v1/stream?clientId=${clientId}&ack=client`
  return running(child, { name: "nimbus", url, protocol: "nimbus" }, `http://127.0.0.1:${port}`, () =>
    rmSync(data, { recursive: true, force: true }),
  )
}

/**
 * Three processes on the services that `env` names: a gateway, the event consumer, and the rest of the pipeline, which
 * can be paused on its own. `NIMBUS_BENCH_EXECARGV`: Node's options for them, for profiles.
 */
export const startCluster = async (mailbox: Cluster["mailbox"], env: NodeJS.ProcessEnv): Promise<Cluster> => {
  const [httpPort, eventsPort, resultsPort] = (await freePorts(3)) as [number, number, number]
  const execArgv = (process.env["NIMBUS_BENCH_EXECARGV"] ?? "").split(" ").filter((word) => word !== "")
  const settings = { ...env, NIMBUS_MAILBOX: mailbox, NIMBUS_EVENTS_PER_SECOND: unlimited }
  const gatewayMain = [...execArgv, file("../../packages/nimbus/src/cluster/gateway.ts")]
  const pipelineMain = [...execArgv, file("../../packages/nimbus/src/cluster/pipeline.ts")]
  const pipeline = (port: number, roles: string) =>
    start(pipelineMain, port, { ...settings, NIMBUS_PIPELINE_HTTP_PORT: `${port}`, NIMBUS_ROLES: roles })
  // One after the other: the first creates the topics.
  const gateway = await start(gatewayMain, httpPort, { ...settings, NIMBUS_HTTP_PORT: `${httpPort}`, NIMBUS_PORT: "0" })
  const events = await pipeline(eventsPort, "event-consumer")
  const results = await pipeline(resultsPort, "result-consumer,replay-consumer,status-manager")
  const url = (clientId: string) => `ws://127.0.0.1:${httpPort}/v1/stream?clientId=${clientId}&ack=client`
  const server = { name: `nimbus on Kafka and ${mailbox}`, url, protocol: "nimbus" } as const
  const base = `http://127.0.0.1:${httpPort}`
  const parts = [gateway, events, results].map((child) => running(child, server, base, () => {}))
  return {
    ...running(gateway, server, base, () => {}),
    mailbox,
    whilePaused: async (f) => {
      results.kill("SIGSTOP")
      await f().finally(() => results.kill("SIGCONT"))
    },
    stop: async () => void (await Promise.all(parts.map((part) => part.stop()))),
  }
}

/** A WebSocket server with a Kafka consumer for each client. It is killed at the end: a thousand groups leave slowly. */
export const startPerClient = async (port: number, env: NodeJS.ProcessEnv): Promise<Running> => {
  const child = await start([file("perClient.ts")], port, { ...env, PORT: `${port}` })
  const url = (clientId: string) => `ws://127.0.0.1:${port}/?clientId=${clientId}`
  const base = `http://127.0.0.1:${port}`
  const started = running(child, { name: "a consumer for each client", url, protocol: "echo" }, base, () => {})
  return {
    ...started,
    stop: () =>
      new Promise((resolve) => {
        child.once("exit", () => resolve())
        child.kill("SIGKILL")
      }),
  }
}

/** A raw `ws` server that echoes every frame. */
export const startEcho = async (port: number): Promise<Running> => {
  const child = await start([file("echo.ts")], port, { PORT: `${port}` })
  const url = () => `ws://127.0.0.1:${port}/`
  return running(child, { name: "raw ws echo", url, protocol: "echo" }, `http://127.0.0.1:${port}`, () => {})
}
