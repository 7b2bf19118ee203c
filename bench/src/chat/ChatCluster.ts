/**
 * Processes of a cluster for the chat: gateways and a storage writer on real services, with topics, a schema and a prefix
 * of their own, and the address of a balancer before the gateways.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createConnection, createServer, type Server } from "node:net"
import { fileURLToPath } from "node:url"
import { assert } from "@effect/vitest"
import type { Services } from "../../../scripts/services/Services.ts"
import { topicsOf } from "../../../scripts/services/Topics.ts"
import { freePorts } from "../../../scripts/services/Tools.ts"
import { until } from "./Talker.ts"

const main = (program: "gateway" | "pipeline") =>
  fileURLToPath(new URL(`../../../packages/nimbus/src/cluster/${program}.ts`, import.meta.url))

export interface ChatProcess {
  readonly port: number
  readonly url: string
  readonly process: ChildProcess
  readonly ended: Promise<unknown>
}

export class ChatCluster {
  readonly gateways: ReadonlyArray<ChatProcess>
  readonly #balancer: Server
  readonly #children: ReadonlySet<ChildProcess>

  private constructor(gateways: ReadonlyArray<ChatProcess>, balancer: Server, children: ReadonlySet<ChildProcess>) {
    this.gateways = gateways
    this.#balancer = balancer
    this.#children = children
  }

  /** `name`: nobody else's on these services. */
  static async start(services: Services, name: string, settings: Readonly<Record<string, string>> = {}) {
    const children = new Set<ChildProcess>()
    const env = { ...process.env, ...services.environment, ...settingsOf(name), ...settings }
    const start = async (program: "gateway" | "pipeline", port: number, own: Readonly<Record<string, string>>) => {
      const stdio = ["ignore", "ignore", "inherit"] as const
      const child = spawn(process.execPath, [main(program)], { stdio: [...stdio], env: { ...env, ...own } })
      children.add(child)
      const ended = once(child, "exit").then(([code]) => (children.delete(child), code))
      const url = `http://127.0.0.1:${port}`
      await until(`a ${program} is ready`, () => isReady(url))
      return { port, url, process: child, ended }
    }
    const startGateway = async () => {
      const [port = 0, grpcPort = 0] = await freePorts(2)
      return start("gateway", port, { NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: `${grpcPort}` })
    }
    const startWriter = async () => {
      const [port = 0] = await freePorts(1)
      return start("pipeline", port, { NIMBUS_PIPELINE_HTTP_PORT: `${port}`, NIMBUS_ROLES: "storage-writer" })
    }
    // The first makes the topics.
    const first = await startGateway()
    const [second] = await Promise.all([startGateway(), startWriter()])
    const gateways = [first, second]
    const balancer = balance(gateways.map(({ port }) => port)).listen(0, "127.0.0.1")
    await once(balancer, "listening")
    return new ChatCluster(gateways, balancer, children)
  }

  /** Of the balancer: connections go to the gateways in turn. */
  get url(): string {
    const address = this.#balancer.address()
    return address === null || typeof address === "string" ? assert.fail("no port") : `http://127.0.0.1:${address.port}`
  }

  async stop(): Promise<void> {
    this.#balancer.close()
    const all = [...this.#children].map((child) => once(child, "exit"))
    for (const child of this.#children) child.kill("SIGKILL")
    await Promise.all(all)
  }
}

const settingsOf = (name: string): Readonly<Record<string, string>> => ({
  NIMBUS_PARTITIONS: "3",
  NIMBUS_STORAGE: "postgres",
  NIMBUS_POSTGRES_SCHEMA: name.replaceAll("-", "_"),
  NIMBUS_REDIS_PREFIX: name,
  NIMBUS_SHUTDOWN_TIMEOUT_SEC: "30",
  ...topicsOf(name),
})

const isReady = (url: string): Promise<boolean> =>
  fetch(`${url}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )

/** Takes connections in turn to the ports, and to another where nobody listens. */
const balance = (ports: ReadonlyArray<number>): Server => {
  let next = 0
  return createServer((socket) => {
    socket.on("error", () => {})
    const attempt = (left: number): void => {
      if (left === 0) return void socket.destroy()
      const to = createConnection(ports[next++ % ports.length] ?? 0, "127.0.0.1")
      const again = () => attempt(left - 1)
      to.once("error", again)
      to.once("connect", () => {
        to.off("error", again)
        to.on("error", () => {})
        to.once("close", () => socket.destroy())
        socket.once("close", () => to.destroy())
        socket.pipe(to).pipe(socket)
      })
    }
    attempt(ports.length)
  })
}
