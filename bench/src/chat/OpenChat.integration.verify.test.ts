/**
 * The open chat on two gateway processes, Kafka, Redis and PostgreSQL, with Socket.IO's own clients of versions 4 and 3 as
 * they are: what each hears, argument by argument, also where a gateway is killed.
 */
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { io, type Socket } from "socket.io-client"
import { io as io3 } from "socket.io-client-3"
import { inject } from "vitest"
import { type Services, startServices } from "../../../scripts/services/Services.ts"
import { ChatCluster } from "./ChatCluster.ts"
import { patience_ms, until } from "./Talker.ts"

const available = inject("services")
const isMissing = [available.kafka, available.redis, available.postgres].includes(undefined)

const says_each = 20

/** Says one thing after the other, and writes down what it hears. */
class Speaker {
  readonly name: string
  readonly socket: Socket
  /** All arguments of each `event:listen`. */
  readonly heard: Array<ReadonlyArray<unknown>> = []
  connections = 0
  isLive = false
  said = 0

  constructor(name: string, socket: Socket) {
    this.name = name
    this.socket = socket
    socket.on("connect", () => void this.connections++)
    socket.on("disconnect", () => void (this.isLive = false))
    socket.on("live", () => void (this.isLive = true))
    socket.on("event:listen", (...args) => void this.heard.push(args))
  }

  /** Text and other JSON in turn. Sent again with its id until there is an answer, it is one message. */
  async speak(): Promise<void> {
    for (let n = 0; n < says_each; n++) {
      const data = n % 2 === 0 ? `${this.name} ${n}` : { from: this.name, n }
      while (!(await this.#ask(data, `${this.name}-${n}`))) {
        await until(`${this.name} is live again`, () => this.isLive)
      }
      this.said++
    }
  }

  #ask(data: unknown, id: string): Promise<boolean> {
    return new Promise((resolve) => {
      const gone = () => resolve(false)
      this.socket.once("disconnect", gone)
      this.socket.emit("event:message", data, id, (answer: object) => {
        this.socket.off("disconnect", gone)
        resolve("offset" in answer)
      })
    })
  }
}

const texts = (all: ReadonlyArray<unknown>) => all.map((one) => JSON.stringify(one))

describe.skipIf(isMissing)("the open chat on two gateways", () => {
  let services: Services
  let cluster: ChatCluster
  const sockets = new Set<Socket>()
  let run = 0

  const connect = (name: string, url: string, make: typeof io, options: Parameters<typeof io>[1]): Speaker => {
    const socket = make(url, { forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 500, ...options })
    sockets.add(socket)
    return new Speaker(name, socket)
  }

  beforeAll(async () => {
    services = await startServices(["kafka", "redis", "postgres"])
  }, 180_000)
  afterAll(() => services.stop())
  beforeEach(async () => {
    run++
    cluster = await ChatCluster.start(services, `open-${run}`, { NIMBUS_CHAT_OPEN: "true" })
  }, 180_000)
  afterEach(async () => {
    for (const socket of sockets) socket.disconnect()
    sockets.clear()
    await cluster.stop()
  })

  /** What everyone heard, in its one order: the log's, as the archive has it. */
  const archived = async (count: number): Promise<ReadonlyArray<unknown>> => {
    let all: ReadonlyArray<{ readonly data: unknown }> = []
    const url = `${cluster.gateways[1]?.url}/v1/open/messages?limit=1000`
    await until("all are archived", async () => {
      const { messages } = Object(await (await fetch(url)).json())
      all = messages
      return all.length >= count
    })
    return all.map(({ data }) => data)
  }

  it("every socket hears everything once, as it was said, in the order of the log", async () => {
    const speakers = cluster.gateways.flatMap(({ url }, i) => [
      connect(`socket-${i}`, url, io, { transports: ["websocket"] }),
      connect(`polling-${i}`, url, io, { transports: ["polling"] }),
      connect(`upgraded-${i}`, url, io, {}),
      connect(`three-${i}`, url, io3, { auth: { clientId: `three-${i}` } }),
    ])
    await until("all are live", () => speakers.every(({ isLive }) => isLive))
    await Promise.all(speakers.map((speaker) => speaker.speak()))
    const count = speakers.length * says_each
    await until("all have heard all", () => speakers.every(({ heard }) => heard.length >= count))
    const order = texts((await archived(count)).map((data) => [data]))
    assert.strictEqual(new Set(order).size, count)
    for (const { heard, name } of speakers) assert.deepStrictEqual(texts(heard), order, name)
  }, 180_000)

  it("a gateway is killed: nobody misses anything, and only what was said last may come again", async () => {
    const speakers = Array.from({ length: 10 }, (_, i) => {
      const [make, auth] = i % 2 === 0 ? [io, {}] : [io3, { clientId: `three-${i}` }]
      return connect(`speaker-${i}`, cluster.url, make, { transports: ["websocket"], auth })
    })
    const count = speakers.length * says_each
    await until("all are live", () => speakers.every(({ isLive }) => isLive))
    const kill = async () => {
      await until("a third is said", () => speakers.reduce((sum, { said }) => sum + said, 0) > count / 3)
      const [first] = cluster.gateways
      first?.process.kill("SIGKILL")
      await first?.ended
    }
    await Promise.all([...speakers.map((speaker) => speaker.speak()), kill()])
    const last = texts([(await archived(count)).at(-1)])
    await until("all have heard the last", () =>
      speakers.every(({ heard }) => last.includes(texts(heard.at(-1) ?? []).join())),
    )
    // The archive may have one twice that was sent again; nobody is to hear it as another.
    const order = [...new Set(texts(await archived(count)))]
    assert.strictEqual(order.length, count)
    assert.isAbove(speakers.filter(({ connections }) => connections > 1).length, 2)
    for (const { connections, heard, name } of speakers) {
      const all = texts(heard.flat())
      assert.deepStrictEqual([...new Set(all)], order, name)
      if (connections === 1) assert.strictEqual(all.length, count, name)
    }
  }, 180_000)

  it("is answered by every gateway, and refused where a socket has asked for a room that there can't be", async () => {
    for (const { url } of cluster.gateways) {
      const { socket } = connect("asker", url, io, {})
      assert.property(await socket.timeout(patience_ms).emitWithAck("event:message", "hello"), "offset")
      const other = connect("other", url, io, { auth: { room: "" }, reconnection: false })
      const error = await new Promise<Error>((resolve) => other.socket.once("connect_error", resolve))
      assert.strictEqual(error.message, "Invalid room id")
    }
  }, 180_000)
})
