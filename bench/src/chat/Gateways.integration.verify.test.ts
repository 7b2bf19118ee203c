/**
 * Chat on two gateway processes, Kafka and Redis, with Socket.IO's own clients as they are: rooms, a gateway that is
 * killed, broadcasts. The clients reach the gateways through one address, as behind a load balancer. A storage writer
 * takes all that is said to PostgreSQL.
 */
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { io, type Socket } from "socket.io-client"
import { inject } from "vitest"
import { type Services, startServices } from "../../../scripts/services/Services.ts"
import { ChatCluster } from "./ChatCluster.ts"
import { rowsIn } from "./Stores.ts"
import { assertSame, converse, libraries, records, startSeed } from "./SeedChat.ts"
import { type Read, seedConsumer, seedProduce } from "./SeedKafka.ts"
import { assertHeard, messages_per_client, patience_ms, Talker, until } from "./Talker.ts"

const available = inject("services")
const rooms = ["red", "green", "blue", "black", "white"]
const clients_per_room = 10

const isMissing = [available.kafka, available.redis, available.postgres].includes(undefined)

describe.skipIf(isMissing)("chat on two gateways", () => {
  let services: Services
  let cluster: ChatCluster
  const sockets = new Set<Socket>()
  let run = 0

  const connect = (url: string, auth: Record<string, unknown>): Socket => {
    // Long polling needs a balancer that keeps a client with its gateway; WebSockets don't.
    const options = { transports: ["websocket"], forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 500 }
    const socket = io(url, { ...options, auth })
    sockets.add(socket)
    return socket
  }

  beforeAll(async () => {
    services = await startServices(["kafka", "redis", "postgres"])
  }, 180_000)
  afterAll(() => services.stop())

  beforeEach(async () => {
    run++
    cluster = await ChatCluster.start(services, `chat-${run}`)
  }, 180_000)
  afterEach(async () => {
    for (const socket of sockets) socket.disconnect()
    sockets.clear()
    await cluster.stop()
  })

  const brokers = () => services.environment["NIMBUS_KAFKA_BROKERS"] ?? assert.fail("no Kafka")

  const talk = async (during: (said: () => number) => Promise<void>): Promise<ReadonlyArray<Talker>> => {
    const { url } = cluster
    const talkers = rooms.flatMap((room) =>
      Array.from({ length: clients_per_room }, (_, i) => new Talker(`${room}-${i}`, room, connect(url, { room }))),
    )
    await until("all are live", () => talkers.every(({ isLive }) => isLive))
    const said = () => talkers.reduce((sum, { said }) => sum + said, 0)
    await Promise.all([...talkers.map((talker) => talker.talk()), during(said)])
    const expected = (clients_per_room - 1) * messages_per_client
    await until("all have heard all", () => talkers.every(({ heard }) => heard.length >= expected))
    return talkers
  }

  /** In PostgreSQL is every message once, as it was said and where it was acknowledged, and nothing else. */
  const assertStored = async (talkers: ReadonlyArray<Talker>): Promise<void> => {
    const total = talkers.length * messages_per_client
    const read = () => rowsIn(services.environment, `chat_${run}`)
    let rows = await read()
    await until("all are stored", async () => (rows = await read()).length >= total)
    const said = talkers.flatMap(({ name, room }) =>
      Array.from({ length: messages_per_client }, (_, n) => ({ room, id: `${name}-${n}`, data: { from: name, n } })),
    )
    const inOrder = <A extends { readonly id: string }>(all: ReadonlyArray<A>) =>
      all.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const stored = rows.map(({ room, value: { data, id } }) => ({ room, id, data }))
    assert.deepStrictEqual(inOrder(stored), inOrder(said))
    const offsets = new Map(rows.map(({ offset, value }) => [value.id, offset]))
    const acknowledged = talkers.flatMap(({ acknowledged }) => Array.from(acknowledged))
    assert.isAbove(acknowledged.length, total / 2)
    for (const [id, offset] of acknowledged) assert.strictEqual(offsets.get(id), offset, id)
  }

  it("50 sockets in 5 rooms hear all others of their room once, in one order, and nobody else", async () => {
    const talkers = await talk(async () => {})
    for (const { url } of cluster.gateways) await until("it has sockets", async () => (await clientsOf(url)) > 10)
    assertHeard(talkers)
    await assertStored(talkers)
  }, 180_000)

  it("a gateway is killed: its sockets go on at the other one, and miss and repeat nothing", async () => {
    const talkers = await talk(async (said) => {
      await until("a third is said", () => said() > (50 * messages_per_client) / 3)
      const [first] = cluster.gateways
      first?.process.kill("SIGKILL")
      await first?.ended
    })
    assert.isAbove(talkers.filter(({ connections }) => connections > 1).length, 5)
    assertHeard(talkers)
    await assertStored(talkers)
  }, 180_000)

  it("a broadcast reaches the sockets of both gateways, and a socket without a room reaches neither", async () => {
    const heard: Array<string> = []
    const listeners = cluster.gateways.flatMap(({ url }) =>
      rooms.slice(0, 2).map((room) => {
        const socket = connect(url, { room })
        socket.on("broadcast", ({ data }: { readonly data: string }) => heard.push(data))
        return socket
      }),
    )
    await until("all are connected", () => listeners.every(({ connected }) => connected))
    const numbers = Array.from({ length: 20 }, (_, n) => `${n}`)
    for (const [n, text] of numbers.entries()) listeners[n % listeners.length]?.emit("broadcast", text)
    await until("all have all", () => heard.length >= numbers.length * listeners.length)
    const all = numbers.flatMap((text) => listeners.map(() => text))
    assert.deepStrictEqual(heard.toSorted(), all.toSorted())
    for (const { url } of cluster.gateways) {
      const error = await new Promise<Error>((resolve) => connect(url, {}).once("connect_error", resolve))
      assert.strictEqual(error.message, "Invalid room id")
    }
  }, 180_000)

  for (const [name, open] of Object.entries(libraries)) {
    it(`${name} gets every packet that the server of scalable-chat-app sends, and that one's consumer reads every record`, async () => {
      const seed = await startSeed()
      const consumer = await seedConsumer(brokers(), `chat-${run}-CHATS`)
      try {
        const urls = cluster.gateways.map(({ url }) => url)
        assertSame(await converse(open, urls), await converse(open, [seed.url]))
        await until("all are read", () => consumer.read.length >= records.length)
        const sorted = (all: ReadonlyArray<Read>) => all.map((one) => JSON.stringify([one.key, one.value])).toSorted()
        assert.deepStrictEqual(sorted(consumer.read), sorted(records))
      } finally {
        await Promise.all([seed.close(), consumer.close()])
      }
    }, 180_000)
  }

  it("what others produce reaches the room on both gateways, with a key or without", async () => {
    const heard = cluster.gateways.map(({ url }) => {
      const packets: Array<ReadonlyArray<unknown>> = []
      connect(url, { room: "Küche" }).on("message", (...args: ReadonlyArray<unknown>) => packets.push(args))
      return packets
    })
    await until("both are there", () => [...sockets].every(({ connected }) => connected))
    const keyed = [{ text: "keyed" }, "text", { id: "m", data: 1 }]
    const keyless = Array.from({ length: 9 }, (_, n) => ({ [n % 2 === 0 ? "room" : "group_id"]: "Küche", n }))
    const topic = `chat-${run}-CHATS`
    await seedProduce(brokers(), topic, [
      { key: null, value: "1" },
      { key: "Küche", value: null },
      { key: null, value: `{"room":"Keller"}` },
      ...keyed.map((data) => ({
        key: "Küche",
        value: JSON.stringify(data),
        headers: { a: Buffer.from([255]), b: ["x", "y"] },
      })),
      // In all partitions.
      ...keyless.map((data, n) => ({ partition: n % 3, value: JSON.stringify(data) })),
    ])
    for (const packets of heard) {
      await until("all are heard", () => packets.length >= keyed.length + keyless.length)
      const inOrder = (all: ReadonlyArray<unknown>) => all.map((data) => JSON.stringify(data)).toSorted()
      assert.deepStrictEqual(inOrder(packets.map(([data]) => data)), inOrder([...keyed, ...keyless]))
      for (const [, info, offset, ...more] of packets) {
        assert.deepStrictEqual([Object.keys(Object(info)), typeof offset, more], [["time"], "string", []])
      }
    }
  }, 180_000)

  it("a gateway that is told to go leaves in time, and its sockets come back to the other one", async () => {
    const socket = connect(cluster.url, { room: "red" })
    const reasons: Array<string> = []
    socket.on("disconnect", (reason) => reasons.push(reason))
    await until("it is connected", () => socket.connected)
    const counts = () => Promise.all(cluster.gateways.map(({ url }) => clientsOf(url)))
    await until("it is counted", async () => (await counts()).some((count) => count > 0))
    const now = await counts()
    const its = cluster.gateways.find((_, i) => (now[i] ?? 0) > 0) ?? assert.fail("nobody has it")
    its.process.kill("SIGTERM")
    // Not 1, which says that it was cut short.
    assert.strictEqual(await its.ended, 0)
    await until("it is back", () => reasons.length === 1 && socket.connected)
    assert.property(await socket.timeout(patience_ms).emitWithAck("message", "still here"), "offset")
  }, 180_000)
})

/** How many sockets a gateway has in rooms. */
const clientsOf = async (url: string): Promise<number> => {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^nimbus_gateway_chat_sockets (\d+)/m.exec(metrics)?.[1] ?? 0)
}
