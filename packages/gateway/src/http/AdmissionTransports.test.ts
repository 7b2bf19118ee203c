/** Who may ask, over the wire: the same refusals from every transport of the HTTP port, and what pages may read. */
import { request } from "node:http"
import { assert, layer } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer, Option, Redacted } from "effect"
import { HttpServer } from "effect/http"
import { WebSocket } from "ws"
import type { Access } from "../admin/Authorization.ts"
import { Gateway } from "../index.ts"
import { connect, join, until } from "../testing/ChatClients.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const token = "0123456789abcdef"
const page = "https://page.example"
const evil = "http://evil.example"

const gateway = Gateway.layerWith({
  host: "127.0.0.1",
  port: 0,
  origins: [page],
  hosts: ["nimbus.example"],
  admin: Option.some<Access>({ _tag: "Token", token: Redacted.make(token) }),
}).pipe(Layer.provideMerge(MemoryParts.layerWith({ partitions: 1 })))

type Headers = Readonly<Record<string, string>>
interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
}

/** By Node's own client, which sends whatever Host and Origin it is told to. */
const ask = (method: string, path: string, headers: Headers = {}, body?: string) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.callback<Answer>((resume) => {
      const sent = request(`${address}${path}`, { method, headers }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (some: string) => (text += some))
        response.on("end", () =>
          resume(Effect.succeed({ status: response.statusCode, headers: response.headers, text })),
        )
      })
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end(body)
    }),
  )

/** 101, or how the upgrade was refused. */
const upgrade = (path: string, headers: Headers) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.callback<readonly [number | undefined, string]>((resume) => {
      const socket = new WebSocket(`${address.replace("http", "ws")}${path}`, { headers })
      socket.on("open", () => {
        resume(Effect.succeed([101, ""]))
        socket.terminate()
      })
      socket.on("unexpected-response", (_, response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (some: string) => (text += some))
        response.on("end", () => resume(Effect.succeed([response.statusCode, String(Object(JSON.parse(text)).code)])))
      })
      socket.on("error", () => {})
      return Effect.sync(() => socket.terminate())
    }),
  )

const codeOf = ({ status, text }: Answer) => [status, Object(JSON.parse(text)).code]

const message = `{"name":"news","data":{"n":1}}`
const json = { "content-type": "application/json" }
const published = Effect.gen(function* () {
  return yield* (yield* EventLog).end((yield* Topics).events, 0)
})

const upgrades = [
  "/v1/stream?clientId=c1",
  "/approach2/events?clientId=c2",
  "/approach3/events?clientId=c3",
  "/socket.io/?EIO=4&transport=websocket",
]
const requests = [
  ["GET", "/socket.io/?EIO=4&transport=polling"],
  ["POST", "/socket.io/?EIO=4&transport=polling&sid=x"],
  ["POST", "/v1/clients/c1/messages"],
  ["GET", "/v1/clients/c1/results"],
  ["GET", "/v1/rooms/r/messages"],
  ["GET", "/v1/admin/status"],
  ["POST", "/v1/admin/clients/c1/kick"],
  ["GET", "/"],
  ["DELETE", "/nothing"],
] as const

const counted = (code: string) =>
  Effect.map(ask("GET", "/metrics"), ({ text }) =>
    Number(new RegExp(`nimbus_gateway_refused_total\\{code="${code}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? 0),
  )

layer(gateway, { excludeTestServices: true })("who may ask the HTTP port", (it) => {
  it.effect.each(upgrades)("an upgrade at %s is for programs, own pages and those that are named", (path) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* upgrade(path, {}), [101, ""])
      const own = yield* HttpServer.addressFormattedWith((address) => upgrade(path, { origin: address }))
      assert.deepStrictEqual(own, [101, ""])
      assert.deepStrictEqual(yield* upgrade(path, { origin: page }), [101, ""])
      for (const origin of [evil, "null"]) {
        assert.deepStrictEqual(yield* upgrade(path, { origin }), [403, "ORIGIN_NOT_ALLOWED"])
      }
      const rebound = { host: "evil.example", origin: evil }
      assert.deepStrictEqual(yield* upgrade(path, rebound), [403, "HOST_NOT_ALLOWED"])
      assert.deepStrictEqual(yield* upgrade(path, { host: "nimbus.example" }), [101, ""])
    }),
  )

  it.effect.each(requests)("%s %s is refused to pages of other origins and to other names", ([method, path]) =>
    Effect.gen(function* () {
      const before = yield* published
      const headers = { ...json, authorization: `Bearer ${token}` }
      const from = (more: Headers) =>
        ask(method, path, { ...headers, ...more }, method === "POST" ? message : undefined)
      const foreign = yield* from({ origin: evil })
      assert.deepStrictEqual(codeOf(foreign), [403, "ORIGIN_NOT_ALLOWED"])
      assert.notProperty(foreign.headers, "access-control-allow-origin")
      assert.deepStrictEqual(codeOf(yield* from({ origin: "null" })), [403, "ORIGIN_NOT_ALLOWED"])
      const rebound = yield* from({ host: "evil.example", origin: evil })
      assert.deepStrictEqual(codeOf(rebound), [403, "HOST_NOT_ALLOWED"])
      assert.strictEqual(yield* published, before)
      assert.notInclude([403, 415], (yield* from({ host: "nimbus.example", origin: "https://nimbus.example" })).status)
    }),
  )

  it.effect("a page that is named may ask first, and read what it is answered", () =>
    Effect.gen(function* () {
      const asks = { origin: page, "access-control-request-method": "POST", "access-control-request-headers": "room" }
      for (const path of ["/v1/clients/c1/messages", "/socket.io/?EIO=4&transport=polling"]) {
        const { headers, status } = yield* ask("OPTIONS", path, asks)
        assert.strictEqual(status, 204)
        assert.include(headers, {
          "access-control-allow-origin": page,
          "access-control-allow-methods": "GET, HEAD, POST",
          "access-control-allow-headers": "room",
        })
        const refused = yield* ask("OPTIONS", path, { ...asks, origin: evil })
        assert.deepStrictEqual(codeOf(refused), [403, "ORIGIN_NOT_ALLOWED"])
      }
      const sent = yield* ask("POST", "/v1/clients/c1/messages", { ...json, origin: page }, message)
      assert.strictEqual(sent.status, 200)
      assert.include(sent.headers, { "access-control-allow-origin": page, vary: "origin" })
      const polled = yield* ask("GET", "/socket.io/?EIO=4&transport=polling", { origin: page })
      assert.strictEqual(polled.status, 200)
      assert.propertyVal(polled.headers, "access-control-allow-origin", page)
    }),
  )

  it.effect("the admin API is not for a page that is named, nor for what a browser brings from elsewhere", () =>
    Effect.gen(function* () {
      const headers = { authorization: `Bearer ${token}` }
      for (const more of [{ origin: page }, { "sec-fetch-site": "cross-site" }, { "sec-fetch-site": "same-site" }]) {
        const refused = yield* ask("GET", "/v1/admin/status", { ...headers, ...more })
        assert.deepStrictEqual(codeOf(refused), [403, "ORIGIN_NOT_ALLOWED"])
      }
      const own = yield* HttpServer.addressFormattedWith((origin) =>
        ask("GET", "/v1/admin/status", { ...headers, origin, "sec-fetch-site": "same-origin" }),
      )
      assert.strictEqual(own.status, 200)
    }),
  )

  it.effect.each(["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])(
    "what is sent as %s comes to no handler",
    (type) =>
      Effect.gen(function* () {
        const before = yield* published
        const headers = { "content-type": type, authorization: `Bearer ${token}` }
        for (const path of ["/v1/clients/c1/messages", "/v1/admin/roles/event-consumer"]) {
          assert.deepStrictEqual(codeOf(yield* ask("POST", path, headers, message)), [415, "UNSUPPORTED_MEDIA_TYPE"])
        }
        assert.strictEqual(yield* published, before)
      }),
  )

  it.effect("Socket.IO's own clients are told, by polling and by WebSocket", () =>
    HttpServer.addressFormattedWith((url) =>
      Effect.gen(function* () {
        for (const transport of ["polling", "websocket"]) {
          const options = { transports: [transport], auth: { room: "r" }, reconnection: false }
          yield* join(url, { ...options, extraHeaders: { origin: page } })
          yield* join(url, options)
          const { socket } = yield* connect(url, { ...options, autoConnect: false, extraHeaders: { origin: evil } })
          let told = false
          socket.on("connect_error", () => (told = true)).connect()
          yield* until("it is told", () => told)
          assert.isFalse(socket.connected)
        }
      }),
    ),
  )

  it.effect.each(["/healthz", "/readyz", "/metrics"])("%s is answered by any name", (path) =>
    Effect.gen(function* () {
      const { status } = yield* ask("GET", path, { host: "10.0.0.7", origin: evil, "sec-fetch-site": "cross-site" })
      assert.strictEqual(status, 200)
    }),
  )

  it.effect.each([
    ["GET", "/nothing", 404],
    ["GET", "/v1/clients/c1/results", 404],
    ["POST", "/v1/clients/c1/messages", 200],
    ["GET", "/v1/admin/status", 200],
    ["GET", "/v1/admin/clients?limit=0", 400],
    ["GET", "/socket.io/", 400],
    ["POST", "/v1/stream", 405],
  ] as const)("JSON answers are neither kept nor guessed at: %s %s", ([method, path, status]) =>
    Effect.gen(function* () {
      const headers = { ...json, authorization: `Bearer ${token}` }
      const answer = yield* ask(method, path, headers, method === "POST" ? message : undefined)
      assert.strictEqual(answer.status, status)
      assert.include(answer.headers["content-type"], "application/json")
      assert.include(answer.headers, { "cache-control": "no-store", "x-content-type-options": "nosniff" })
    }),
  )

  it.effect("what is refused is counted, each by its code", () =>
    Effect.gen(function* () {
      const codes = ["HOST_NOT_ALLOWED", "ORIGIN_NOT_ALLOWED", "UNSUPPORTED_MEDIA_TYPE"]
      const before = yield* Effect.forEach(codes, counted)
      yield* ask("GET", "/", { host: "evil.example" })
      yield* upgrade("/v1/stream?clientId=c1", { origin: evil })
      yield* ask("POST", "/v1/clients/c1/messages", { "content-type": "text/plain" }, message)
      yield* eventually(
        "they are counted",
        Effect.map(Effect.forEach(codes, counted), (now) => now.every((count, i) => count > (before[i] ?? 0))),
      )
    }),
  )
})
