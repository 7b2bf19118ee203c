import { assert, describe, it } from "@effect/vitest"
import { partitionOf } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Latch, Stream } from "effect"
import {
  ask,
  chat,
  connect,
  hears,
  hearsData,
  join,
  on,
  onOpen,
  patience_ms,
  startGateway,
  until,
} from "../testing/ChatClients.ts"

const inRoom = on(Topics.layerDefault)
const room = { auth: { room: "r" } }

const recordsOf = Effect.fnUntraced(function* (topic: string, key: string) {
  const log = yield* EventLog
  return yield* log.end(topic, partitionOf(key, log.partitions))
})

describe("a message that is sent again", () => {
  it.live("is one message, with one answer for all", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const [a, b] = yield* Effect.all([join(url, room, "message"), join(url, room, "message")])
      const answers = yield* Effect.all(
        [ask(a, "message", "x", "m1"), ask(a, "message", "x", "m1"), ask(a, "message", "y", "m2")],
        { concurrency: "unbounded" },
      )
      const again = yield* ask(a, "message", "x", "m1")
      assert.deepStrictEqual([answers[1], again], [answers[0], answers[0]])
      assert.property(again, "offset")
      yield* ask(b, "message", "of another sender", "m1")
      yield* ask(a, "message", "last")
      yield* hearsData(b, "x", "y", "last")
      yield* hearsData(a, "of another sender")
      assert.strictEqual(yield* recordsOf("chats", "r"), 4)
    }).pipe(inRoom),
  )

  it.live("by Socket.IO's own retries, over a connection that breaks before the answer", () =>
    Effect.gen(function* () {
      const { url } = yield* startGateway()
      const other = yield* join(url)
      const retrying = yield* join(url, { retries: 10, ackTimeout: 30_000, transports: ["websocket"] })
      const answered = new Promise((resolve) =>
        retrying.socket.emit("event:message", "once", "m1", (_error: unknown, answer: unknown) => resolve(answer)),
      )
      // It is under way, and its answer is not there.
      retrying.socket.io.engine.close()
      yield* hears(other, ["once"])
      assert.property(yield* Effect.promise(() => answered), "offset")
      yield* ask(other, "event:message", "next")
      yield* hears(other, ["once", "next"])
    }).pipe(onOpen),
  )

  it.live(
    "at another gateway, which has not read the first one yet, is dropped by all, and answered as the first",
    () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const mayRead = yield* Latch.make(false)
        const tail: typeof log.tail = (...args) => Stream.tap(log.tail(...args), () => mayRead.await)
        const one = yield* startGateway()
        const two = yield* Effect.provideService(startGateway(), EventLog, { ...log, tail })
        const listeners = yield* Effect.all([join(one.url, room, "message"), join(two.url, room, "message")])
        const named = { auth: { room: "r", clientId: "c" } }
        const told = yield* ask(yield* join(one.url, named, "message"), "message", "once", "m1")
        const second = yield* connect(two.url, named, "message")
        yield* until("it is connected", () => second.socket.connected)
        const again = second.socket.timeout(patience_ms).emitWithAck("message", "once", "m1")
        yield* eventually(
          "the log has both",
          Effect.map(recordsOf("chats", "r"), (records) => records === 2),
        )
        yield* mayRead.open
        assert.deepStrictEqual(yield* Effect.promise((): Promise<unknown> => again), told)
        yield* ask(second, "message", "next")
        for (const listener of listeners) yield* hearsData(listener, "once", "next")
        // Neither is one of them given to who comes back, from memory or from the log.
        const small = { close_ms: 200, chat: { ...chat, recent_bytes: 1 } }
        const three = yield* startGateway({ limits: small })
        for (const { url } of [one, three]) {
          const late = yield* join(url, { auth: { room: "r", offset: 0 } }, "message")
          yield* hearsData(late, "next")
        }
      }).pipe(inRoom),
  )
})
