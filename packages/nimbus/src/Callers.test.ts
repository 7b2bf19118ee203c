/**
 * Who handlers and tasks are told has caused an event, by each transport that takes events: who the gateway has verified, and
 * nobody else, whatever a client says of itself in its handshake, its metadata and its events.
 */
import { assert, describe, it } from "@effect/vitest"
import { Issuer } from "@nimbus/adapters/testing/tokens"
import * as Locks from "@nimbus/adapters/locks"
import { type Caller, callerHeader } from "@nimbus/domain/access"
import { Handlers } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { GrpcServer } from "@nimbus/gateway"
import { GrpcClient } from "@nimbus/gateway/testing"
import { Effect, Layer, Redacted, type Scope, Schema, Stream } from "effect"
import type { HttpServer } from "effect/http"
import { WebSocket } from "ws"
import * as Nimbus from "./Nimbus.ts"
import * as RawClient from "./testing/RawClient.ts"

const issuer = "https://issuer.test"
const secret = "a secret of this test, of 32 bytes or more"

const locks = Locks.layerWith({
  tokens: {
    issuers: [{ issuer, name: undefined, keys: { _tag: "Secret", secret: Redacted.make(secret) } }],
    audience: ["nimbus"],
    clientClaim: "sub",
    isInsecure: false,
  },
  hook: undefined,
  tls: undefined,
  rules: undefined,
  claims: ["groups"],
})

const tokenOf = (sub: string) =>
  Effect.promise(() => Issuer.signBySecret(secret, issuer, { sub, groups: ["staff"], email: "not for handlers" }))

interface Told {
  readonly by: string
  readonly caller: Caller | undefined
}

/** A handler and a task that note who has called them. */
const telling = (told: Array<Told>) =>
  Handlers.layer([
    Handlers.make("who", {
      input: Schema.Json,
      output: Schema.Null,
      handler: (_, { caller }) => Effect.sync(() => (told.push({ by: "who", caller }), null)),
    }),
    Handlers.task("ask", {
      input: Schema.Json,
      part: Schema.Null,
      handler: (_, { caller }) => Stream.sync(() => (told.push({ by: "ask", caller }), null)),
    }),
  ])

/** What somebody would like handlers to take for the caller. */
const forged = JSON.stringify({ issuer, subject: "owner", claims: { groups: ["owners"] } })
const headers = { [callerHeader]: forged, "x-nimbus-caller": forged }
const forgedEvent = (name: string) => ({
  type: "event",
  name,
  data: { caller: JSON.parse(forged), [callerHeader]: forged },
  caller: JSON.parse(forged),
  headers,
  claims: { groups: ["owners"] },
})

interface Place {
  readonly http: number
  readonly grpc: number
}

/** By each transport that takes events: a client that asks both, and says that it is the owner wherever it can. */
const asks: ReadonlyArray<{
  readonly transport: string
  ask(place: Place, clientId: string, token: string | undefined): Effect.Effect<unknown, unknown, Scope.Scope>
}> = [
  {
    transport: "/v1/stream",
    ask: Effect.fnUntraced(function* ({ http }, clientId, token) {
      const protocols = token === undefined ? ["nimbus.v1"] : ["nimbus.v1", `nimbus.bearer.${token}`]
      const query = `clientId=${clientId}&caller=${encodeURIComponent(forged)}`
      const client = yield* RawClient.connect(http, query, { protocols, headers })
      for (const name of ["who", "ask"]) client.send(forgedEvent(name))
      return client
    }),
  },
  ...["approach2", "approach3"].map((approach) => ({
    transport: `/${approach}/events`,
    ask: ({ http }: Place, clientId: string, token: string | undefined) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            const bearer = token === undefined ? {} : { authorization: `Bearer ${token}` }
            const url = `ws://127.0.0.1:${http}/${approach}/events?clientId=${clientId}`
            return new WebSocket(url, { headers: { ...headers, ...bearer } })
          }),
          (socket) => Effect.sync(() => socket.terminate()),
        ),
        (socket) => {
          socket.on("error", () => {})
          socket.on("open", () => {
            for (const name of ["who", "ask"]) socket.send(JSON.stringify(forgedEvent(name)))
          })
        },
      ),
  })),
  {
    transport: "gRPC",
    ask: Effect.fnUntraced(function* ({ grpc }, clientId, token) {
      const bearer = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const client = yield* GrpcClient.connect({ port: grpc, metadata: { client_id: clientId, ...headers, ...bearer } })
      for (const name of ["who", "ask"])
        client.send({ eventName: name, dataJson: JSON.stringify(forgedEvent(name).data) })
    }),
  },
]

const hasTold = (told: ReadonlyArray<Told>) =>
  eventually(
    "handler and task have been asked",
    Effect.sync(() => told.length === 2),
  )

const place = Effect.gen(function* () {
  return { http: Number(new URL(yield* Nimbus.url).port), grpc: (yield* GrpcServer).port }
})

const within =
  (told: Array<Told>) =>
  <A, E>(test: Effect.Effect<A, E, GrpcServer | HttpServer.HttpServer | Scope.Scope>) =>
    Effect.provide(test, Nimbus.layerMemory().pipe(Layer.provide(telling(told))), { local: true })

describe("who has caused an event", () => {
  it.live.each(asks)(
    "is by $transport the subject of the token, with the claims that handlers are to get",
    ({ ask }) => {
      const told: Array<Told> = []
      return Effect.gen(function* () {
        yield* ask(yield* place, "alice", yield* tokenOf("alice"))
        yield* hasTold(told)
        const caller = { issuer, subject: "alice", claims: { groups: ["staff"] } }
        assert.sameDeepMembers(told, [
          { by: "who", caller },
          { by: "ask", caller },
        ])
      }).pipe(within(told), Effect.provide(locks), Effect.scoped)
    },
  )

  it.live.each(asks)("is by $transport nobody where there are no locks", ({ ask }) => {
    const told: Array<Told> = []
    return Effect.gen(function* () {
      yield* ask(yield* place, "alice", undefined)
      yield* hasTold(told)
      assert.isTrue(told.every(({ caller }) => caller === undefined))
    }).pipe(within(told), Effect.scoped)
  })
})
