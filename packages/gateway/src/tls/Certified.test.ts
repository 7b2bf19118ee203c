/** Clients that show certificates and no tokens, behind locks. */
import { connect as connectHttp2 } from "node:http2"
import { request } from "node:https"
import { assert, describe, it } from "@effect/vitest"
import { Registry } from "@nimbus/domain/services"
import { Context, Effect, Layer, Stream } from "effect"
import { io } from "socket.io-client"
import { WebSocket } from "ws"
import { GrpcServer } from "../grpc/GrpcServer.ts"
import * as HttpFront from "../http/HttpFront.ts"
import { Gateway } from "../index.ts"
import { authority, type Certificate, directoryWith } from "../testing/Certificates.ts"
import { connect } from "../testing/GrpcClient.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const device = "URI:spiffe://devices.example/thermostat"
const said = new Map<string, Locks.Said>([
  [device, { subject: "thermostat", capabilities: ["connect:{sub}", "read", "ack", "room:join:home"] }],
  ["token", { subject: "alice" }],
])

/** A gateway, what its clients trust, and the certificate of a device. */
const start = Effect.gen(function* () {
  const { ca, sign } = yield* authority
  const tls = yield* directoryWith(yield* sign("IP:127.0.0.1"), ca)
  const services = yield* Layer.build(
    Gateway.layerWith({ host: "127.0.0.1", port: 0, tls, limits: { close_ms: 200 } }).pipe(
      Layer.provideMerge(MemoryParts.layer),
      Layer.provide(Locks.layer(said)),
    ),
  )
  const url = yield* Effect.provideContext(HttpFront.url, services)
  const { port } = Context.get(services, GrpcServer)
  /** A call of gRPC, with this to show. */
  const call = (certificate: Certificate | undefined, headers: Readonly<Record<string, string>> = {}) => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca, ...certificate })
    return connect({ port, session, metadata: { notices: "true" }, headers })
  }
  return { services, url, ca, call, own: yield* sign(device) }
})

describe("behind locks, a certificate", () => {
  it.live("says who calls by gRPC where there is no token", () =>
    Effect.gen(function* () {
      const { call, own, services } = yield* start
      const known = yield* call(own)
      yield* known.first("welcome", ({ welcome }) => welcome !== undefined)
      const named = yield* call(own, { authorization: "Bearer token" })
      yield* named.first("welcome", ({ welcome }) => welcome !== undefined)
      const entries = yield* Stream.runCollect(Context.get(services, Registry).entries)
      assert.sameMembers(
        entries.map(({ clientId }) => String(clientId)),
        ["thermostat", "alice"],
      )
      const nobody = yield* call(undefined)
      assert.include((yield* nobody.ended).message, "TOKEN_MISSING")
    }).pipe(Effect.scoped),
  )

  it.live("says who opens a WebSocket", () =>
    Effect.gen(function* () {
      const { ca, own, url } = yield* start
      const frame = (certificate?: Certificate) =>
        Effect.promise(() => {
          const ws = new WebSocket(`${url.replace("http", "ws")}/v1/stream`, "nimbus.v1", { ca, ...certificate })
          return new Promise<string>((resolve) => {
            ws.once("message", (data) => resolve(String(data)))
            ws.once("error", ({ message }) => resolve(message))
            // Without a certificate it would be waited for a token.
            ws.once("open", () => certificate === undefined && ws.send(`{"type":"ping"}`))
          }).finally(() => ws.terminate())
        })
      assert.include(yield* frame(own), `"clientId":"thermostat"`)
      assert.include(yield* frame(), "TOKEN_MISSING")
    }).pipe(Effect.scoped),
  )

  it.live("says who asks the API", () =>
    Effect.gen(function* () {
      const { ca, own, url } = yield* start
      const answer = (certificate?: Certificate) =>
        Effect.promise(
          () =>
            new Promise<string>((resolve, reject) => {
              const { hostname, port } = new URL(url)
              const headers = { "content-type": "application/json" }
              const options = { ca, ...certificate, hostname, port, headers, method: "POST", agent: false }
              const asked = request({ ...options, path: "/v1/clients/c1/messages" }, (response) => {
                let text = ""
                response.on("data", (part: Buffer) => (text += part.toString()))
                response.on("end", () => resolve(`${response.statusCode} ${text}`))
              })
              asked.on("error", reject)
              asked.end(`{"name":"news","data":1}`)
            }),
        )
      assert.match(yield* answer(own), /^403 .*FORBIDDEN.*publish:c1/)
      assert.match(yield* answer(), /^401 .*TOKEN_MISSING/)
    }).pipe(Effect.scoped),
  )

  it.live("says who a socket of the chat is", () =>
    Effect.gen(function* () {
      const { ca, own, url } = yield* start
      const outcome = (room: string, certificate?: Certificate) =>
        Effect.promise(() => {
          const shown = certificate && { cert: certificate.cert.toString(), key: certificate.key.toString() }
          const socket = io(url, { auth: { room }, forceNew: true, ca: ca.toString(), ...shown })
          return new Promise<string>((resolve) => {
            socket.once("connect", () => resolve("connected"))
            socket.once("connect_error", ({ message }) => resolve(message))
          }).finally(() => socket.disconnect())
        })
      assert.strictEqual(yield* outcome("home", own), "connected")
      assert.match(yield* outcome("elsewhere", own), /FORBIDDEN.*room:join:elsewhere/)
      assert.match(yield* outcome("home"), /TOKEN_MISSING/)
    }).pipe(Effect.scoped),
  )
})
