/**
 * Chat on two gateway processes, Kafka and Redis, with Socket.IO's own clients as they are: rooms, a gateway that is
 * killed, broadcasts. The clients reach the gateways through one address, as behind a load balancer.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createConnection, createServer, type Server } from "node:net"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { io, type Socket } from "socket.io-client"
import { inject } from "vitest"
import { type Services, startServices } from "../../../scripts/services/Services.ts"
import { freePorts, until as isTrueWithin } from "../../../scripts/services/Tools.ts"

const available = inject("services")
const main = fileURLToPath(new URL("../../../packages/gateway/src/main.ts", import.meta.url))

const rooms = ["red", "green", "blue", "black", "white"]
const clients_per_room = 10
const messages_per_client = 20

interface Gateway {
  readonly port: number
  readonly url: string
  readonly process: ChildProcess
  readonly ended: Promise<unknown>
}

describe.skipIf(available.kafka === undefined || available.redis === undefined)("chat on two gateways", () => {
  let services: Services
  let gateways: [Gateway, Gateway]
  let balancer: Server
  const sockets = new Set<Socket>()
  const children = new Set<ChildProcess>()
  let run = 0

  const startGateway = async (settings: Readonly<Record<string, string>>): Promise<Gateway> => {
    const [port = 0, grpcPort = 0] = await freePorts(2)
    const child = spawn(process.execPath, [main], {
      stdio: ["ignore", "ignore", "inherit"],
      env: {
        ...process.env,
        ...services.environment,
        ...settings,
        NIMBUS_HTTP_PORT: `${port}`,
        NIMBUS_PORT: `${grpcPort}`,
      },
    })
    children.add(child)
    const ended = once(child, "exit").then(([code]) => (children.delete(child), code))
    const url = `http://127.0.0.1:${port}`
    const isReady = () =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
    await until("a gateway is ready", isReady, 30_000)
    return { port, url, process: child, ended }
  }

  const connect = (url: string, auth: Record<string, unknown>): Socket => {
    // Long polling needs a balancer that keeps a client with its gateway; WebSockets don't.
    const options = { transports: ["websocket"], forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 500 }
    const socket = io(url, { ...options, auth })
    sockets.add(socket)
    return socket
  }

  beforeAll(async () => {
    services = await startServices(["kafka", "redis"])
  }, 90_000)
  afterAll(() => services.stop())

  beforeEach(async () => {
    run++
    const settings = {
      NIMBUS_PARTITIONS: "3",
      NIMBUS_REDIS_PREFIX: `chat-${run}`,
      NIMBUS_SHUTDOWN_TIMEOUT_SEC: "10",
      ...Object.fromEntries(
        ["EVENTS", "RESULTS", "DLQ", "QUARANTINE", "JOURNEY", "CHATS"].map((name) => [
          `NIMBUS_KAFKA_${name}_TOPIC`,
          `chat-${run}-${name}`,
        ]),
      ),
    }
    gateways = [await startGateway(settings), await startGateway(settings)]
    balancer = balance(gateways.map(({ port }) => port)).listen(0, "127.0.0.1")
    await once(balancer, "listening")
  }, 60_000)
  afterEach(async () => {
    for (const socket of sockets) socket.disconnect()
    sockets.clear()
    balancer.close()
    const all = [...children].map((child) => once(child, "exit"))
    for (const child of children) child.kill("SIGKILL")
    await Promise.all(all)
  })

  const addressOf = (server: Server): string => {
    const address = server.address()
    return address === null || typeof address === "string" ? assert.fail("no port") : `http://127.0.0.1:${address.port}`
  }

  const talk = async (during: (said: () => number) => Promise<void>): Promise<ReadonlyArray<Talker>> => {
    const url = addressOf(balancer)
    const talkers = rooms.flatMap((room) =>
      Array.from({ length: clients_per_room }, (_, i) => new Talker(`${room}-${i}`, room, connect(url, { room }))),
    )
    await until("all are live", () => talkers.every(({ isLive }) => isLive), 20_000)
    const said = () => talkers.reduce((sum, { said }) => sum + said, 0)
    await Promise.all([...talkers.map((talker) => talker.talk()), during(said)])
    const expected = (clients_per_room - 1) * messages_per_client
    await until("all have heard all", () => talkers.every(({ heard }) => heard.length >= expected), 20_000)
    return talkers
  }

  it("50 sockets in 5 rooms hear all others of their room once, in one order, and nobody else", async () => {
    const talkers = await talk(async () => {})
    for (const { url } of gateways) await until("it has sockets", async () => (await clientsOf(url)) > 10, 5_000)
    assertHeard(talkers)
  }, 60_000)

  it("a gateway is killed: its sockets go on at the other one, and miss and repeat nothing", async () => {
    const talkers = await talk(async (said) => {
      await until("a third is said", () => said() > (50 * messages_per_client) / 3, 20_000)
      gateways[0].process.kill("SIGKILL")
      await gateways[0].ended
    })
    assert.isAbove(talkers.filter(({ connections }) => connections > 1).length, 5)
    assertHeard(talkers)
  }, 90_000)

  it("a broadcast reaches the sockets of both gateways, and a socket without a room reaches neither", async () => {
    const heard: Array<string> = []
    const listeners = gateways.flatMap(({ url }) =>
      rooms.slice(0, 2).map((room) => {
        const socket = connect(url, { room })
        socket.on("broadcast", ({ data }: { readonly data: string }) => heard.push(data))
        return socket
      }),
    )
    await until("all are connected", () => listeners.every(({ connected }) => connected), 10_000)
    const numbers = Array.from({ length: 20 }, (_, n) => `${n}`)
    for (const [n, text] of numbers.entries()) listeners[n % listeners.length]?.emit("broadcast", text)
    await until("all have all", () => heard.length >= numbers.length * listeners.length, 10_000)
    const all = numbers.flatMap((text) => listeners.map(() => text))
    assert.deepStrictEqual(heard.toSorted(), all.toSorted())
    for (const { url } of gateways) {
      const error = await new Promise<Error>((resolve) => connect(url, {}).once("connect_error", resolve))
      assert.strictEqual(error.message, "Invalid room id")
    }
  }, 60_000)

  it("a gateway that is told to go leaves in time, and its sockets come back to the other one", async () => {
    const socket = connect(addressOf(balancer), { room: "red" })
    const reasons: Array<string> = []
    socket.on("disconnect", (reason) => reasons.push(reason))
    await until("it is connected", () => socket.connected, 10_000)
    const counts = () => Promise.all(gateways.map(({ url }) => clientsOf(url)))
    await until("it is counted", async () => (await counts()).some((count) => count > 0), 5_000)
    const its = (await clientsOf(gateways[0].url)) > 0 ? gateways[0] : gateways[1]
    const began_ms = performance.now()
    its.process.kill("SIGTERM")
    assert.strictEqual(await its.ended, 0)
    assert.isBelow(performance.now() - began_ms, 8_000)
    await until("it is back", () => reasons.length === 1 && socket.connected, 10_000)
    assert.property(await socket.timeout(5_000).emitWithAck("message", "still here"), "offset")
  }, 60_000)
})

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

const until = async (what: string, condition: () => boolean | Promise<boolean>, within_ms: number): Promise<void> =>
  assert.isTrue(await isTrueWithin(condition, within_ms), what)

/** How many sockets a gateway has in rooms. */
const clientsOf = async (url: string): Promise<number> => {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^nimbus_gateway_chat_sockets (\d+)/m.exec(metrics)?.[1] ?? 0)
}

interface Said {
  readonly from: string
  readonly n: number
}

const isSaid = (u: unknown): u is { readonly data: Said } =>
  typeof u === "object" &&
  u !== null &&
  "data" in u &&
  typeof u.data === "object" &&
  u.data !== null &&
  "from" in u.data

/** Says its numbers one after the other, and writes down what it hears. */
class Talker {
  readonly name: string
  readonly room: string
  readonly heard: Array<Said> = []
  said = 0
  connections = 0
  isLive = false
  /** Its own that the history gave back: what it said before it was cut off, and has no answer for. */
  readonly #own = new Set<number>()
  readonly #socket: Socket

  constructor(name: string, room: string, socket: Socket) {
    this.name = name
    this.room = room
    this.#socket = socket
    socket.on("connect", () => void this.connections++)
    socket.on("disconnect", () => void (this.isLive = false))
    socket.on("live", () => void (this.isLive = true))
    socket.on("message", (message: unknown) => {
      if (!isSaid(message)) return
      if (message.data.from === name) this.#own.add(message.data.n)
      else this.heard.push(message.data)
    })
  }

  async talk(): Promise<void> {
    for (let n = 0; n < messages_per_client; n++) {
      while (!this.#own.has(n) && !(await this.#say(n))) {
        await until(`${this.name} is live again`, () => this.isLive, 20_000)
      }
      this.said++
    }
  }

  /** Whether the log has it for sure. */
  async #say(n: number): Promise<boolean> {
    const answer = this.#socket.timeout(2_000).emitWithAck("message", { from: this.name, n }, `${this.name}-${n}`)
    const told: unknown = await answer.catch(() => undefined)
    return typeof told === "object" && told !== null && "offset" in told
  }
}

const assertHeard = (talkers: ReadonlyArray<Talker>): void => {
  for (const { heard, name, room } of talkers) {
    const others = talkers.filter((other) => other.room === room && other.name !== name)
    assert.strictEqual(heard.length, others.length * messages_per_client, `${name} hears each message once`)
    for (const other of others) {
      const numbers = heard.filter(({ from }) => from === other.name).map(({ n }) => n)
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: messages_per_client }, (_, n) => n),
        `${name} of ${other.name}`,
      )
    }
  }
  // One order for all of a room: what two of them heard of a third party stands in the same order.
  for (const [a, b] of talkers.slice(1).map((talker, i) => [talkers[i], talker] as const)) {
    if (a === undefined || a.room !== b.room) continue
    const common = (talker: Talker) =>
      talker.heard.filter(({ from }) => from !== a.name && from !== b.name).map(({ from, n }) => `${from}-${n}`)
    assert.deepStrictEqual(common(a), common(b))
  }
}
