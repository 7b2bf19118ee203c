/** `nimbus start` as its users have it: a process of its own, on an empty directory, whose vital signs can be read. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs"
import { get } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { freePorts, until } from "../../../scripts/services/Tools.ts"

const preload = fileURLToPath(new URL("./preload.ts", import.meta.url))
const program = fileURLToPath(new URL("../../../packages/nimbus/src/main.ts", import.meta.url))
const ready_within_ms = 180_000
const flags = ["--max-semi-space-size=8", "--expose-gc"]
/** How long the server may take to answer for its vital signs. */
const answer_ms = 60_000
/** The end of its output, for finding the cause. */
const kept_chars = 64 * 1024

export interface Vitals {
  /** Memory that is the process's own, without garbage: resident, without files that are mapped into it. */
  readonly rss_bytes: number
  /** On V8's heap and in buffers beside it, without garbage. */
  readonly memory_bytes: number
  /** The most of it since the last look, with garbage. */
  readonly peak_bytes: number
  /** Processor time since it started, of all its threads. */
  readonly cpu_ms: number
  /** The longest time that the event loop stood still since the last look. */
  readonly delay_ms: number
  readonly sockets: number
  /** Descriptors of all kinds. */
  readonly handles: number
}

/** The bounds on pace are met elsewhere: where frames are counted they would only make the run longer. */
export const unpaced = { NIMBUS_EVENTS_PER_SECOND: "1000000", NIMBUS_CHAT_MESSAGES_PER_SECOND: "1000000" }

export class Server {
  readonly ports: { readonly http: number; readonly grpc: number }
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #headers: Readonly<Record<string, string>>
  #printed = ""
  #errors = 0

  /** `env`: beside what is set for every run. `token`: of who looks on, where there are locks. */
  static async start(
    storage: "pglite" | "none",
    env: Readonly<Record<string, string>> = unpaced,
    token?: string,
  ): Promise<Server> {
    const directory = mkdtempSync(join(tmpdir(), "nimbus-fuzz-"))
    const [http = 0, grpc = 0] = await freePorts(2)
    const server = new Server(directory, { ...env, NIMBUS_STORAGE: storage }, { http, grpc }, token)
    if (await until(async () => !server.isAlive || (await server.isServing(storage)), ready_within_ms)) {
      if (server.isAlive) return server
    }
    await server.stop()
    throw new Error(`nimbus start did not become ready:\n${server.printed}`)
  }

  private constructor(
    directory: string,
    env: Readonly<Record<string, string>>,
    ports: Server["ports"],
    token?: string,
  ) {
    this.ports = ports
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("NIMBUS_"))
    this.#child = spawn(process.execPath, [...flags, "--import", preload, program, "start"], {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: {
        ...Object.fromEntries(inherited),
        ...env,
        NIMBUS_HTTP_PORT: String(ports.http),
        NIMBUS_PORT: String(ports.grpc),
      },
    })
    const kill = () => this.#child.kill("SIGKILL")
    process.once("exit", kill)
    this.#ended = once(this.#child, "close")
    this.#child.once("close", () => {
      process.off("exit", kill)
      rmSync(directory, { recursive: true, force: true })
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (data: Buffer) => this.#print(data))
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The end of what it printed. */
  get printed(): string {
    return this.#printed
  }

  /** Lines that say that something went wrong which nobody had expected. */
  get errors(): number {
    return this.#errors
  }

  isReady(): Promise<boolean> {
    return this.#ask("/readyz").then(
      ({ status }) => status === 200,
      () => false,
    )
  }

  /** Ready, and with an archive that answers: one that is new is made for a while yet. */
  async isServing(storage: "pglite" | "none"): Promise<boolean> {
    if (!(await this.isReady())) return false
    return storage === "none" || (await this.#ask("/v1/clients/nobody/results").catch(() => undefined))?.status === 200
  }

  /** Sessions and chat sockets that it says it has. */
  async connections(): Promise<number> {
    const body = await this.metrics()
    const gauges = body.matchAll(/^nimbus_gateway_(?:sessions|chat_sockets)\S* (\d+)/gm)
    return [...gauges].reduce((sum, [, count]) => sum + Number(count), 0)
  }

  async metrics(): Promise<string> {
    return (await this.#ask("/metrics")).body
  }

  /** Asks nobody but the system. Undefined once the process has ended. */
  rss_bytes(): number | undefined {
    try {
      const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8")
      const anonymous = /RssAnon:\s+(\d+)/.exec(status)?.[1]
      return anonymous === undefined ? undefined : Number(anonymous) * 1024
    } catch {
      return undefined
    }
  }

  async vitals(): Promise<Vitals> {
    const ended = new AbortController()
    const end = () => ended.abort()
    this.#child.once("close", end)
    const signal = AbortSignal.any([AbortSignal.timeout(answer_ms), ended.signal])
    const answer = once(this.#child, "message", { signal }).finally(() => this.#child.off("close", end))
    this.#child.send("vitals")
    const [told]: ReadonlyArray<unknown> = await answer
    const links = readdirSync(`/proc/${this.#child.pid}/fd`).map((fd) => linkOf(`/proc/${this.#child.pid}/fd/${fd}`))
    return {
      rss_bytes: this.rss_bytes() ?? Number.NaN,
      memory_bytes: numberIn(told, "memory_bytes"),
      peak_bytes: numberIn(told, "peak_bytes"),
      cpu_ms: numberIn(told, "cpu_ms"),
      delay_ms: numberIn(told, "longest_delay_ms"),
      sockets: links.filter((link) => link.startsWith("socket:")).length,
      handles: links.length,
    }
  }

  async stop(): Promise<void> {
    if (this.isAlive) this.#child.kill("SIGTERM")
    await this.#ended
  }

  /** On a connection of its own, which is closed with the answer: connections are counted here. */
  #ask(path: string): Promise<{ readonly status: number | undefined; readonly body: string }> {
    return new Promise((resolve, reject) => {
      const url = `http://127.0.0.1:${this.ports.http}${path}`
      const request = get(url, { agent: false, timeout: 5_000, headers: this.#headers }, (response) => {
        let body = ""
        response.setEncoding("utf8").on("data", (text: string) => (body += text))
        response.once("error", reject)
        response.once("end", () => resolve({ status: response.statusCode, body }))
      })
      request.once("timeout", () => request.destroy(new Error("no answer")))
      request.once("error", reject)
    })
  }

  #print(data: Buffer): void {
    const text = data.toString()
    this.#errors += text.match(/level=(ERROR|FATAL)|^ {4}at /gm)?.length ?? 0
    this.#printed = (this.#printed + text).slice(-kept_chars)
  }
}

const numberIn = (told: unknown, name: string): number => {
  const value = typeof told === "object" && told !== null ? Reflect.get(told, name) : undefined
  return typeof value === "number" ? value : Number.NaN
}

/** One that was closed meanwhile is nothing. */
const linkOf = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return ""
  }
}
