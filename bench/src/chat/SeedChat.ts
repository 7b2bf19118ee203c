/**
 * The conversation that clients of scalable-chat-app have, held with a server that does what its own does and with Nimbus,
 * and compared packet by packet: whatever the one sends, the other sends too, field by field. It may add fields, arguments
 * behind those that are expected, and events of other names.
 */
import { once } from "node:events"
import { createServer } from "node:http"
import { assert } from "@effect/vitest"
import { Server } from "socket.io"
import { io as io4 } from "socket.io-client"
import { io as io3 } from "socket.io-client-3"
import { until } from "./Talker.ts"

/** Of Socket.IO's protocol. */
const types = { connect: 0, event: 2, connectError: 4 }

export interface Packet {
  readonly type: number
  readonly nsp: string
  readonly data: unknown
}

type Options = Readonly<Record<string, unknown>>

/** As far as the versions of the library are the same. */
interface Client {
  readonly connected: boolean
  readonly io: {
    on(event: "packet", listener: (packet: Packet) => void): unknown
    readonly engine: { close(): unknown }
  }
  emit(event: string, ...args: ReadonlyArray<unknown>): unknown
  disconnect(): unknown
}

/** Unmodified, in the versions that speak the protocol of Socket.IO's server 4. */
export const libraries: Readonly<Record<string, (url: string, options: Options) => Client>> = {
  "socket.io-client 4": io4,
  "socket.io-client 3": io3,
}

/** What scalable-chat-app does for its sockets, on one process. */
export const startSeed = async () => {
  const http = createServer()
  const io = new Server(http)
  io.use((socket, next) => {
    const room: unknown = socket.handshake.auth["room"] || socket.handshake.headers["room"]
    if (!room) return next(new Error("Invalid room id"))
    socket.data.room = room
    next()
  })
  io.on("connection", (socket) => {
    const { room } = socket.data
    void socket.join(room)
    socket.on("message", (data: unknown) => void socket.to(room).emit("message", data))
  })
  http.listen(0, "127.0.0.1")
  await once(http, "listening")
  const address = http.address()
  if (address === null || typeof address === "string") return assert.fail("no port")
  return { url: `http://127.0.0.1:${address.port}`, close: () => io.close() }
}

/** In turn, by the first of each room to the others in it. */
const said: ReadonlyArray<unknown> = [
  "hello",
  "",
  0,
  -1.5,
  null,
  undefined,
  false,
  [],
  {},
  { text: "Küche 😀", list: [1, { deep: [null] }] },
  { id: "m1", sender: "s1", data: "looks like a record" },
  { room: "elsewhere", group_id: 7 },
  JSON.parse(`{"__proto__":{"a":1},"constructor":1}`),
  "x".repeat(20_000),
]

/** Two or three sockets each. */
export const rooms: ReadonlyArray<{ readonly name: string; readonly options: Options }> = [
  { name: "kitchen", options: { auth: { room: "kitchen" } } },
  { name: "Küche 1/2 😀", options: { auth: { room: "Küche 1/2 😀" } } },
  { name: "7", options: { auth: { room: 7 } } },
  { name: "hall", options: { extraHeaders: { room: "hall" } } },
  { name: "Keller-ü", options: { auth: {}, extraHeaders: { room: Buffer.from("Keller-ü").toString("latin1") } } },
  { name: "__proto__", options: { auth: { room: "__proto__" }, transports: ["polling"] } },
]

const homeless: ReadonlyArray<Options> = [{}, { auth: {} }, { auth: { room: "" } }, { auth: { room: null } }]

export type Transcript = Readonly<Record<string, ReadonlyArray<Packet>>>

/** All that each socket was sent. The urls are taken in turn. */
export const converse = async (
  connect: (url: string, options: Options) => Client,
  urls: ReadonlyArray<string>,
): Promise<Transcript> => {
  const transcript: Record<string, Array<Packet>> = {}
  const clients: Array<Client> = []
  const open = (name: string, options: Options): Client => {
    const url = urls[clients.length % urls.length]!
    const client = connect(url, { transports: ["websocket"], forceNew: true, reconnection: false, ...options })
    const packets: Array<Packet> = (transcript[name] = [])
    client.io.on("packet", ({ data, nsp, type }) => packets.push({ type, nsp, data }))
    clients.push(client)
    return client
  }
  try {
    const groups = rooms.map(({ name, options }) => ["a", "b", "c"].map((which) => open(`${name} ${which}`, options)))
    const refused = homeless.map((options) => `without a room ${JSON.stringify(options)}`)
    for (const [i, name] of refused.entries()) open(name, homeless[i]!)
    await until("all are in their rooms", () => groups.flat().every(({ connected }) => connected))
    for (const data of said) for (const [first] of groups) first?.emit("message", data)
    const has = (name: string, count: number) => messagesOf(transcript[name] ?? []).length >= count
    const all = said.length
    await until("all is heard", () => rooms.every(({ name }) => has(`${name} b`, all) && has(`${name} c`, all)))
    for (const [, second] of groups) second?.emit("message", "goodbye")
    await until("goodbye is heard", () => rooms.every(({ name }) => has(`${name} a`, 1) && has(`${name} c`, all + 1)))
    await until("the others are refused", () => refused.every((name) => (transcript[name] ?? []).length > 0))
    return transcript
  } finally {
    for (const client of clients) client.disconnect()
  }
}

/** Whether a socket of Nimbus gets what it would get of its own server, and everything beside that is Nimbus's to add. */
export const assertSame = (nimbus: Transcript, seed: Transcript): void => {
  assert.deepStrictEqual(Object.keys(nimbus), Object.keys(seed))
  for (const [name, expected] of Object.entries(seed)) {
    const got = (nimbus[name] ?? []).filter((packet) => packet.type !== types.event || nameOf(packet) === "message")
    assert.strictEqual(got.length, expected.length, name)
    for (const [i, packet] of expected.entries()) assertSamePacket(got[i]!, packet, `${name}, packet ${i}`)
  }
}

const assertSamePacket = (got: Packet, expected: Packet, where: string): void => {
  assert.deepStrictEqual([got.type, got.nsp], [expected.type, expected.nsp], where)
  if (expected.type === types.connect) {
    for (const field of Object.keys(Object(expected.data)))
      assert.match(String(Object(got.data)[field]), /^\S{20}$/, where)
  } else if (expected.type === types.connectError) {
    assert.deepStrictEqual(got.data, expected.data, where)
  } else {
    const [arrived, wanted] = [argsOf(got), argsOf(expected)]
    assert.deepStrictEqual(arrived.slice(0, wanted.length), wanted, where)
    const [info, offset, ...more] = arrived.slice(wanted.length)
    assert.match(String(offset), /^[0-9a-z]+:\d+$/, where)
    assert.deepStrictEqual(
      [typeof Object(info).time, typeof Object(info).id, typeof Object(info).sender, more],
      ["number", "string", "string", []],
    )
  }
}

const argsOf = ({ data }: Packet): ReadonlyArray<unknown> => (Array.isArray(data) ? data : [])
const nameOf = (packet: Packet): unknown => argsOf(packet)[0]
const messagesOf = (packets: ReadonlyArray<Packet>) => packets.filter((packet) => nameOf(packet) === "message")

/** What a consumer of the topic reads for this conversation: the key, and the value as JSON. */
export const records: ReadonlyArray<{ readonly key: string; readonly value: unknown }> = [
  ...said.flatMap((data) => rooms.map(({ name }) => ({ key: name, value: data ?? null }))),
  ...rooms.map(({ name }) => ({ key: name, value: "goodbye" })),
]
