/** The embedded server on its stores: what its log has no more, a chat client gets from the archive. */
import { assert, it } from "@effect/vitest"
import { partitionOf } from "@nimbus/domain/protocol"
import { Archive, EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { io } from "socket.io-client"
import { serverOn, storesIn, temporaryDirectory } from "./EmbeddedStores.ts"

const room = "r"
const messages = Array.from({ length: 40 }, (_, n) => JSON.stringify(`${n} ${"x".repeat(5_000)}`))

/** A log that keeps less. */
const logOptions = { retention: { chats: { retention_bytes: 50_000 } }, limits: { retention_every_ms: 10 } }

/** What was said, and was archived, before the log forgot most of it. */
const before = Effect.gen(function* () {
  const log = yield* EventLog
  const { chats } = yield* Topics
  const partition = partitionOf(room, log.partitions)
  for (const message of messages) {
    yield* log.publish(chats, partition, [{ key: room, value: new TextEncoder().encode(message) }])
  }
  // As the storage writer has them, and as it had them before.
  const rowOf = (value: string, n: number) => (n % 2 === 0 ? `{"id":null,"sender":null,"data":${value}}` : value)
  const records = messages.map((value, place) => ({ key: room, place, timestamp: 1, value: rowOf(value, place) }))
  const source = { incarnation: log.incarnation, kind: "messages", partition } as const
  yield* (yield* Archive).write({ source, records, position: records.length })
  yield* eventually(
    "retention has done its work",
    Effect.map(log.earliest(chats, partition), (earliest) => earliest > 20 && earliest < messages.length),
  )
})

const connect = (url: string, auth: object) =>
  Effect.acquireRelease(
    Effect.sync(() => io(url, { auth, transports: ["websocket"], forceNew: true })),
    (socket) => Effect.sync(() => void socket.disconnect()),
  )

it.live(
  "a chat client that is older than the log gets all that it missed, from the archive and then from the log",
  () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* before.pipe(
        Effect.provide(storesIn(directory, logOptions).pipe(Layer.provideMerge(Topics.layerDefault)), { local: true }),
      )
      const server = serverOn(storesIn(directory, logOptions))
      yield* Effect.gen(function* () {
        const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
        const socket = yield* connect(url, { room, offset: 0 })
        const heard: Array<unknown> = []
        const others: Array<string> = []
        socket.on("message", (data: unknown) => heard.push(data))
        socket.onAny((name: string) => others.push(name))
        yield* eventually(
          "it is live",
          Effect.sync(() => others.includes("live")),
          60_000,
        )
        assert.deepStrictEqual(
          heard.map((data) => JSON.stringify(data)),
          messages.slice(1),
        )
        assert.notInclude(others, "lost")
      }).pipe(Effect.scoped, Effect.provide(server, { local: true }))
    }).pipe(Effect.scoped),
  120_000,
)
