import { assert, describe, it } from "@effect/vitest"
import { openRoom, partitionOf } from "@nimbus/domain/protocol"
import { ClientOffsets, EventLog, Topics } from "@nimbus/domain/services"
import { Effect } from "effect"
import { io as io3 } from "socket.io-client-3"
import {
  ask,
  chat,
  type Client,
  connect,
  hears,
  join,
  on,
  onOpen,
  startGateway,
  until,
  keeps,
  makeStore,
} from "../testing/ChatClients.ts"
import { ListenEvent, SendEvent } from "./OpenEvents.ts"

/** What another service writes into the topic. */
const produce = Effect.fnUntraced(function* (...values: ReadonlyArray<unknown>) {
  const log = yield* EventLog
  const { messages = assert.fail("no topic") } = yield* Topics
  const records = values.map((value) => ({ key: openRoom, value: new TextEncoder().encode(JSON.stringify(value)) }))
  return yield* log.publish(messages, partitionOf(openRoom, log.partitions), records)
})

const refusals = ({ others }: Client) => others.flatMap(([name, refusal]) => (name === "refused" ? [refusal] : []))

describe("the open chat", () => {
  it.live("gives every socket of every gateway, the sender too, what was emitted: one argument, in one order", () =>
    Effect.gen(function* () {
      const [{ url }, other] = [yield* startGateway(), yield* startGateway()]
      const clients = yield* Effect.all([
        join(url),
        join(url, { transports: ["polling"] }),
        join(other.url),
        join(other.url, { transports: ["websocket"], auth: {} }),
      ])
      const said = ["hello", "", "7", "mark:7", 7, { message: "hi" }, [1, [2]], null, true, "Küche 🍳"]
      for (const [n, data] of said.entries()) {
        const answer = yield* ask(clients[n % clients.length]!, "event:message", data)
        assert.hasAllKeys(answer, ["id", "offset"])
      }
      for (const client of clients) yield* hears(client, said)
    }).pipe(onOpen),
  )

  it.live("gives a socket no history on its first connection, and all that it missed when it comes back", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      yield* produce("before")
      const [a, b] = yield* Effect.all([join(url), join(url)])
      a.socket.emit("event:message", "one")
      yield* hears(a, ["one"])
      yield* until("it knows its place", () => a.others.at(-1)?.[0] === "offset")
      a.socket.io.engine.close()
      yield* until("it is gone", () => !a.socket.connected)
      yield* ask(b, "event:message", "two")
      yield* ask(b, "event:message", { three: 3 })
      yield* until("it is back", () => a.socket.connected)
      yield* ask(b, "event:message", "four")
      yield* hears(a, ["one", "two", { three: 3 }, "four"])
      assert.isTrue(a.socket.recovered)
    }).pipe(onOpen),
  )

  it.live("goes on behind the message that came last, where the connection broke before its place came", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      yield* produce("zero", "one", "7", "two")
      const witness = yield* join(url)
      yield* ask(witness, "event:message", "three")
      yield* hears(yield* join(url, { auth: { offset: "one" } }), ["7", "two", "three"])
      yield* hears(yield* join(url, { auth: { offset: "7" } }), ["two", "three"])
      const none = yield* join(url, { auth: { offset: "nobody has said so" } })
      yield* until("it is told", () => refusals(none).length > 0)
      assert.propertyVal(refusals(none)[0], "code", "BAD_REQUEST")
      assert.isEmpty(none.heard)
    }).pipe(onOpen),
  )

  it.live("gives what was missed from the log too, telling the place on the way", () =>
    Effect.gen(function* () {
      const all = Array.from({ length: 200 }, (_, n) => `${n}`)
      const { url } = yield* startGateway({
        limits: { close_ms: 200, chat: { ...chat, recent_bytes: 1, tell_records: 5 } },
      })
      yield* produce(...all)
      const late = yield* join(url, { auth: { offset: 0 } })
      yield* hears(late, all.slice(1))
      let heard = 0
      for (const [name] of late.others) {
        if (name === "event:listen") assert.isAtMost(++heard, 5)
        if (name === "offset") heard = 0
      }
    }).pipe(onOpen),
  )

  it.live("does the same for Socket.IO's client 3, which by its name goes on where it was", () =>
    Effect.gen(function* () {
      const store = makeStore()
      const { url } = yield* Effect.provideService(startGateway(), ClientOffsets, store.offsets)
      const other = yield* join(url)
      const heard: Array<ReadonlyArray<unknown>> = []
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => io3(url, { forceNew: true, reconnectionDelay: 20, auth: { clientId: "three" } })),
        (socket) => Effect.sync(() => void socket.disconnect()),
      )
      let lives = 0
      socket.on("live", () => void lives++)
      socket.on("event:listen", (...args: ReadonlyArray<unknown>) => void heard.push(args))
      yield* until("it is live", () => lives === 1)
      const all: Array<unknown> = ["one", { two: 2 }, "three", "four"]
      socket.emit("event:message", all[0])
      yield* until("it hears itself", () => heard.length === 1)
      yield* ask(other, "event:message", all[1])
      yield* keeps(store, 2)
      socket.io.engine.close()
      yield* until("it is gone", () => !socket.connected)
      yield* ask(other, "event:message", all[2])
      yield* until("it is back", () => lives === 2)
      yield* ask(other, "event:message", all[3])
      yield* until("it hears all", () => heard.length >= 4)
      assert.deepStrictEqual(
        heard,
        all.map((data) => [data]),
      )
      yield* hears(other, all)
    }).pipe(onOpen),
  )

  it.live("refuses text that would be taken for a place, and what is not its own", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const [a, inRoom] = yield* Effect.all([join(url), join(url, { auth: { room: "open" } })])
      yield* ask(a, "event:message", "one")
      const place = a.others.findLast(([name]) => name === "offset")?.[1]
      assert.isString(place)
      assert.nestedPropertyVal(yield* ask(a, "event:message", place), "error.code", "BAD_MESSAGE")
      assert.nestedPropertyVal(yield* ask(a, "message", "x"), "error.code", "UNKNOWN_EVENT")
      assert.nestedPropertyVal(yield* ask(inRoom, "event:message", "x"), "error.code", "UNKNOWN_EVENT")
      assert.property(yield* ask(inRoom, "message", "in the room"), "offset")
      yield* ask(a, "event:message", "two")
      yield* hears(a, ["one", "two"])
      assert.isEmpty(inRoom.heard)
    }).pipe(onOpen),
  )

  it.live("has its events by the names of the settings", () =>
    Effect.gen(function* () {
      const openEvents = { send: SendEvent.make("message"), listen: ListenEvent.make("message") }
      const { url } = yield* startGateway({ openEvents })
      const a = yield* join(url, {}, "message")
      yield* ask(a, "message", "one")
      yield* hears(a, ["one"])
    }).pipe(onOpen),
  )

  it.live.each([{ topics: Topics.layerDefault }, { topics: Topics.layerOpen, room: "" }])(
    "is closed to sockets without a room where there is none, and to those that name an impossible one",
    ({ room, topics }) =>
      Effect.gen(function* () {
        const { url } = yield* startGateway()
        const { socket } = yield* connect(url, { auth: { room }, reconnection: false })
        const error = yield* Effect.promise(
          () => new Promise<Error>((resolve) => socket.once("connect_error", resolve)),
        )
        assert.strictEqual(error.message, "Invalid room id")
      }).pipe(on(topics)),
  )
})
