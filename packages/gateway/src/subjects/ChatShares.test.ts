import { assert, describe, it } from "@effect/vitest"
import { Topics } from "@nimbus/domain/services"
import { Effect } from "effect"
import { subjectLimits } from "../Limits.ts"
import { ask, connect, join, on, startGateway, until } from "../testing/ChatClients.ts"
import * as Locks from "../testing/Locks.ts"

const inRoom = on(Topics.layerDefault)
const capabilities = ["connect:{sub}", "room:join:*", "room:publish:*", "broadcast"]
const tokens = new Map(["alice", "bob"].map((subject) => [subject, { subject, capabilities }]))

/** A gateway with locks and these bounds. */
const gateway = (bounds: Partial<typeof subjectLimits>) =>
  startGateway({ limits: { close_ms: 200, subject: { ...subjectLimits, ...bounds } } }).pipe(
    Effect.provide(Locks.layer(tokens)),
  )

const as = (token: string, room = "r") => ({ auth: { token, room }, transports: ["websocket"], reconnection: false })

const refusal = Effect.fnUntraced(function* (url: string, options: Parameters<typeof connect>[1]) {
  const { socket } = yield* connect(url, options)
  const error = yield* Effect.promise(
    () => new Promise<Error & { readonly data?: unknown }>((resolve) => socket.once("connect_error", resolve)),
  )
  return error.data
})

const errorOf = (answer: unknown) =>
  typeof answer === "object" && answer !== null && "error" in answer ? answer.error : undefined

describe("the chat, of one subject", () => {
  it.live("refuses a socket too many, and the next one once another has gone; others are not affected", () =>
    Effect.gen(function* () {
      const { url } = yield* gateway({ connections: 2 })
      const [first] = [yield* join(url, as("alice"), "message"), yield* join(url, as("alice"), "message")]
      const refused = yield* refusal(url, as("alice"))
      assert.deepInclude(refused, { code: "SUBJECT_CONNECTIONS", retry_ms: 5_000 })
      yield* join(url, as("bob"), "message")
      first.socket.disconnect()
      const { socket } = yield* connect(url, { ...as("alice"), reconnection: true })
      socket.on("connect_error", () => void setImmediate(() => socket.connect()))
      yield* until("it may connect", () => socket.connected)
    }).pipe(inRoom),
  )

  it.live("refuses a room too many, and counts none of a socket that is refused", () =>
    Effect.gen(function* () {
      const { url } = yield* gateway({ rooms: 1, connections: 2 })
      yield* join(url, as("alice"), "message")
      for (let i = 0; i < 3; i++) {
        assert.deepInclude(yield* refusal(url, as("alice", "s")), { code: "SUBJECT_ROOMS", retry_ms: 5_000 })
      }
      yield* join(url, as("alice"), "message")
      yield* join(url, as("bob", "s"), "message")
    }).pipe(inRoom),
  )

  it.live("refuses messages of a subject that sends too much over all its sockets, and says how long to wait", () =>
    Effect.gen(function* () {
      const { url } = yield* gateway({ bytes_per_second: 4_096 })
      const [alice, phone] = [yield* join(url, as("alice"), "message"), yield* join(url, as("alice"), "message")]
      const bob = yield* join(url, as("bob"), "message")
      assert.property(yield* ask(alice, "message", "x".repeat(100)), "offset")
      assert.deepInclude(errorOf(yield* ask(alice, "message", "x".repeat(8_000))), { code: "SUBJECT_BYTES" })
      const refused = errorOf(yield* ask(phone, "broadcast", "x"))
      assert.deepInclude(refused, { code: "SUBJECT_BYTES" })
      assert.property(refused, "retry_ms")
      assert.property(yield* ask(bob, "message", "x".repeat(100)), "offset")
    }).pipe(inRoom),
  )
})
