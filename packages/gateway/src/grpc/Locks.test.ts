/** The gRPC transport behind locks: real calls, and tokens that stand in a table. */
import { assert, describe, it } from "@effect/vitest"
import { autoAckLimits } from "@nimbus/domain/limits"
import { ClientId, encodePlacedBarrier, Epoch, RouteId, Seq } from "@nimbus/domain/protocol"
import { Audit, type AuditEntry, EventLog, Registry, Revocations, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Code } from "@connectrpc/connect"
import { Clock, Effect, Layer, type Scope } from "effect"
import { Delivery } from "../delivery/Delivery.ts"
import { Gateway } from "../index.ts"
import { connect, type GrpcClient } from "../testing/GrpcClient.ts"
import * as Locks from "../testing/Locks.ts"
import * as OldGrpcClient from "../testing/OldGrpcClient.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { GrpcServer } from "./GrpcServer.ts"

const tokens = new Map<string, Locks.Said>()
const entries: Array<AuditEntry> = []
const audit = Audit.of({ record: (entry) => void entries.push(entry) })

const gateway = Gateway.layerWith({
  host: "127.0.0.1",
  port: 0,
  grpc: { host: "127.0.0.1", port: 0 },
  limits: { tick_ms: 20, close_ms: 300, auto_ack: { ...autoAckLimits, quiet_ms: 50, look_ms: 20 } },
}).pipe(
  Layer.provideMerge(MemoryParts.layer),
  Layer.provide(Locks.layer(tokens)),
  Layer.provideMerge(Revocations.layerMemory()),
  Layer.provide(Layer.succeed(Audit, audit)),
)

type Parts = Layer.Success<typeof gateway>

/** Each of them on a gateway of its own. */
const scenario = (name: string, test: Effect.Effect<void, unknown, Parts | Scope.Scope>) =>
  it.live(name, () => {
    tokens.clear()
    entries.length = 0
    return test.pipe(Effect.scoped, Effect.provide(gateway))
  })

const now_s = Effect.map(Clock.currentTimeMillis, (now_ms) => Math.floor(now_ms / 1000))

const call = Effect.fnUntraced(function* (token: string | undefined, metadata: Readonly<Record<string, string>> = {}) {
  const { port } = yield* GrpcServer
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return yield* connect({ port, metadata: { notices: "true", ...metadata }, headers })
})

/** A call that is told everything, once it is welcome. */
const welcomed = Effect.fnUntraced(function* (token: string, metadata: Readonly<Record<string, string>> = {}) {
  const client = yield* call(token, metadata)
  yield* client.first("welcome", ({ welcome }) => welcome !== undefined)
  return client
})

const errorIn = (client: GrpcClient, code: string) =>
  Effect.map(
    client.first(code, ({ error }) => error?.code === code),
    ({ error, eventId }) => ({ ...error, eventId }),
  )

const isAcked = (id: string, upTo: number) =>
  eventually(
    `${id} has acknowledged ${upTo}`,
    Effect.map(MemoryParts.acked(id), (acked) => acked === upTo),
  )

const logIsEmpty = Effect.gen(function* () {
  const { events } = yield* Topics
  const { end, partitions } = yield* EventLog
  for (let partition = 0; partition < partitions; partition++)
    assert.strictEqual(yield* end(events, partition), 0, "something was written")
})

describe("the gRPC transport behind locks", () => {
  for (const { code, status, token, what, ...rest } of [
    { what: "no token", token: undefined, status: Code.Unauthenticated, code: "TOKEN_MISSING" },
    { what: "an unknown token", token: "unknown", status: Code.Unauthenticated, code: "TOKEN_INVALID" },
    {
      what: "another's id",
      token: "alice",
      metadata: { client_id: "bob" },
      status: Code.PermissionDenied,
      code: "FORBIDDEN",
    },
    {
      what: "an `after` that it may not acknowledge",
      token: "reader",
      metadata: { after: "7", ack: "client" },
      status: Code.PermissionDenied,
      code: "FORBIDDEN",
    },
    {
      what: "acks by its transport that it may not do",
      token: "reader",
      status: Code.PermissionDenied,
      code: "FORBIDDEN",
    },
    { what: "no right to read", token: "writer", status: Code.PermissionDenied, code: "FORBIDDEN" },
    {
      what: "a journey that it may not ask for",
      token: "alice",
      metadata: { journey: "true" },
      status: Code.PermissionDenied,
      code: "FORBIDDEN",
    },
  ]) {
    scenario(
      `ends a call with ${what} as ${code}, before anything happens`,
      Effect.gen(function* () {
        tokens.set("alice", { subject: "alice" })
        tokens.set("reader", { subject: "alice", capabilities: ["connect:{sub}", "read"] })
        tokens.set("writer", { subject: "alice", capabilities: ["connect:{sub}", "ack", "send:*"] })
        const client = yield* call(token, "metadata" in rest ? rest.metadata : {})
        client.square(1)
        const end = yield* client.ended
        assert.deepStrictEqual([end.code, end.message.split(":")[0]], [status, code])
        assert.notInclude(end.message, "Bearer")
        assert.strictEqual(entries.at(-1)?.outcome, code)
        assert.strictEqual(entries.at(-1)?.transport, "grpc")
        assert.deepStrictEqual(client.responses, [])
        yield* logIsEmpty
        const { statuses } = yield* Registry
        assert.deepStrictEqual(yield* statuses(["alice", "bob"].map((id) => ClientId.make(id))), [undefined, undefined])
      }),
    )
  }

  scenario(
    "takes a call for the client that its token names, and says in the record who has caused it",
    Effect.gen(function* () {
      tokens.set("a", { subject: "auth0|alice", claims: { team: "kitchen" } })
      const client = yield* welcomed("a")
      client.send({ eventName: "sq", number: 7, eventId: "e1" })
      yield* client.first("accepted", ({ accepted }) => accepted.includes("e1"))
      const [, event] = yield* MemoryParts.logged("sub.auth0:7Calice", 2)
      const caller = JSON.parse(event?.headers?.["nimbus-caller"] ?? "null")
      assert.deepStrictEqual(caller, { issuer: Locks.issuer, subject: "auth0|alice", claims: { team: "kitchen" } })
      assert.deepStrictEqual(
        entries.map(({ action, address, outcome }) => [action, outcome, address]),
        [["login", "OK", "127.0.0.1"]],
      )
    }),
  )

  scenario(
    "serves a client of before that shows a token, and tells it nothing that it does not know",
    Effect.gen(function* () {
      const expires_s = (yield* now_s) + 30
      tokens.set("a", { subject: "alice", expires_s })
      const { port } = yield* GrpcServer
      const answers = OldGrpcClient.listen(port, "alice", { authorization: "Bearer a" })[Symbol.asyncIterator]()
      const first = answers.next()
      yield* MemoryParts.logged("alice", 1)
      yield* MemoryParts.put("alice", [MemoryParts.result(1, { data: { number: 3, result: 9 } })])
      const { value } = yield* Effect.promise(() => first)
      assert.strictEqual(value?.result, 9)
    }),
  )

  scenario(
    "refuses events, cancels and acks that a capability is missing for, and the call goes on",
    Effect.gen(function* () {
      tokens.set("a", { subject: "alice", capabilities: ["connect:{sub}", "read", "send:sq"] })
      const client = yield* welcomed("a", { ack: "client" })
      client.send({ eventName: "news", eventId: "e1" })
      const refused = yield* errorIn(client, "FORBIDDEN")
      assert.deepInclude(refused, {
        eventId: "e1",
        capability: "send:news",
        message: "the capability send:news is missing",
      })
      client.send({ cancel: "e0" })
      const { error, eventId } = yield* client.first("of the cancel", ({ error }) => error?.cancel !== undefined)
      assert.deepStrictEqual([error?.capability, error?.cancel, eventId], ["cancel", "e0", ""])
      yield* MemoryParts.put("alice", [MemoryParts.result(1, { data: { number: 1, result: 1 } })])
      yield* client.hasResults(1)
      client.ack(1n)
      yield* client.first("of the ack", ({ error }) => error?.message === "the capability ack is missing")
      client.send({ eventName: "sq", number: 2, eventId: "e2" })
      yield* client.first("accepted", ({ accepted }) => accepted.includes("e2"))
      assert.strictEqual(yield* MemoryParts.acked("alice"), -1)
      const [, ...events] = yield* MemoryParts.logged("alice", 2)
      assert.deepStrictEqual(
        events.map(({ value }) => JSON.parse(Buffer.from(value).toString()).id),
        ["e2"],
      )
    }),
  )

  scenario(
    "a half-closed call does not wait for what was refused",
    Effect.gen(function* () {
      tokens.set("a", { subject: "alice", capabilities: ["connect:{sub}", "read", "ack"] })
      const client = yield* welcomed("a")
      client.send({ eventName: "sq", number: 1, eventId: "e1" }, { cancel: "e1" })
      yield* client.first("of the cancel", ({ error }) => error?.cancel === "e1")
      client.halfClose()
      const { welcome } = yield* client.first("welcome", ({ welcome }) => welcome !== undefined)
      const of = { epoch: Epoch.make(Number(welcome?.epoch)), pod: (yield* Delivery).pod, route: RouteId.make("r.1") }
      yield* MemoryParts.put("alice", [{ seq: 1, value: encodePlacedBarrier(Seq.make(1), of) }])
      assert.strictEqual((yield* client.ended).code, 0)
    }),
  )

  scenario(
    "tells a call that its token ends, and goes on with another one of the same subject",
    Effect.gen(function* () {
      tokens.set("old", { subject: "alice", expires_s: (yield* now_s) + 30 })
      tokens.set("bob", { subject: "bob" })
      const client = yield* welcomed("old")
      const { expiring } = yield* client.first("expiring", ({ expiring }) => expiring !== undefined)
      assert.isAtMost(expiring?.seconds ?? 61, 30)
      client.send({ auth: "bob" })
      const refused = yield* errorIn(client, "TOKEN_INVALID")
      assert.strictEqual(refused.message, "the token is of another subject than the session")
      tokens.set("new", { subject: "alice", expires_s: (yield* now_s) + 1_000 })
      client.send({ auth: "new" })
      const { authenticated } = yield* client.first("authenticated", ({ authenticated }) => authenticated !== undefined)
      assert.isAbove(authenticated?.seconds ?? 0, 900)
      client.send({ eventName: "sq", number: 2, eventId: "e2", auth: "new" })
      yield* client.first("accepted", ({ accepted }) => accepted.includes("e2"))
    }),
  )

  scenario(
    "ends a call with its token, and what the client was not sent waits for its next one",
    Effect.gen(function* () {
      tokens.set("short", { subject: "alice", expires_s: (yield* now_s) + 2 })
      const client = yield* welcomed("short", { ack: "client" })
      const end = yield* client.ended
      assert.deepStrictEqual(
        [end.code, end.message],
        [Code.Unauthenticated, "TOKEN_EXPIRED: the token has ended: come back with a new one"],
      )
      assert.property(end.trailers, "grpc-retry-pushback-ms")
      yield* MemoryParts.put("alice", [MemoryParts.result(1, { data: { number: 1, result: 1 } })])
      tokens.set("next", { subject: "alice" })
      const next = yield* welcomed("next")
      yield* next.hasResults(1)
      yield* isAcked("alice", 1)
    }),
  )

  scenario(
    "ends a call whose subject is revoked, and lets it in no more",
    Effect.gen(function* () {
      tokens.set("a", { subject: "alice" })
      const client = yield* welcomed("a")
      yield* (yield* Revocations).order({ _tag: "Block", issuer: Locks.issuer, subject: "alice" })
      const end = yield* client.ended
      assert.deepStrictEqual([end.code, end.message.split(":")[0]], [Code.Unauthenticated, "TOKEN_REVOKED"])
      const again = yield* (yield* call("a")).ended
      assert.deepStrictEqual([again.code, again.message.split(":")[0]], [Code.Unauthenticated, "TOKEN_REVOKED"])
    }),
  )

  scenario(
    "ends a call that shows tokens that count for nothing, one after the other",
    Effect.gen(function* () {
      tokens.set("a", { subject: "alice" })
      const client = yield* welcomed("a")
      for (const n of [1, 2, 3]) {
        client.send({ auth: `guess ${n}` })
        yield* client.first(`${n}`, () => client.responses.filter(({ error }) => error !== undefined).length >= n)
      }
      const end = yield* client.ended
      assert.deepStrictEqual([end.code, end.message.split(":")[0]], [Code.Unauthenticated, "UNAUTHENTICATED"])
    }),
  )

  scenario(
    "leaves a client with its session where a stranger asks for its id, even one that may be it",
    Effect.gen(function* () {
      tokens.set("a", { subject: "alice" })
      tokens.set("b", { subject: "bob" })
      tokens.set("c", { subject: "carol", capabilities: ["connect:alice", "read", "ack"] })
      const alice = yield* welcomed("a")
      const ends = yield* Effect.forEach(["b", "c"], (token) =>
        Effect.flatMap(call(token, { client_id: "alice" }), ({ ended }) => ended),
      )
      assert.deepStrictEqual(
        ends.map(({ code, message }) => [code, message.split(":")[0]]),
        [
          [Code.PermissionDenied, "FORBIDDEN"],
          [Code.PermissionDenied, "CLIENT_IN_USE"],
        ],
      )
      alice.send({ eventName: "sq", number: 1, eventId: "e1" })
      yield* alice.first("accepted", ({ accepted }) => accepted.includes("e1"))
      const newer = yield* welcomed("a")
      assert.strictEqual((yield* alice.ended).code, Code.Aborted)
      assert.isFalse(newer.stream.closed)
    }),
  )
})
