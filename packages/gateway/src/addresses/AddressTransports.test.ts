/** What one address may do, over the wire: a proxy on this machine is trusted, and names whom it asks for. */
import type { ClientHttp2Session } from "node:http2"
import { request } from "node:http"
import { connect as connectTcp } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { WebSocket } from "ws"
import { GrpcServer } from "../grpc/GrpcServer.ts"
import * as HttpFront from "../http/HttpFront.ts"
import { Gateway } from "../index.ts"
import { addressLimits, Limits } from "../Limits.ts"
import { connect as call } from "../testing/GrpcClient.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { Addresses } from "./Addresses.ts"
import type { TooMany } from "./AddressBook.ts"

const address = {
  ...addressLimits,
  connections: 2,
  openings_in_a_row: 5,
  openings_per_second: 0.001,
  failures_in_a_row: 3,
  failures_per_second: 0.001,
}

const behindProxy = Gateway.layerWith({
  host: "127.0.0.1",
  port: 0,
  trustedProxies: ["127.0.0.0/8"],
  limits: { address },
}).pipe(Layer.provideMerge(MemoryParts.layerWith({ partitions: 1 })))

type Headers = Readonly<Record<string, string>>
type Answer = readonly [status: number | undefined, code: unknown, retryAfter: string | undefined]

const ask = (path: string, headers: Headers, method = "GET") =>
  HttpServer.addressFormattedWith((url) =>
    Effect.callback<Answer>((resume) => {
      const sent = request(`${url}${path}`, { method, headers }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (some: string) => (text += some))
        response.on("end", () => {
          const isJson = response.headers["content-type"]?.includes("json") === true
          const code: unknown = isJson ? Object(JSON.parse(text)).code : text
          resume(Effect.succeed([response.statusCode, code, response.headers["retry-after"]]))
        })
      })
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end()
    }),
  )

/** Stays open as long as the scope. */
const upgrade = (path: string, headers: Headers) =>
  HttpServer.addressFormattedWith((url) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.callback<readonly [WebSocket, Answer]>((resume) => {
          const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, { headers })
          socket.on("open", () => resume(Effect.succeed([socket, [101, "", undefined]])))
          socket.on("unexpected-response", (_, response) => {
            let text = ""
            response.setEncoding("utf8").on("data", (some: string) => (text += some))
            response.on("end", () => {
              const answer = [
                response.statusCode,
                Object(JSON.parse(text)).code,
                response.headers["retry-after"],
              ] as const
              resume(Effect.succeed([socket, answer]))
            })
          })
          socket.on("error", () => {})
        }),
        ([socket]) => Effect.sync(() => socket.terminate()),
      ),
      ([socket, answer]) => ({ socket, answer }),
    ),
  )

const open: Answer = [101, "", undefined]
const tooMany = (code: string, seconds: string): Answer => [429, code, seconds]

const paths = [
  "/v1/stream?clientId=c",
  "/approach2/events?clientId=c",
  "/approach3/events?clientId=c",
  "/socket.io/?EIO=4&transport=websocket",
]

layer(behindProxy, { excludeTestServices: true })("behind a trusted proxy", (it) => {
  it.effect.each(paths.map((path, i) => [path, `192.0.2.${i + 1}`] as const))(
    "%s opens to one address only so many connections at once, and to others as before",
    ([path, client]) =>
      Effect.gen(function* () {
        const headers = { "x-forwarded-for": `203.0.113.9, ${client}` }
        const first = yield* upgrade(path, headers)
        assert.deepStrictEqual(first.answer, open)
        assert.deepStrictEqual((yield* upgrade(path, headers)).answer, open)
        const { answer } = yield* upgrade(path, headers)
        assert.deepStrictEqual(answer, tooMany("TOO_MANY_CONNECTIONS", "5"))
        assert.deepStrictEqual(
          (yield* upgrade(path, { "x-forwarded-for": `198.51.100.${client.at(-1)}` })).answer,
          open,
        )
        first.socket.terminate()
        yield* eventually(
          "there is room again",
          Effect.map(upgrade(path, { forwarded: `for=${client}` }), ({ answer: [status] }) => status === 101),
        )
      }).pipe(Effect.scoped),
  )

  it.effect("whoever opens too fast is told to wait, by WebSocket and by Socket.IO's polling", () =>
    Effect.gen(function* () {
      const headers = { "x-forwarded-for": "2001:db8::1" }
      for (let i = 0; i < 5; i++) {
        const { answer, socket } = yield* upgrade("/v1/stream?clientId=c", headers)
        assert.deepStrictEqual(answer, open)
        const closed = new Promise((resolve) => socket.once("close", resolve))
        socket.terminate()
        yield* Effect.promise(() => closed)
        yield* eventually(
          "it is closed here",
          Effect.map(ask("/v1/clients/c/results", { "x-forwarded-for": "192.0.2.99" }), () => true),
        )
      }
      // Of the same network.
      const same = { "x-forwarded-for": "2001:db8::2:3:4" }
      const codes = ["TOO_MANY_OPENINGS", "TOO_MANY_CONNECTIONS"]
      const { answer } = yield* upgrade("/v1/stream?clientId=c", same)
      assert.strictEqual(answer[0], 429)
      assert.include(codes, answer[1])
      const polled = yield* ask("/socket.io/?EIO=4&transport=polling", same)
      assert.strictEqual(polled[0], 429)
      assert.include(codes, polled[1])
      assert.deepStrictEqual(
        (yield* upgrade("/v1/stream?clientId=c", { "x-forwarded-for": "2001:db8:0:1::1" })).answer,
        open,
      )
    }).pipe(Effect.scoped),
  )

  it.effect("a connection of the proxy that upgrades nothing is none of a client", () =>
    Effect.gen(function* () {
      const headers = { "x-forwarded-for": "192.0.2.40" }
      for (let i = 0; i < 4; i++) {
        assert.strictEqual((yield* ask("/socket.io/?EIO=4&transport=polling", headers))[0], 200)
      }
      for (let i = 0; i < 2; i++) {
        const foreign = yield* upgrade("/v1/stream?clientId=c", { ...headers, origin: "http://evil.example" })
        assert.deepStrictEqual(foreign.answer.slice(0, 2), [403, "ORIGIN_NOT_ALLOWED"])
      }
      assert.deepStrictEqual((yield* upgrade("/v1/stream?clientId=c", headers)).answer, open)
      const polled = yield* ask("/socket.io/?EIO=4&transport=polling", headers)
      assert.deepStrictEqual(polled.slice(0, 2), [429, "TOO_MANY_OPENINGS"])
    }).pipe(Effect.scoped),
  )

  it.effect("whoever fails too often is answered nothing else for a while, but health", () =>
    Effect.gen(function* () {
      const headers = { "x-forwarded-for": "192.0.2.50" }
      const asked = yield* Effect.forEach(Array.from({ length: 3 }), () => ask("/nothing", headers))
      assert.deepStrictEqual(
        asked.map(([status]) => status),
        [404, 404, 404],
      )
      const refused = (yield* ask("/nothing", headers)).slice(0, 2)
      assert.deepStrictEqual(refused, [429, "TOO_MANY_FAILURES"])
      assert.deepStrictEqual((yield* upgrade("/v1/stream?clientId=c", headers)).answer.slice(0, 2), refused)
      assert.strictEqual((yield* ask("/healthz", headers))[0], 200)
      assert.strictEqual((yield* ask("/nothing", { "x-forwarded-for": "192.0.2.51" }))[0], 404)
    }).pipe(Effect.scoped),
  )

  it.effect("an upgrade that is refused after it was made is a failure, too", () =>
    Effect.gen(function* () {
      const headers = { "x-forwarded-for": "192.0.2.60" }
      for (let i = 0; i < 3; i++) {
        const { socket } = yield* upgrade("/v1/stream", headers)
        socket.terminate()
      }
      yield* eventually(
        "it is refused for that",
        Effect.map(ask("/nothing", headers), ([, code]) => code === "TOO_MANY_FAILURES"),
      )
    }).pipe(Effect.scoped),
  )

  it.effect("calls of gRPC are refused with RESOURCE_EXHAUSTED and a time, and counted by their reason", () =>
    Effect.gen(function* () {
      const { port } = yield* GrpcServer
      const from = (client_id: string, client: string, session?: ClientHttp2Session) =>
        call({ port, metadata: { client_id, "x-forwarded-for": client }, ...(session !== undefined && { session }) })
      const first = yield* from("g1", "192.0.2.70")
      yield* from("g2", "192.0.2.70", first.session)
      const refused = yield* from("g3", "192.0.2.70", first.session)
      const { code, message, trailers } = yield* refused.ended
      assert.strictEqual(code, 8)
      assert.include(message, "TOO_MANY_CONNECTIONS")
      assert.strictEqual(trailers["grpc-retry-pushback-ms"], "5000")
      for (let i = 0; i < 3; i++) yield* (yield* from("%", "192.0.2.71", first.session)).ended
      const failed = yield* (yield* from("g4", "192.0.2.71", first.session)).ended
      assert.include(failed.message, "TOO_MANY_FAILURES")
      const other = yield* from("g5", "192.0.2.72", first.session)
      assert.isFalse(other.stream.closed)
      yield* eventually(
        "it is counted",
        Effect.map(ask("/metrics", {}), ([, text]) =>
          ["TOO_MANY_CONNECTIONS", "TOO_MANY_FAILURES"].every((reason) =>
            String(text).includes(`nimbus_gateway_refused_total{code="${reason}"`),
          ),
        ),
      )
    }).pipe(Effect.scoped),
  )
})

const bare = Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { address } }).pipe(
  Layer.provideMerge(MemoryParts.layerWith({ partitions: 1 })),
)

layer(bare, { excludeTestServices: true })("without trusted proxies", (it) => {
  it.effect("this machine may do anything, and what headers say counts for nothing", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 8; i++) {
        const headers = { "x-forwarded-for": "192.0.2.1" }
        assert.deepStrictEqual((yield* upgrade(`/v1/stream?clientId=c${i}`, headers)).answer, open)
        assert.strictEqual((yield* ask("/nothing", headers))[0], 404)
      }
    }).pipe(Effect.scoped),
  )
})

/** As if each connection came from an address that has too many. */
const refusing: TooMany = { code: "TOO_MANY_CONNECTIONS", retry_ms: 1_500 }
const full = Layer.succeed(Addresses, {
  from: () => undefined,
  isProxy: () => false,
  accept: () => refusing,
  ask: () => undefined,
  open: () => undefined,
  openThrough: () => undefined,
  fail: () => {},
})
const servers = Layer.merge(
  HttpFront.layerWith({ host: "127.0.0.1", port: 0 }),
  GrpcServer.layerWith({ host: "127.0.0.1", port: 0 }),
).pipe(Layer.provide(full), Layer.provide(Limits.layerWith({ close_ms: 200 })))

layer(servers, { excludeTestServices: true })("a connection too many", (it) => {
  it.effect("is told so, whatever it asks, and closed", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* ask("/v1/stream", {}), tooMany("TOO_MANY_CONNECTIONS", "2"))
      yield* HttpServer.addressFormattedWith((url) =>
        Effect.callback<void>((resume) => {
          connectTcp(Number(new URL(url).port), "127.0.0.1")
            .once("close", () => resume(Effect.void))
            .on("error", () => {})
        }),
      )
    }),
  )

  it.effect("is told so by gRPC, and closed", () =>
    Effect.gen(function* () {
      const client = yield* call({ port: (yield* GrpcServer).port, metadata: { client_id: "c" } })
      const { code, message } = yield* client.ended
      assert.strictEqual(code, 8)
      assert.include(message, "TOO_MANY_CONNECTIONS")
      if (!client.session.closed) {
        yield* Effect.callback<void>((resume) => void client.session.once("close", () => resume(Effect.void)))
      }
    }).pipe(Effect.scoped),
  )
})

describe("Addresses", () => {
  it.effect("counts the connections of whoever connects by itself, and none of a trusted proxy", () =>
    Effect.gen(function* () {
      const addresses = yield* Addresses
      const closes: Array<() => void> = []
      const accept = (peer: string) => addresses.accept(peer, (closed) => closes.push(closed))
      for (let i = 0; i < 2; i++) assert.isUndefined(accept("::ffff:192.0.2.1"))
      assert.propertyVal(accept("192.0.2.1"), "code", "TOO_MANY_CONNECTIONS")
      closes[0]?.()
      assert.isUndefined(accept("192.0.2.1"))
      for (let i = 0; i < 10; i++) {
        assert.isUndefined(accept("10.0.0.1"))
        assert.isUndefined(accept("127.0.0.1"))
      }
      const peer = { peer: "192.0.2.9", forwardedFor: undefined, forwarded: undefined }
      for (let i = 0; i < 5; i++) assert.isUndefined(addresses.open(peer, () => {}))
      assert.propertyVal(
        addresses.open(peer, () => {}),
        "code",
        "TOO_MANY_OPENINGS",
      )
      for (let i = 0; i < 3; i++) addresses.fail(peer)
      assert.propertyVal(addresses.ask(peer), "code", "TOO_MANY_FAILURES")
    }).pipe(
      Effect.provide(
        Addresses.layerWith({ trustedProxies: ["10.0.0.0/8"] }).pipe(Layer.provide(Limits.layerWith({ address }))),
      ),
      Effect.scoped,
    ),
  )
})
