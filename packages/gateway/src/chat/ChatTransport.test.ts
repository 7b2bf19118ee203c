import { assert, describe, it } from "@effect/vitest"
import { partitionOf, RoomId } from "@nimbus/domain/protocol"
import { Archive, ArchiveMemory, EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Exit, Fiber, Latch, Layer, Schema, Scope, Stream } from "effect"
import { HttpServer } from "effect/http"
import { io, type Socket } from "socket.io-client"
import { freePorts } from "../../../../scripts/services/Tools.ts"
import * as Gateway from "../Gateway.ts"
import { chatLimits, type GatewayLimits } from "../Limits.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { markOf } from "./Position.ts"

const domain = (options: Parameters<typeof MemoryParts.layerWith>[0] = {}) =>
  MemoryParts.layerWith({ partitions: 2, ...options })

/** The gateways and sockets of a test go before its log does. */
const onLog = <A, E>(test: Effect.Effect<A, E, Layer.Success<ReturnType<typeof domain>> | Scope.Scope>) =>
  test.pipe(Effect.scoped, Effect.provide(domain()))

/** For an answer; it only ends what would never come. */
const patience_ms = 30_000

const chat = { ...chatLimits, messages_per_second: 100_000 }

/** A gateway on the log of the test; its address, and how to stop it before the test ends. */
const startGateway = Effect.fnUntraced(function* (limits: Partial<GatewayLimits> = {}) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { close_ms: 200, chat, ...limits } })
  const { address } = Context.get(yield* Layer.buildWithScope(Layer.fresh(gateway), scope), HttpServer.HttpServer)
  if (!("port" in address)) return assert.fail("no port")
  return { url: `http://127.0.0.1:${address.port}`, stop: Scope.close(scope, Exit.void) }
})

type Auth = Record<string, unknown>
type Received = {
  readonly data: unknown
  readonly id?: string
  readonly sender?: string
  readonly time: number
  readonly offset: string
}

interface Client {
  readonly socket: Socket
  readonly messages: Array<Received>
  /** Everything else that came, by name. */
  readonly others: Array<readonly [name: string, ...args: ReadonlyArray<unknown>]>
  readonly data: () => ReadonlyArray<unknown>
}

/** Of the refusals that it was told. */
const codesOf = ({ others }: Client) =>
  others.flatMap(([name, refusal]) => (name === "refused" && isRefusal(refusal) ? [refusal.code] : []))
const isRefusal = Schema.is(Schema.Struct({ code: Schema.String }))

const connect = (url: string, auth: Auth, options: Parameters<typeof io>[1] = {}) =>
  Effect.acquireRelease(
    Effect.sync((): Client => {
      const socket = io(url, { auth, transports: ["websocket"], forceNew: true, reconnectionDelay: 20, ...options })
      const messages: Array<Received> = []
      const others: Client["others"] = []
      socket.onAny((name: string, ...args: ReadonlyArray<unknown>) => {
        if (name !== "message") return void others.push([name, ...args])
        const [data, info, offset] = args
        assert(isInfo(info) && typeof offset === "string" && args.length === 3, JSON.stringify(args))
        messages.push({ ...info, data, offset })
      })
      return { socket, messages, others, data: () => messages.map(({ data }) => data) }
    }),
    ({ socket }) => Effect.sync(() => void socket.disconnect()),
  )

const isInfo = (u: unknown): u is Omit<Received, "data" | "offset"> =>
  typeof u === "object" && u !== null && "time" in u && typeof u.time === "number"

/** Live in its room. */
const join = Effect.fnUntraced(function* (url: string, auth: Auth, options: Parameters<typeof io>[1] = {}) {
  const client = yield* connect(url, auth, options)
  yield* eventually(
    "it is live",
    Effect.sync(() => client.others.some(([name]) => name === "live")),
  )
  return client
})

const send = (client: Client, ...args: ReadonlyArray<unknown>) =>
  Effect.promise((): Promise<unknown> => client.socket.timeout(patience_ms).emitWithAck("message", ...args))

const has = (client: Client, expected: ReadonlyArray<unknown>) =>
  Effect.andThen(
    eventually(
      `it has ${expected.length} messages`,
      Effect.sync(() => client.messages.length >= expected.length),
    ),
    Effect.sync(() => assert.deepStrictEqual(client.data(), expected)),
  )

/** What another service writes into the topic. */
const produce = Effect.fnUntraced(function* (key: string, ...values: ReadonlyArray<string>) {
  const log = yield* EventLog
  const { chats } = yield* Topics
  const records = values.map((value) => ({ key, value: new TextEncoder().encode(value) }))
  return yield* log.publish(chats, partitionOf(key, log.partitions), records)
})

const connectError = (url: string, auth: Auth, options: Parameters<typeof io>[1] = {}) =>
  Effect.gen(function* () {
    const { socket } = yield* connect(url, auth, { reconnection: false, ...options })
    return yield* Effect.promise(() => new Promise<Error>((resolve) => socket.once("connect_error", resolve)))
  })

describe("the chat transport", () => {
  it.live("hands a message to all others of the room, and tells its sender when the log has it", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const [a, b, c] = yield* Effect.all([
        join(url, { room: "r" }),
        join(url, { room: "r" }),
        join(url, { room: "s" }),
      ])
      const answer = yield* send(a, { text: "hello" }, "m1")
      yield* has(b, [{ text: "hello" }])
      const [received] = b.messages
      assert.propertyVal(received, "id", "m1")
      assert.propertyVal(received, "sender", a.socket.id)
      assert.deepStrictEqual(answer, { id: "m1", offset: received?.offset })
      assert.deepStrictEqual([a.data(), c.data()], [[], []])
      const log = yield* EventLog
      assert.strictEqual(yield* log.end("chats", partitionOf("r", 2)), 1)
    }).pipe(onLog),
  )

  it.live.each(["Küche", "a b", "a/b", "😀", "\0\n", "__proto__", "constructor", "live:r", "x".repeat(256)])(
    "%j is a room like any other",
    (room) =>
      Effect.gen(function* () {
        const { url } = yield* startGateway()
        const [a, b, other] = yield* Effect.all([
          join(url, { room }),
          join(url, { room }),
          join(url, { room: `${[...room].slice(1).join("")}.` }),
        ])
        yield* send(a, "one")
        yield* produce(room, `"two"`)
        yield* has(b, ["one", "two"])
        const back = yield* join(url, { room, offset: b.messages[0]?.offset })
        yield* has(back, ["two"])
        assert.deepStrictEqual(other.data(), [])
      }).pipe(onLog),
  )

  it.live("a number is the room of its decimal spelling", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const [a, b] = yield* Effect.all([join(url, { room: 7 }), join(url, { room: "7" })])
      yield* send(a, "one")
      yield* has(b, ["one"])
    }).pipe(onLog),
  )

  it.live("gives what was emitted as the first argument, whatever JSON it is", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const [a, b] = yield* Effect.all([join(url, { room: "r" }), join(url, { room: "r" })])
      const all = [null, false, 0, "", "text", [], [1, [2]], {}, { data: { data: 1 } }, { id: "m", sender: "s" }]
      for (const data of all) yield* send(a, data)
      yield* has(b, all)
    }).pipe(onLog),
  )

  it.live("works by long polling too, and with the room as a header", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const a = yield* join(url, {}, { transports: ["polling"], extraHeaders: { room: "r" } })
      const b = yield* join(url, { room: "r" }, { transports: ["polling", "websocket"] })
      yield* send(a, "one")
      yield* send(b, "two")
      yield* has(b, ["one"])
      yield* has(a, ["two"])
    }).pipe(onLog),
  )

  it.live.each([{}, { room: "" }, { room: "x".repeat(257) }, { room: "\ud800" }, { room: ["r"] }, { room: null }])(
    "refuses %j with Invalid room id",
    (auth) =>
      Effect.gen(function* () {
        const { url } = yield* startGateway()
        assert.strictEqual((yield* connectError(url, auth)).message, "Invalid room id")
      }).pipe(onLog),
  )

  it.live("re-broadcasts what other services produce, and passes over what can't be decoded", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const a = yield* join(url, { room: "r" })
      yield* send(a, "first")
      yield* produce("r", `{"temperature":21.5}`, `{`, `"text"`, `{"data":1,"id":"x","sender":"live:r"}`)
      yield* has(a, [{ temperature: 21.5 }, "text", 1])
    }).pipe(onLog),
  )

  it.live.each([
    { history: true, from: 20 },
    { history: 1_000, from: 20 },
    { history: 3, from: 27 },
    { history: 1.5, from: 29 },
    { history: undefined, from: 30 },
    { history: 0, from: 30 },
    { history: -1, from: 30, isRefused: true },
    { history: false, from: 30 },
    { history: "3", from: 30, isRefused: true },
    { history: {}, from: 30, isRefused: true },
  ])("gives who asks by history $history the newest messages of its room, up to the bound", (asked) =>
    Effect.gen(function* () {
      yield* produce("r", ...Array.from({ length: 30 }, (_, n) => `${n}`))
      yield* produce("s", `"other"`)
      const { url } = yield* startGateway({ chat: { ...chat, history_messages: 10 } })
      const { from, history, isRefused = false } = asked
      const a = yield* join(url, { room: "r", history })
      yield* produce("r", "30")
      yield* has(
        a,
        Array.from({ length: 31 - from }, (_, i) => from + i),
      )
      assert.deepStrictEqual(codesOf(a), isRefused ? ["BAD_REQUEST"] : [])
    }).pipe(onLog),
  )

  it.live("what has no place is history for a gateway that comes later, also to who is there before it has read", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const { chats } = yield* Topics
      const put = (value: string) =>
        log.publish(chats, 0, [{ key: "", value: new TextEncoder().encode(`{"room":"r","n":${value}}`) }])
      yield* put("1")
      const mayRead = yield* Latch.make()
      const tail: typeof log.tail = (...args) => Stream.unwrap(Effect.as(mayRead.await, log.tail(...args)))
      const { url } = yield* startGateway().pipe(Effect.provideService(EventLog, { ...log, tail }))
      const a = yield* connect(url, { room: "r" })
      yield* eventually(
        "it is connected",
        Effect.sync(() => a.socket.connected),
      )
      yield* put("2")
      yield* mayRead.open
      yield* has(a, [{ room: "r", n: 2 }])
    }).pipe(onLog),
  )

  it.live("a socket that is not live yet gets what has no place too, with the offset that it has", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const { chats } = yield* Topics
      const home = partitionOf("r", log.partitions)
      yield* produce("r", "1", "2")
      const mayRead = yield* Latch.make()
      const tail: typeof log.tail = (topic, partition, position) =>
        Stream.unwrap(Effect.as(partition === home ? mayRead.await : Effect.void, log.tail(topic, partition, position)))
      const { url } = yield* startGateway().pipe(Effect.provideService(EventLog, { ...log, tail }))
      const a = yield* connect(url, { room: "r" })
      yield* eventually(
        "it is connected",
        Effect.sync(() => a.socket.connected),
      )
      yield* log.publish(chats, 1 - home, [{ key: "r", value: new TextEncoder().encode("3") }])
      yield* has(a, [3])
      assert.match(a.messages[0]?.offset ?? "", /:1$/)
      assert.deepStrictEqual(a.others, [])
      yield* mayRead.open
      yield* produce("r", "4")
      yield* has(a, [3, 4])
    }).pipe(onLog),
  )

  it.live("gives what was written before values were bare as it gives what is written now", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const partition = partitionOf("r", log.partitions)
      const before = `{"id":"m0","sender":"s0","data":{"text":"in the archive"}}`
      yield* produce("r", before, `"other's"`, `{"id":"m2","sender":"s2","data":{"text":"in the log"}}`)
      const source = { incarnation: log.incarnation, kind: "messages", partition } as const
      const rows = [before, `"other's"`].map((value, place) => ({ key: "r", place, timestamp: 7, value }))
      yield* (yield* Archive).write({ source, records: rows, position: 2 })
      const earliest: typeof log.earliest = () => Effect.succeed(2)
      const { url } = yield* startGateway({ chat: { ...chat, scan_records: 1 } }).pipe(
        Effect.provideService(EventLog, { ...log, earliest }),
      )
      const back = yield* join(url, { room: "r", offset: `${markOf(log.incarnation, RoomId.make("r"))}:-1` })
      yield* has(back, [{ text: "in the archive" }, "other's", { text: "in the log" }])
      const names = back.messages.map(({ id, sender, time }) => [id, sender, typeof time])
      assert.deepStrictEqual(names, [
        ["m0", "s0", "number"],
        [undefined, undefined, "number"],
        ["m2", "s2", "number"],
      ])
      assert.deepStrictEqual(
        back.messages.slice(0, 2).map(({ time }) => time),
        [7, 7],
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.sync(Archive, () => ArchiveMemory.makeMemory())),
      Effect.provide(domain()),
    ),
  )

  it.live("an offset counts before history: who comes back gets what it missed, and nothing twice", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      yield* produce("r", "1", "2")
      const a = yield* join(url, { room: "r", history: true })
      yield* has(a, [1, 2])
      a.socket.io.engine.close()
      yield* eventually(
        "it is gone",
        Effect.sync(() => !a.socket.connected),
      )
      yield* produce("r", "3")
      yield* has(a, [1, 2, 3])
    }).pipe(onLog),
  )

  it.live("a socket that broke off before anything was said misses nothing of what was said meanwhile", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const a = yield* join(url, { room: "r" })
      assert.match(String(a.others.find(([name]) => name === "live")?.[2]), /:-1$/)
      a.socket.io.engine.close()
      yield* eventually(
        "it is gone",
        Effect.sync(() => !a.socket.connected),
      )
      yield* produce("r", "1")
      yield* has(a, [1])
    }).pipe(onLog),
  )

  it.live(
    "hands what has no place in its room's history to the sockets that are there, once, and keeps their offsets",
    () =>
      Effect.gen(function* () {
        const { url } = yield* startGateway()
        const log = yield* EventLog
        const { chats } = yield* Topics
        const home = partitionOf("r", log.partitions)
        const bytes = (value: string) => new TextEncoder().encode(value)
        const put = (partition: number, key: string, value: string) =>
          log.publish(chats, partition, [{ key, value: bytes(value) }])
        const a = yield* join(url, { room: "r" })
        const s = yield* join(url, { room: "7" })
        yield* put(home, "r", "1")
        yield* has(a, [1])
        yield* put(1 - home, "r", `"elsewhere"`)
        yield* has(a, [1, "elsewhere"])
        yield* put(home, "", `{"room":"r"}`)
        yield* has(a, [1, "elsewhere", { room: "r" }])
        yield* put(1 - home, "", `{"group_id":7}`)
        yield* has(s, [{ group_id: 7 }])
        for (const value of [`{"room":""}`, `"r"`, "", "{", "1"]) yield* put(home, "", value)
        yield* put(home, "r".repeat(257), "1")
        yield* put(home, "nobody", "1")
        yield* put(home, "r", "2")
        yield* has(a, [1, "elsewhere", { room: "r" }, 2])
        const offsetsOf = ({ messages }: Client) => messages.map(({ offset }) => Number(offset.split(":")[1]))
        assert.deepStrictEqual(offsetsOf(a), [0, 0, 1, 9])
        // Who comes back with such an offset misses nothing of its room's partition, and gets nothing of it again.
        const back = yield* join(url, { room: "r", offset: a.messages[2]?.offset })
        yield* has(back, [2])
        // To a gateway that comes later they are history, which they have none of.
        const later = yield* startGateway()
        const late = yield* join(later.url, { room: "r", history: true })
        yield* has(late, [1, 2])
        const metrics = Effect.promise(async () => (await fetch(`${url}/metrics`)).text())
        const counted = (name: string, n: number) =>
          eventually(
            `${name} is ${n}`,
            Effect.map(metrics, (text) => text.includes(`nimbus_gateway_chat_${name}_total ${n}\n`)),
          )
        yield* counted("out_of_place", 3)
        yield* counted("no_room", 4)
        yield* counted("skipped", 2)
      }).pipe(onLog),
  )

  it.live(
    "gives a socket that returns with an offset what it missed, from memory or from the log, then what is live",
    () =>
      Effect.gen(function* () {
        const oneTo = (n: number) => Array.from({ length: n }, (_, i) => i)
        const { url } = yield* startGateway({ chat: { ...chat, recent_bytes: 2_000, turn_records: 7 } })
        const a = yield* join(url, { room: "r" })
        for (const n of oneTo(20)) yield* produce("r", ...oneTo(50).map((i) => `${n * 50 + i}`))
        yield* eventually(
          "it has all",
          Effect.sync(() => a.messages.length === 1_000),
        )
        const offsets = a.messages.map(({ offset }) => offset)
        for (const after of [0, 400, 998, 999]) {
          const back = yield* join(url, { room: "r", offset: offsets[after] })
          const bare = yield* join(url, { room: "r", offset: after })
          yield* has(back, oneTo(1_000).slice(after + 1))
          yield* has(bare, oneTo(1_000).slice(after + 1))
        }
        yield* produce("r", "1000")
        yield* has(a, oneTo(1_001))
      }).pipe(onLog),
  )

  it.live("an unmodified client that comes back has no gap and no repeat, its own messages included", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway({ chat: { ...chat, offset_every_ms: 10 } })
      const [a, b] = yield* Effect.all([join(url, { room: "r" }), join(url, { room: "r" })])
      yield* send(b, "one")
      yield* send(a, "two")
      yield* eventually(
        "it is told its offset",
        Effect.sync(() => a.others.some(([name, offset]) => name === "offset" && `${offset}`.endsWith(":1"))),
      )
      a.socket.io.engine.close()
      yield* eventually(
        "it is gone",
        Effect.sync(() => !a.socket.connected),
      )
      yield* send(b, "three")
      yield* eventually(
        "it is back",
        Effect.sync(() => a.socket.connected),
      )
      yield* send(b, "four")
      yield* has(a, ["one", "three", "four"])
      yield* has(b, ["two"])
      assert.isTrue(a.socket.recovered)
    }).pipe(onLog),
  )

  it.live("ignores an offset of another room, beyond the end or of another spelling, and says so", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const a = yield* join(url, { room: "r" })
      yield* produce("r", "1")
      yield* has(a, [1])
      const other = yield* join(url, { room: "s", offset: a.messages[0]?.offset })
      const beyond = yield* join(url, { room: "r", offset: 1_000 })
      const unknown = yield* join(url, { room: "r", offset: "0x0" })
      yield* has(beyond, [1])
      yield* has(unknown, [1])
      yield* eventually(
        "all are told",
        Effect.sync(() => [other, beyond, unknown].every((client) => codesOf(client).length === 1)),
      )
      assert.deepStrictEqual(codesOf(unknown), ["BAD_REQUEST"])
      assert.deepStrictEqual(codesOf(other), ["AFTER_OTHER_LOG"])
      assert.deepStrictEqual(codesOf(beyond), ["AFTER_BEYOND_END"])
    }).pipe(onLog),
  )

  it.live.each([
    { args: [], code: "BAD_MESSAGE" },
    { args: [undefined], code: "BAD_MESSAGE", by: "nothing" },
    { args: [Buffer.from("x")], code: "BAD_MESSAGE" },
    { args: ["x", 7], code: "BAD_MESSAGE" },
    { args: ["x", ""], code: "BAD_MESSAGE" },
    { args: ["x", "\ud800"], code: "BAD_MESSAGE" },
    { args: ["x", "id", "more"], code: "BAD_MESSAGE" },
    { args: [{ n: [JSON.rawJSON("9007199254740993")] }], code: "BAD_NUMBER" },
    { args: [JSON.rawJSON("1e400"), "id"], code: "BAD_NUMBER" },
    { args: ["x".repeat(2_000)], code: "MESSAGE_TOO_BIG" },
  ])("refuses the message $args with $code, and the socket goes on", ({ args, code }) =>
    Effect.gen(function* () {
      const { url } = yield* startGateway({ chat: { ...chat, message_bytes: 1_000 } })
      const a = yield* join(url, { room: "r" })
      // `null` stands for `undefined` on the wire, and is JSON.
      const answer = yield* send(a, ...args)
      if (args.length === 1 && args[0] === undefined) assert.property(answer, "offset")
      else assert.nestedPropertyVal(answer, "error.code", code)
      assert.property(yield* send(a, "fine"), "offset")
    }).pipe(onLog),
  )

  it.live("hands on another service's numbers as they are written", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const a = yield* join(url, { room: "r" })
      const heard: Array<unknown> = []
      a.socket.io.engine.on("data", (text: unknown) => heard.push(text))
      yield* produce("r", `{"reading":9007199254740993}`)
      yield* eventually(
        "it is there",
        Effect.sync(() => heard.some((text) => String(text).includes(`{"reading":9007199254740993}`))),
      )
    }).pipe(onLog),
  )

  it.live("tells a sender who asks for no answer by an event, and refuses what comes too fast", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway({ chat: { ...chat, messages_per_second: 5 } })
      const [a, b] = yield* Effect.all([join(url, { room: "r" }), join(url, { room: "r" })])
      const count = 30
      for (let n = 0; n < count; n++) a.socket.emit("message", n)
      const refusals = () => a.others.flatMap(([name, refusal]) => (name === "refused" ? [refusal] : []))
      yield* eventually(
        "each is refused or handed on",
        Effect.sync(() => refusals().length + b.messages.length === count),
      )
      assert.deepStrictEqual(b.data().slice(0, 5), [0, 1, 2, 3, 4])
      for (const refusal of refusals()) assert.propertyVal(refusal, "code", "RATE_LIMITED")
      // More than five only as far as reading them took a while, in which some became free again.
      assert.isNotEmpty(refusals())
    }).pipe(onLog),
  )

  it.live("reads all of its sockets together more slowly where they are too fast for the gateway", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway({ gateway_frames_per_second: 50, read_slice_bytes: 64 })
      const [a, b] = yield* Effect.all([join(url, { room: "r" }), join(url, { room: "r" })])
      // 50 are free, and the others of 90 owed: more than half a second at 50 a second.
      const from = Date.now()
      for (let n = 0; n < 45; n++) for (const { socket } of [a, b]) socket.emit("message", n)
      yield* eventually(
        "each is handed on",
        Effect.sync(() => a.messages.length === 45 && b.messages.length === 45),
      )
      assert.isAbove(Date.now() - from, 400)
    }).pipe(onLog),
  )

  it.live("a frame beyond the bound closes the connection, and a wrong namespace is Socket.IO's own error", () =>
    Effect.gen(function* () {
      const bounds = { message_bytes: 1_000, frame_bytes: 2_000 }
      const { url } = yield* startGateway({ chat: { ...chat, ...bounds } })
      const a = yield* join(url, { room: "r" }, { reconnection: false })
      assert.nestedPropertyVal(yield* send(a, "x".repeat(3_500)), "error.code", "MESSAGE_TOO_BIG")
      assert.isTrue(a.socket.connected)
      a.socket.emit("message", "x".repeat(5_000))
      yield* eventually(
        "it is closed",
        Effect.sync(() => !a.socket.connected),
      )
      assert.strictEqual((yield* connectError(`${url}/nowhere`, { room: "r" })).message, "Invalid namespace")
    }).pipe(onLog),
  )

  it.live("refuses an event that it does not know to whoever asks for an answer, and the socket goes on", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const a = yield* join(url, { room: "r" })
      a.socket.emit("nothing", "x")
      for (const [name, ...args] of [["nothing"], ["nothing", "x"], ["error", "x"], ["__proto__"]] as const) {
        const answer = yield* Effect.promise((): Promise<unknown> =>
          a.socket.timeout(patience_ms).emitWithAck(name, ...args),
        )
        assert.nestedPropertyVal(answer, "error.code", "UNKNOWN_EVENT")
      }
      assert.property(yield* send(a, "fine"), "offset")
      assert.isUndefined(a.others.find(([name]) => name === "refused"))
    }).pipe(onLog),
  )

  it.live("keeps the newest connections that have not joined, and all that have", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway({ chat: { ...chat, unjoined: 2 } })
      const a = yield* join(url, { room: "r" })
      const ask = (query: string, body?: string) =>
        Effect.promise(async () => {
          const method = body === undefined ? "GET" : "POST"
          return (
            await fetch(`${url}/socket.io/?EIO=4&transport=polling${query}`, { method, body: body ?? null })
          ).text()
        })
      const sids: Array<string> = []
      for (let n = 0; n < 4; n++) sids.push(/"sid":"([^"]+)"/.exec(yield* ask(""))?.[1] ?? assert.fail("no sid"))
      const joined = yield* Effect.forEach(sids, (sid) => ask(`&sid=${sid}`, '40{"room":"r"}'))
      const gone = '{"code":1,"message":"Session ID unknown"}'
      assert.deepStrictEqual(joined, [gone, gone, "ok", "ok"])
      // Those two have made room for others now.
      for (let n = 0; n < 2; n++) yield* ask("")
      assert.strictEqual(yield* ask(`&sid=${sids[2]}`, "3"), "ok")
      assert.property(yield* send(a, "here"), "offset")
    }).pipe(onLog),
  )

  it.live("has Socket.IO's own client for pages to load", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const get = (file: string) => Effect.promise(() => fetch(`${url}/socket.io/${file}`))
      for (const name of ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"]) {
        const [source, map] = [yield* get(name), yield* get(`${name}.map`)]
        assert.deepStrictEqual(
          [source.status, source.headers.get("content-type"), source.headers.get("content-encoding")],
          [200, "application/javascript; charset=utf-8", null],
        )
        assert.include(yield* Effect.promise(() => source.text()), "Socket.IO")
        assert.deepStrictEqual([map.status, map.headers.get("content-type")], [200, "application/json; charset=utf-8"])
      }
      assert.strictEqual((yield* get("package.json")).status, 404)
    }).pipe(onLog),
  )

  it.live("takes no socket before it knows where its topics end, and each one then", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const mayAnswer = yield* Latch.make(false)
      const asked = yield* Latch.make(false)
      const end: typeof log.end = (topic, partition) =>
        topic === "chats"
          ? Effect.andThen(Effect.andThen(asked.open, mayAnswer.await), log.end(topic, partition))
          : log.end(topic, partition)
      const [port = 0] = yield* Effect.promise(() => freePorts(1))
      const starting = yield* Effect.forkScoped(
        Layer.build(Gateway.layerWith({ host: "127.0.0.1", port, limits: { close_ms: 200 } })).pipe(
          Effect.provideService(EventLog, { ...log, end }),
        ),
      )
      yield* asked.await
      const early = yield* connect(`http://127.0.0.1:${port}`, { room: "r" })
      yield* Effect.promise(() => new Promise((resolve) => early.socket.once("connect_error", resolve)))
      yield* mayAnswer.open
      yield* Fiber.join(starting)
      yield* eventually(
        "it is live",
        Effect.sync(() => early.others.some(([name]) => name === "live")),
      )
    }).pipe(onLog),
  )

  it.live("answers what is no Socket.IO with the protocol's own errors, and leaves other paths alone", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const get = (path: string, init?: RequestInit) =>
        Effect.promise(async () => {
          const response = await fetch(`${url}${path}`, init)
          return [response.status, await response.text()] as const
        })
      assert.deepStrictEqual(yield* get("/socket.io/"), [400, `{"code":0,"message":"Transport unknown"}`])
      const unknown: readonly [number, string] = [400, `{"code":1,"message":"Session ID unknown"}`]
      assert.deepStrictEqual(yield* get("/socket.io/?EIO=4&transport=polling&sid=x"), unknown)
      const method: readonly [number, string] = [400, `{"code":2,"message":"Bad handshake method"}`]
      assert.deepStrictEqual(yield* get("/socket.io/?EIO=4&transport=polling", { method: "POST" }), method)
      assert.deepStrictEqual(yield* get("/socket.io/?EIO=4&transport=websocket"), [
        400,
        `{"code":3,"message":"Bad request"}`,
      ])
      assert.strictEqual((yield* get("/healthz"))[0], 200)
      assert.strictEqual((yield* get("/socket.iox/"))[0], 404)
    }).pipe(onLog),
  )

  it.live("a broadcast reaches every socket, in every room", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const clients = yield* Effect.all([join(url, { room: "r" }), join(url, { room: "s" })])
      clients[0].socket.emit("broadcast", { to: "all" })
      for (const client of clients) {
        yield* eventually(
          "it is there",
          Effect.sync(() => client.others.some(([name]) => name === "broadcast")),
        )
        assert.deepStrictEqual(
          client.others.find(([name]) => name === "broadcast"),
          ["broadcast", { sender: clients[0].socket.id, data: { to: "all" } }],
        )
      }
    }).pipe(onLog),
  )

  it.live("a gateway that leaves answers what was sent, tells its sockets, and closes so that they come back", () =>
    Effect.gen(function* () {
      const first = yield* startGateway()
      const second = yield* startGateway()
      const a = yield* join(first.url, { room: "r" })
      const b = yield* join(second.url, { room: "r" })
      const closed = new Promise<string>((resolve) => a.socket.once("disconnect", resolve))
      const answers = Array.from({ length: 500 }, (_, n) => a.socket.timeout(patience_ms).emitWithAck("message", n))
      yield* eventually(
        "some are taken",
        Effect.sync(() => b.messages.length > 0),
      )
      yield* first.stop
      const taken = (yield* Effect.promise(() => Promise.all(answers))).flatMap((answer, n) =>
        typeof answer === "object" && answer !== null && "offset" in answer ? [n] : [],
      )
      yield* has(b, taken)
      assert.include(["transport close", "transport error"], yield* Effect.promise(() => closed))
      assert.deepStrictEqual(a.others.at(-1), ["leaving", { code: "GOING_AWAY" }])
      assert.isTrue(a.socket.active)
    }).pipe(onLog),
  )

  it.live("a socket that takes nothing waits in the log, not in memory, and misses nothing", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway({ socket_buffer_bytes: 64 * 1024 })
      const stalled = yield* join(url, { room: "r" })
      const other = yield* join(url, { room: "r" })
      const { engine } = stalled.socket.io
      const raw = "ws" in engine.transport ? engine.transport.ws : undefined
      assert(isPausable(raw))
      raw.pause()
      const text = "x".repeat(10_000)
      for (let n = 0; n < 50; n++)
        yield* produce("r", ...Array.from({ length: 20 }, (_, i) => JSON.stringify([n * 20 + i, text])))
      yield* eventually(
        "the other has all",
        Effect.sync(() => other.messages.length === 1_000),
      )
      const metrics = Effect.promise(async () => (await fetch(`${url}/metrics`)).text())
      yield* eventually(
        "it is behind",
        Effect.map(metrics, (text) => /nimbus_gateway_chat_behind_total [1-9]/.test(text)),
      )
      raw.resume()
      yield* has(stalled, other.data())
    }).pipe(onLog),
  )

  it.live("takes from the archive what the log has no more, and goes on with the log without gap or repeat", () =>
    Effect.gen(function* () {
      const numbers = Array.from({ length: 40 }, (_, n) => ({ n, text: "x".repeat(5_000) }))
      const log = yield* EventLog
      const partition = partitionOf("r", log.partitions)
      for (const number of numbers) yield* produce("r", JSON.stringify(number))
      const earliest = log.earliest("chats", partition)
      yield* eventually(
        "retention has done its work",
        Effect.map(earliest, (earliest) => earliest > 1),
      )
      const archive = yield* Archive
      // It is ahead of the log's beginning, and behind its end; what it has above its position has a hole.
      const position = 36
      const stored = numbers.flatMap((number, place) =>
        place < position || place === position + 2
          ? [{ key: "r", place, timestamp: 1, value: JSON.stringify(number) }]
          : [],
      )
      const source = { incarnation: log.incarnation, kind: "messages", partition } as const
      yield* archive.write({ source, records: stored, position })
      const { url } = yield* startGateway({ chat: { ...chat, recent_bytes: 1, turn_records: 7 } })
      const late = yield* join(url, { room: "r", offset: 0 })
      yield* has(late, numbers.slice(1))
      assert.isUndefined(late.others.find(([name]) => name === "lost"))
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.sync(Archive, () => ArchiveMemory.makeMemory())),
      Effect.provide(domain({ retention: { retention_bytes: 100_000 }, limits: { retention_every_ms: 10 } })),
    ),
  )

  it.live("does so too for a socket that is there before the gateway has read anything", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const partition = partitionOf("r", log.partitions)
      const texts = Array.from({ length: 30 }, (_, n) => `${n}${"x".repeat(5_000)}`)
      for (const text of texts) yield* produce("r", JSON.stringify(text))
      const earliest = log.earliest("chats", partition)
      yield* eventually(
        "retention has done its work",
        Effect.map(earliest, (earliest) => earliest > 1),
      )
      const records = texts.map((text, place) => ({ key: "r", place, timestamp: 1, value: JSON.stringify(text) }))
      const source = { incarnation: log.incarnation, kind: "messages", partition } as const
      yield* (yield* Archive).write({ source, records, position: records.length })
      const mayRead = yield* Latch.make()
      const tail: typeof log.tail = (...args) => Stream.unwrap(Effect.as(mayRead.await, log.tail(...args)))
      const { url } = yield* startGateway().pipe(Effect.provideService(EventLog, { ...log, tail }))
      const late = yield* connect(url, { room: "r", offset: 0 })
      yield* eventually(
        "it is connected",
        Effect.sync(() => late.socket.connected),
      )
      yield* mayRead.open
      yield* has(late, texts.slice(1))
      assert.isUndefined(late.others.find(([name]) => name === "lost"))
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.sync(Archive, () => ArchiveMemory.makeMemory())),
      Effect.provide(domain({ retention: { retention_bytes: 100_000 }, limits: { retention_every_ms: 10 } })),
    ),
  )

  it.live("says what retention took before a socket came back", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway({ chat: { ...chat, recent_bytes: 1 } })
      const big = JSON.stringify("x".repeat(10_000))
      yield* produce("r", "1")
      for (let n = 0; n < 30; n++) yield* produce("r", big)
      const log = yield* EventLog
      const earliest = log.earliest("chats", partitionOf("r", log.partitions))
      yield* eventually(
        "retention has done its work",
        Effect.map(earliest, (earliest) => earliest > 1),
      )
      const late = yield* join(url, { room: "r", offset: 0 })
      const lost = late.others.flatMap(([name, range]) => (name === "lost" ? [range] : []))
      assert.nestedPropertyVal(lost, "0.from", 1)
      const upTo = Number(late.messages[0]?.offset.split(":")[1]) - 1
      assert.deepStrictEqual(lost, [{ from: 1, upTo }])
      assert.strictEqual(late.messages.length, 30 - upTo)
    }).pipe(
      Effect.scoped,
      Effect.provide(domain({ retention: { retention_bytes: 100_000 }, limits: { retention_every_ms: 10 } })),
    ),
  )
})

const isPausable = (u: unknown): u is { pause(): void; resume(): void } =>
  typeof u === "object" && u !== null && "pause" in u && typeof u.pause === "function"
