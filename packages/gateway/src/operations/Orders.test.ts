/** What operators order, at every transport: real connections, and the services of the domain in memory. */
import { once } from "node:events"
import { assert, describe, it } from "@effect/vitest"
import { ClientId } from "@nimbus/domain/protocol"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { io } from "socket.io-client"
import { WebSocket } from "ws"
import { Delivery } from "../delivery/Delivery.ts"
import { GrpcServer } from "../grpc/GrpcServer.ts"
import { Gateway } from "../index.ts"
import { connect as connectGrpc } from "../testing/GrpcClient.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { Operations } from "@nimbus/domain/admin"
import * as ServiceOperations from "./ServiceOperations.ts"

const gateway = ServiceOperations.layer.pipe(
  Layer.provideMerge(Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { tick_ms: 10, send_away_ms: 200 } })),
  Layer.provideMerge(MemoryParts.layer),
)

const scenario = <A, E, R>(test: Effect.Effect<A, E, R>) =>
  test.pipe(Effect.scoped, Effect.provide(gateway, { local: true }))

const port = Effect.map(HttpServer.HttpServer, ({ address }) =>
  "port" in address ? address.port : assert.fail("no port"),
)

/** A socket, once it is welcome; `closed` says how the gateway closed it. */
const connect = Effect.fnUntraced(function* (path: string) {
  const url = `ws://127.0.0.1:${yield* port}${path}`
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(url)),
    (ws) => Effect.sync(() => ws.terminate()),
  )
  const closed = once(ws, "close").then(([code, reason]) => `${code} ${reason}`)
  return { closed: Effect.promise(() => closed), opened: Effect.promise(() => once(ws, "message")) }
})

const welcome = (path: string) => Effect.tap(connect(path), ({ opened }) => opened)

const joinChat = Effect.fnUntraced(function* () {
  const url = `http://127.0.0.1:${yield* port}`
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => io(url, { auth: { room: "r" }, transports: ["websocket"], forceNew: true, reconnection: false })),
    (socket) => Effect.sync(() => void socket.disconnect()),
  )
  return socket
})

const readyz = Effect.flatMap(port, (port) =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`)
    return `${response.status} ${await response.text()}`
  }),
)

describe("a kick", () => {
  it.live("closes that client's connection and no other, at whichever transport, and it may come back", () =>
    scenario(
      Effect.gen(function* () {
        const { kick } = yield* Operations
        const native = yield* welcome("/v1/stream?clientId=native")
        const plain = yield* connect("/approach3/events?clientId=plain")
        const direct = yield* connect("/approach2/events?clientId=direct")
        const other = yield* welcome("/v1/stream?clientId=other")
        const grpc = yield* connectGrpc({
          port: (yield* GrpcServer).port,
          metadata: { client_id: "grpc", notices: "true" },
        })
        const { session, size } = yield* Delivery
        yield* eventually(
          "all are here",
          Effect.sync(() => size() === 5),
        )
        assert.deepStrictEqual(
          ["native", "plain", "direct", "grpc"].map((id) => session(ClientId.make(id))?.door),
          ["/v1/stream", "/approach3/events", "/approach2/events", "grpc"],
        )
        for (const id of ["native", "plain", "direct", "grpc"]) {
          assert.isTrue((yield* kick({ params: { clientId: ClientId.make(id) } })).received, id)
        }
        for (const { closed } of [native, plain, direct]) assert.strictEqual(yield* closed, "4004 KICKED")
        const { code, message, trailers } = yield* grpc.ended
        assert.strictEqual(code, 14)
        assert.match(message, /^KICKED: /)
        assert.isDefined(trailers["grpc-retry-pushback-ms"])
        yield* eventually(
          "one is left",
          Effect.sync(() => size() === 1),
        )

        yield* welcome("/v1/stream?clientId=native")
        assert.strictEqual(size(), 2)
        const isOtherClosed = yield* Effect.timeoutOption(other.closed, "50 millis")
        assert.strictEqual(isOtherClosed._tag, "None")
      }),
    ),
  )

  it.live("says that a client that has left is not there", () =>
    scenario(
      Effect.gen(function* () {
        const { kick } = yield* Operations
        const c1 = yield* welcome("/v1/stream?clientId=c1")
        assert.isTrue((yield* kick({ params: { clientId: ClientId.make("c1") } })).received)
        yield* c1.closed
        yield* eventually(
          "the registry knows",
          Effect.map(kick({ params: { clientId: ClientId.make("c1") } }), ({ received }) => !received),
        )
      }),
    ),
  )
})

describe("a drain", () => {
  it.live("sends everyone away, at every transport, over a while, takes nobody new and is not ready", () =>
    scenario(
      Effect.gen(function* () {
        const { drain } = yield* Operations
        const { pod, size } = yield* Delivery
        const sockets = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, i) => i),
          (i) => welcome(`/v1/stream?clientId=c${i}`),
        )
        const chat = yield* joinChat()
        yield* Effect.promise(() => new Promise((resolve) => chat.once("live", resolve)))
        const left = new Promise((resolve) => chat.once("leaving", resolve))
        const gone = new Promise((resolve) => chat.once("disconnect", resolve))
        assert.strictEqual(yield* readyz, "200 ready\n")
        const sizes: Array<number> = []

        assert.deepStrictEqual(yield* drain({ params: { pod } }), { pod, received: true })
        yield* eventually(
          "all are gone",
          Effect.sync(() => {
            if (sizes.at(-1) !== size()) sizes.push(size())
            return size() === 0
          }),
        )
        assert.isAbove(sizes.length, 5, "in slices")
        for (const { closed } of sockets) assert.strictEqual(yield* closed, "4000 GOING_AWAY")
        assert.deepStrictEqual(yield* Effect.promise(() => left), { code: "GOING_AWAY" })
        yield* Effect.promise(() => gone)

        assert.strictEqual(yield* readyz, "503 not ready: draining\n")
        const late = yield* connect("/v1/stream?clientId=late")
        assert.strictEqual(yield* late.closed, "4000 GOING_AWAY")
        const grpc = yield* connectGrpc({ port: (yield* GrpcServer).port, metadata: { client_id: "late" } })
        assert.match((yield* grpc.ended).message, /^GOING_AWAY: /)
        const refused = yield* joinChat()
        const error = yield* Effect.promise(
          () => new Promise<Error>((resolve) => refused.once("connect_error", resolve)),
        )
        assert.strictEqual(error.message, "GOING_AWAY")
        assert.strictEqual(size(), 0)
      }),
    ),
  )

  it.live("asked for again changes nothing", () =>
    scenario(
      Effect.gen(function* () {
        const { drain } = yield* Operations
        const { pod } = yield* Delivery
        const { closed } = yield* welcome("/v1/stream?clientId=c1")
        yield* drain({ params: { pod } })
        yield* drain({ params: { pod } })
        assert.strictEqual(yield* closed, "4000 GOING_AWAY")
        assert.strictEqual(yield* readyz, "503 not ready: draining\n")
      }),
    ),
  )
})
