/** Both processes of a cluster as operators have them, when something they need is wrong, missing or away. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "@effect/vitest"
import { inject } from "vitest"
import { type Services, startServices } from "../../../scripts/services/Services.ts"
import { topicsOf } from "../../../scripts/services/Topics.ts"
import { ask, freePorts, until } from "../../../scripts/services/Tools.ts"

const available = inject("services")

const programs = {
  gateway: fileURLToPath(new URL("../../../packages/nimbus/src/cluster/gateway.ts", import.meta.url)),
  pipeline: fileURLToPath(new URL("../../../packages/nimbus/src/cluster/pipeline.ts", import.meta.url)),
}
const roles = ["gateway", "pipeline"] as const
type Role = (typeof roles)[number]

/** It only ends what would never come, on a machine that may be busy. */
const patience_ms = 90_000

interface Running {
  readonly port: number
  /** What it has printed so far, stderr too. */
  text(): string
  readonly ended: Promise<number | null>
  /** The status and body of `/readyz`; `undefined` while nobody listens. */
  ready(): Promise<string | undefined>
  stop(): void
}

describe.skipIf(available.kafka === undefined || available.redis === undefined)("the processes of a cluster", () => {
  let services: Services
  let directory = ""
  const children = new Set<ChildProcess>()
  /** Topics and keys of a test's own. */
  let run = 0

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "nimbus-start-"))
    services = await startServices(["kafka", "redis"])
  }, 180_000)
  afterEach(async () => {
    const all = [...children].map((child) => once(child, "close"))
    for (const child of children) child.kill("SIGKILL")
    await Promise.all(all)
  })
  afterAll(async () => {
    await services.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const own = (): Readonly<Record<string, string>> => {
    run++
    return {
      NIMBUS_PARTITIONS: "2",
      NIMBUS_REDIS_PREFIX: `run-${run}`,
      ...topicsOf(`run-${run}`),
    }
  }

  const start = async (role: Role, settings: Readonly<Record<string, string>>): Promise<Running> => {
    const [port = 0] = await freePorts(1)
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("NIMBUS_"))
    const child = spawn(process.execPath, [programs[role]], {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...Object.fromEntries(inherited),
        ...services.environment,
        NIMBUS_PORT: "0",
        [role === "gateway" ? "NIMBUS_HTTP_PORT" : "NIMBUS_PIPELINE_HTTP_PORT"]: String(port),
        ...settings,
      },
    })
    children.add(child)
    let text = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (text += data.toString()))
    const ended = once(child, "close").then(([code]) => {
      children.delete(child)
      return code
    })
    return {
      port,
      text: () => text,
      ended,
      stop: () => void child.kill("SIGTERM"),
      ready: async () => {
        try {
          const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(10_000) })
          return `${response.status} ${(await response.text()).trim()}`
        } catch {
          return undefined
        }
      },
    }
  }

  /** A client that sends an event from time to time, and comes back when its connection is closed. */
  const sendEvents = ({ port }: Running) => {
    let answered = 0
    let socket: WebSocket | undefined
    const connect = (): void => {
      socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream?clientId=sender`)
      socket.addEventListener("message", ({ data }) => void (String(data).includes('"results"') && answered++))
    }
    const timer = setInterval(() => {
      if (socket === undefined || socket.readyState === WebSocket.CLOSED) connect()
      if (socket?.readyState !== WebSocket.OPEN) return
      socket.send(JSON.stringify({ type: "event", name: "sq", data: { number: 7 } }))
    }, 20)
    return {
      answered: () => answered,
      stop: () => {
        clearInterval(timer)
        socket?.close()
      },
    }
  }

  /** One line for what fails, whatever it is, and one when it works again: no stack, and no flood of the same. */
  const tellsOfAnOutage = (text: string): void => {
    const lines = text.trimEnd().split("\n")
    for (const line of lines) assert.match(line, /^timestamp=\S+ level=(INFO|WARN) fiber=\S+ message=/)
    const messages = lines.map((line) => line.replaceAll(/^.*? message=|\d+/g, ""))
    const often = [...Map.groupBy(messages, (message) => message)].filter(([, same]) => same.length > 2)
    assert.deepStrictEqual(often, [], text)
    assert.match(text, /message="[^"]+ fails: [^"]+".* code=[A-Z_]+/)
    assert.match(text, /message="[^"]+ works again, after \d+\.\d s and \d+ failures?"/)
  }

  const isReady = async (running: Running): Promise<void> => {
    assert.isTrue(await until(async () => (await running.ready()) === "200 ready", patience_ms), running.text())
  }

  /** Ends with 1 after one line, which says this. */
  const refuses = async (role: Role, settings: Readonly<Record<string, string>>, line: RegExp): Promise<void> => {
    const running = await start(role, settings)
    assert.strictEqual(await running.ended, 1, running.text())
    const said = running
      .text()
      .split("\n")
      .filter((line) => line.startsWith("nimbus: "))
    assert.match(said.join("\n"), line)
    assert.strictEqual(said.length, 1, running.text())
    assert.notInclude(running.text(), "    at ", "no stack trace")
  }

  it.each(roles)("a %s does not create topics where that is off, and names the one that is missing", (role) =>
    refuses(
      role,
      { ...own(), NIMBUS_KAFKA_CREATE_TOPICS: "false" },
      /^nimbus: Kafka has no topic run-\d+-EVENTS, .* \(KAFKA_TOPIC_MISSING, see docs\/errors.md\)$/,
    ),
  )

  it.each(roles)("a %s refuses topics of another partition count", async (role) => {
    const settings = own()
    const first = await start(role, settings)
    await isReady(first)
    first.stop()
    assert.strictEqual(await first.ended, 0, first.text())
    const line = /^nimbus: the topic run-\d+-\w+ has 2 partitions in Kafka, and not 3 .* \(KAFKA_PARTITIONS_UNEQUAL,/
    await refuses(role, { ...settings, NIMBUS_PARTITIONS: "3" }, line)
  })

  it.each(roles)("a %s refuses to keep the mailboxes elsewhere than the others", async (role) => {
    const settings = own()
    const first = await start(role === "gateway" ? "pipeline" : "gateway", settings)
    await isReady(first)
    const line = /^nimbus: mailboxes are kept in redis, but NIMBUS_MAILBOX is postgres .* \(OTHER_MAILBOX_STORE,/
    await refuses(role, { ...settings, NIMBUS_MAILBOX: "postgres" }, line)
  })

  it.each(roles)("a %s says that Redis turns it away, and does not say the password", async (role) => {
    const port = Number(services.get("redis").address.split(":")[1])
    const tell = async (...words: ReadonlyArray<string>) =>
      (await ask(port, Buffer.from(`${words.join(" ")}\r\n`)))?.toString().trim()
    assert.strictEqual(await tell("CONFIG", "SET", "requirepass", "sesame"), "+OK")
    try {
      const line = /^nimbus: Redis at 127.0.0.1:\d+ turns us away: .* \(REDIS_REFUSED, see docs\/errors.md\)$/
      await refuses(role, { ...own(), NIMBUS_REDIS_PASSWORD: "barley" }, line)
      await refuses(role, own(), line)
      const let_in = await start(role, { ...own(), NIMBUS_REDIS_PASSWORD: "sesame" })
      await isReady(let_in)
      assert.notInclude(let_in.text(), "sesame")
    } finally {
      await services.get("redis").restart()
    }
  })

  it("both wait for Kafka at start, say so, and come back when it is lost later", { timeout: 400_000 }, async () => {
    const server = services.get("kafka")
    await server.stop()
    const settings = own()
    const both = await Promise.all(roles.map((role) => start(role, settings)))
    for (const { port, text } of both) {
      const line = `waiting for Kafka at ${server.address}`
      assert.isTrue(await until(() => text().includes(line), patience_ms), text())
      assert.strictEqual((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
      assert.notInclude(text(), "ready:")
    }
    await server.start()
    for (const running of both) await isReady(running)
    for (const { port, text } of both) {
      assert.isTrue(await until(() => text().includes("ready:"), patience_ms), text())
      assert.match(text(), new RegExp(`message="ready: .* on http://127.0.0.1:${port}`))
    }

    const sender = sendEvents(both[0]!)
    assert.isTrue(await until(async () => sender.answered() > 10, patience_ms), "events are answered")
    const before = both.map(({ text }) => text().length)
    await server.stop()
    for (const running of both) {
      assert.isTrue(
        await until(async () => (await running.ready()) === "503 not ready: log", patience_ms),
        running.text(),
      )
    }
    await server.start()
    for (const running of both) await isReady(running)
    const answered = sender.answered()
    assert.isTrue(await until(async () => sender.answered() > answered + 10, patience_ms), "events are answered again")
    sender.stop()
    for (const [i, running] of both.entries()) tellsOfAnOutage(running.text().slice(before[i]))
    for (const running of both) {
      running.stop()
      assert.strictEqual(running.text().split("ready:").length, 2, "one line when it is ready")
      assert.strictEqual(await running.ended, 0, running.text())
    }
  })
})
