/** What one subject may have, over the wire. */
import { Code } from "@connectrpc/connect"
import { assert, describe, it } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Context, Effect, Layer, type Scope } from "effect"
import { HttpServer } from "effect/http"
import { GrpcServer } from "../grpc/GrpcServer.ts"
import { Gateway } from "../index.ts"
import { subjectLimits } from "../Limits.ts"
import { connect as call } from "../testing/GrpcClient.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { connect } from "../testing/PlainClient.ts"

const tokens = new Map([
  ["alice", { subject: "alice", capabilities: ["connect:{sub}", "connect:{sub}/*", "read", "ack", "send:*"] }],
  ["bob", { subject: "bob" }],
  ["mallory", { subject: "mallory", capabilities: ["publish:*"] }],
  ["shop", { subject: "shop", capabilities: ["publish:*"] }],
])

const services = Layer.merge(MemoryParts.layerWith({ partitions: 1 }), Locks.layer(tokens))

const gateway = Effect.fnUntraced(function* (bounds: Partial<typeof subjectLimits>) {
  const limits = { tick_ms: 20, close_ms: 200, subject: { ...subjectLimits, ...bounds } }
  const context = yield* Layer.build(Gateway.layerWith({ host: "127.0.0.1", port: 0, limits }))
  const { address } = Context.get(context, HttpServer.HttpServer)
  return {
    port: "port" in address ? address.port : assert.fail("no port"),
    grpc: Context.get(context, GrpcServer).port,
  }
})

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const stream = (port: number, token: string, query = "") =>
  connect(`ws://127.0.0.1:${port}/v1/stream?${query}`, ["nimbus.v1"], { headers: bearer(token) })

const publish = (port: number, token: string, to: string, data: string) =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/clients/${to}/messages`, {
      method: "POST",
      headers: { "content-type": "application/json", ...bearer(token) },
      body: JSON.stringify({ name: "news", data }),
    })
    const body: unknown = await response.json()
    return { status: response.status, retryAfter: response.headers.get("retry-after"), code: Object(body).code }
  })

const logged = Effect.gen(function* () {
  return yield* (yield* EventLog).end((yield* Topics).events, 0)
})

const live = (name: string, test: Effect.Effect<void, unknown, Layer.Success<typeof services> | Scope.Scope>) =>
  it.live(name, () => test.pipe(Effect.scoped, Effect.provide(services)))

describe("one subject", () => {
  live(
    "has so many connections, of all transports together: one too many is told how long to wait, and may come back",
    Effect.gen(function* () {
      const { grpc, port } = yield* gateway({ connections: 2 })
      const first = yield* stream(port, "alice")
      yield* first.first("welcome")
      const second = yield* call({ port: grpc, metadata: { client_id: "alice::phone" }, headers: bearer("alice") })
      yield* second.first("a welcome", () => true).pipe(Effect.timeoutOption(300))
      const refused = yield* stream(port, "alice", "clientId=alice::watch")
      const error = yield* refused.first("error")
      assert.deepInclude(error, { code: "SUBJECT_CONNECTIONS", retry_ms: 5_000 })
      assert.deepStrictEqual(yield* refused.closed, { code: 4007, reason: "SHARE_USED_UP" })
      const third = yield* call({ port: grpc, metadata: { client_id: "alice::watch" }, headers: bearer("alice") })
      const { code, message, trailers } = yield* third.ended
      assert.strictEqual(code, Code.ResourceExhausted)
      assert.match(message, /^SUBJECT_CONNECTIONS: .*wait 5 s$/)
      assert.strictEqual(trailers["grpc-retry-pushback-ms"], "5000")
      yield* (yield* stream(port, "bob")).first("welcome")
      // Of one that has a connection the newer one comes.
      yield* (yield* stream(port, "alice")).first("welcome")
    }),
  )

  live(
    "is slowed down over all its connections, and told so; what is beyond its credit is refused, and others are not",
    Effect.gen(function* () {
      const { port } = yield* gateway({ bytes_per_second: 2_000, credit_ms: 100 })
      const [alice, phone] = [yield* stream(port, "alice"), yield* stream(port, "alice", "clientId=alice::phone")]
      const bob = yield* stream(port, "bob")
      for (const client of [alice, phone, bob]) yield* client.first("welcome")
      alice.send({ type: "event", id: "e1", name: "sq", data: "x".repeat(3_000) })
      assert.deepInclude(yield* alice.first("error"), { code: "SUBJECT_BYTES" })
      yield* alice.first("accepted")
      phone.send({ type: "event", id: "e2", name: "sq", data: "x" })
      const refused = yield* phone.first("refused")
      assert.deepInclude(refused, { id: "e2", code: "SUBJECT_BYTES" })
      assert.isAbove(Number(Object(refused).retry_ms), 0)
      bob.send({ type: "event", id: "e3", name: "sq", data: "x" })
      yield* bob.first("accepted")
    }),
  )

  live(
    "has so much mail that waits for one client: what it floods it with is refused, and others' mail is taken",
    Effect.gen(function* () {
      const { port } = yield* gateway({ mail_bytes: 10_000 })
      const answers = yield* Effect.forEach(Array.from({ length: 20 }), () =>
        publish(port, "mallory", "bob", "x".repeat(1_000)),
      )
      assert.lengthOf(
        answers.filter(({ status }) => status === 200),
        9,
      )
      const { retryAfter, ...refused } = answers.at(-1) ?? assert.fail("nothing")
      assert.deepStrictEqual(refused, { status: 429, code: "SUBJECT_MAIL" })
      assert.isAtLeast(Number(retryAfter), 1)
      assert.strictEqual(yield* logged, 9, "nothing of what was refused is in the log")
      assert.propertyVal(yield* publish(port, "shop", "bob", "yours"), "status", 200)
      assert.propertyVal(yield* publish(port, "mallory", "carol", "x"), "status", 200)
    }),
  )

  live(
    "uses up so many new client ids a day, by connections and by what it sends, its own being none",
    Effect.gen(function* () {
      const { port } = yield* gateway({ new_ids_per_day: 2 })
      for (let i = 0; i < 4; i++) yield* (yield* stream(port, "alice")).first("welcome")
      for (const id of ["a", "b", "a"]) yield* (yield* stream(port, "alice", `clientId=alice::${id}`)).first("welcome")
      const refused = yield* stream(port, "alice", "clientId=alice::c")
      assert.deepInclude(yield* refused.first("error"), { code: "SUBJECT_NEW_IDS" })
      for (const id of ["x", "y"]) assert.propertyVal(yield* publish(port, "mallory", id, "x"), "status", 200)
      assert.propertyVal(yield* publish(port, "mallory", "z", "x"), "code", "SUBJECT_NEW_IDS")
    }),
  )
})
