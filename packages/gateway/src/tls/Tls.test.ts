/** TLS at both ports of a gateway, and its certificates as they change. */
import { once } from "node:events"
import { rmSync } from "node:fs"
import { connect as connectHttp2 } from "node:http2"
import { connect as connectTcp } from "node:net"
import { request as requestHttps } from "node:https"
import { join } from "node:path"
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Alarms, makeAlarms } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Exit, Layer, Metric, Scope } from "effect"
import { Code } from "@connectrpc/connect"
import { Addresses } from "../addresses/Addresses.ts"
import { GrpcServer } from "../grpc/GrpcServer.ts"
import { answer, trailers } from "../grpc/Status.ts"
import * as HttpFront from "../http/HttpFront.ts"
import { UpgradeServer } from "../http/UpgradeServer.ts"
import { type GatewayLimits, Limits } from "../Limits.ts"
import { authority, type Certificate, directoryWith, put, write } from "../testing/Certificates.ts"
import { io } from "socket.io-client"
import { WebSocket } from "ws"
import * as Gateway from "../Gateway.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { namesOf, peerCertificateOf } from "./PeerCertificates.ts"
import { Tls } from "./Tls.ts"

const host = "127.0.0.1"
const names = "DNS:localhost,IP:127.0.0.1"

/** What a client at each port finds. `ports` are those of HTTP and gRPC. */
const front = Effect.fnUntraced(function* (directory: string, limits: Partial<GatewayLimits> = {}) {
  const alarms = makeAlarms({ alarm_again_ms: 60_000 })
  const services = yield* Layer.build(
    Layer.merge(HttpFront.layerWith({ host, port: 0 }), GrpcServer.layerWith({ host, port: 0 })).pipe(
      Layer.provide([Addresses.layerWith({}), Tls.layerWith(directory)]),
      Layer.provide(Limits.layerWith({ close_ms: 100, certificate_check_ms: 20, ...limits })),
      Layer.provide(Layer.succeed(Alarms, alarms)),
    ),
  )
  return yield* Effect.provideContext(
    Effect.gen(function* () {
      const refused: Array<string> = []
      const http = yield* UpgradeServer
      yield* http.onRefused((code) => void refused.push(code))
      // It says whose certificate it was shown.
      yield* http.handleRequests("/who", (request, response) => {
        response.end(JSON.stringify(peerCertificateOf(request.socket) ?? null))
      })
      const grpc = yield* GrpcServer
      grpc.onRefused((code) => void refused.push(code))
      yield* grpc.handle((_, response, { certificate }) => {
        answer(response, trailers(Code.Unknown, JSON.stringify(certificate ?? null)))
      })
      const url = yield* HttpFront.url
      assert.match(url, /^https:/)
      assert.isTrue(grpc.isEncrypted)
      return { refused, alarms, url, ports: { http: Number(new URL(url).port), grpc: grpc.port } }
    }),
    services,
  )
})
type Ports = Effect.Success<ReturnType<typeof front>>["ports"]
const both = ["http", "grpc"] as const
const alpn = { http: "http/1.1", grpc: "h2" } as const

/** The socket of a handshake that came through, or the code with which it did not. */
const shake = (port: number, options: ConnectionOptions) =>
  Effect.promise(async (): Promise<TLSSocket | string> => {
    const socket = connectTls({ port, host, ...options })
    const failed = new Promise<string>((resolve) =>
      socket.once("error", (error) => resolve("code" in error ? String(error.code) : error.message)),
    )
    const outcome = await Promise.race([once(socket, "secureConnect"), failed])
    if (typeof outcome === "string") return outcome
    socket.on("error", () => {})
    return socket
  })

const opened = (port: number, options: ConnectionOptions) =>
  Effect.acquireRelease(
    Effect.map(shake(port, options), (socket) => (typeof socket === "string" ? assert.fail(socket) : socket)),
    (socket) => Effect.sync(() => socket.destroy()),
  )

/** The serial of the certificate that a new connection is shown. */
const serialAt = (port: number, options: ConnectionOptions) =>
  Effect.scoped(Effect.map(opened(port, options), (socket) => socket.getPeerX509Certificate()?.serialNumber))

/** Whom each port takes the client for; `closed`: for nobody. */
const who = {
  http: (ports: Ports, options: ConnectionOptions) =>
    Effect.promise(
      () =>
        new Promise<unknown>((resolve) => {
          const asked = requestHttps({ port: ports.http, host, path: "/who", agent: false, ...options })
          asked.on("error", () => resolve("closed"))
          asked.on("response", (response) => {
            let text = ""
            response.on("data", (part: Buffer) => (text += part.toString()))
            response.on("end", () => resolve(JSON.parse(text)))
          })
          asked.end()
        }),
    ),
  grpc: (ports: Ports, options: ConnectionOptions) =>
    Effect.promise(
      () =>
        new Promise<unknown>((resolve) => {
          const session = connectHttp2(`https://${host}:${ports.grpc}`, options)
          session.on("error", () => resolve("closed"))
          session.on("close", () => resolve("closed"))
          const stream = session.request({ ":method": "POST", ":path": "/who", "content-type": "application/grpc" })
          stream.on("error", () => {})
          const read = (headers: Readonly<Record<string, unknown>>) => {
            if (typeof headers["grpc-message"] !== "string") return
            resolve(JSON.parse(decodeURIComponent(headers["grpc-message"])))
            session.destroy()
          }
          stream.on("response", read)
          stream.on("trailers", read)
          stream.resume().end()
        }),
    ),
}

const hasEnded = (socket: TLSSocket) => new Promise<void>((resolve) => socket.resume().once("close", () => resolve()))

describe("TLS", () => {
  for (const door of both) {
    it.live(`is spoken at the ${door} port in its versions 1.2 and 1.3, and in no earlier one`, () =>
      Effect.gen(function* () {
        const { ca, sign } = yield* authority
        const { ports } = yield* front(yield* directoryWith(yield* sign(names)))
        for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
          const options = { ca, minVersion: version, maxVersion: version, ALPNProtocols: [alpn[door]] }
          const socket = yield* opened(ports[door], options)
          assert.deepStrictEqual([socket.getProtocol(), socket.alpnProtocol], [version, alpn[door]])
        }
        const old = { ca, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const
        assert.match(String(yield* shake(ports[door], old)), /ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION/)
        const other = yield* shake(ports[door], { ca, ALPNProtocols: ["spdy/3"] })
        assert.match(String(other), /NO_APPLICATION_PROTOCOL/)
      }).pipe(Effect.scoped),
    )

    it.live(`is all that is spoken at the ${door} port: what is none is closed and counted`, () =>
      Effect.gen(function* () {
        const { sign } = yield* authority
        const { ports, refused } = yield* front(yield* directoryWith(yield* sign(names)))
        const socket = connectTcp(ports[door], host, () => socket.write("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"))
        let text = ""
        socket.on("data", (data: Buffer) => (text += data.toString("latin1")))
        socket.on("error", () => {})
        yield* Effect.promise(() => new Promise((resolve) => socket.once("close", resolve)))
        assert.notInclude(text, "HTTP")
        assert.deepStrictEqual(refused, ["TLS_FAILED"])
      }).pipe(Effect.scoped),
    )

    it.live(`gives a new connection at the ${door} port the new certificate, and the open ones go on`, () =>
      Effect.gen(function* () {
        const { ca, sign } = yield* authority
        const directory = yield* directoryWith(yield* sign(names))
        const { ports } = yield* front(directory)
        const options = { ca, ALPNProtocols: [alpn[door]] }
        const before = yield* opened(ports[door], options)
        const serial = yield* serialAt(ports[door], options)
        write(directory, yield* sign(names))
        yield* eventually(
          "the new one",
          Effect.map(serialAt(ports[door], options), (now) => now !== serial),
        )
        if (door === "http") {
          before.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
          const [said] = yield* Effect.promise(() => once(before, "data"))
          assert.match(String(said), /^HTTP\/1\.1 200 OK/)
        }
        assert.isFalse(before.destroyed)
      }).pipe(Effect.scoped),
    )

    it.live(`knows clients at the ${door} port by certificates of its authorities, and closes on any other`, () =>
      Effect.gen(function* () {
        const [own, foreign] = [yield* authority, yield* authority]
        const { ports, refused } = yield* front(yield* directoryWith(yield* own.sign(names), own.ca))
        const ask = (certificate?: Certificate) => who[door](ports, { ca: own.ca, ...certificate })
        const device = yield* own.sign("URI:spiffe://devices.example/thermostat,email:a@b.example,DNS:d.example")
        const known = yield* ask(device)
        assert.deepInclude(known, {
          names: ["URI:spiffe://devices.example/thermostat", "email:a@b.example", "DNS:d.example"],
        })
        assert.isNull(yield* ask())
        assert.strictEqual(yield* ask(yield* foreign.sign("URI:spiffe://devices.example/thermostat")), "closed")
        assert.deepStrictEqual(refused, ["TLS_FAILED"])
      }).pipe(Effect.scoped),
    )
  }

  it.live("knows the client of a session that is resumed, and of none that other authorities had let in", () =>
    Effect.gen(function* () {
      const [own, other] = [yield* authority, yield* authority]
      const directory = yield* directoryWith(yield* own.sign(names), own.ca)
      const { ports } = yield* front(directory)
      const device = { ca: own.ca, ...(yield* own.sign("URI:spiffe://a")) }
      const options = { ...device, maxVersion: "TLSv1.3" } as const
      const first = yield* opened(ports.http, options)
      const ticket = new Promise<Buffer>((resolve) => first.once("session", resolve))
      first.write("GET /who HTTP/1.1\r\nhost: localhost\r\n\r\n")
      first.resume()
      const session = yield* Effect.promise(() => ticket)
      const again = yield* opened(ports.http, { ...options, session })
      assert.isTrue(again.isSessionReused())
      again.write("GET /who HTTP/1.1\r\nhost: localhost\r\n\r\n")
      const [said] = yield* Effect.promise(() => once(again, "data"))
      assert.include(String(said), "URI:spiffe://a")
      put(directory, "ca.crt", other.ca)
      yield* eventually(
        "its authority has gone",
        Effect.map(who.http(ports, device), (outcome) => outcome === "closed"),
      )
      const late = yield* shake(ports.http, { ...options, session })
      if (typeof late !== "string") {
        assert.isFalse(late.isSessionReused())
        yield* Effect.promise(() => hasEnded(late))
      }
    }).pipe(Effect.scoped),
  )

  it.live("goes on with what it has while the files are unusable, says so, and takes them once they are usable", () =>
    Effect.gen(function* () {
      const { ca, sign } = yield* authority
      const [first, second] = [yield* sign(names), yield* sign(names, 3)]
      const directory = yield* directoryWith(first)
      const { alarms, ports } = yield* front(directory)
      const serial = yield* serialAt(ports.http, { ca })
      put(directory, "tls.key", second.key)
      yield* eventually(
        "an alarm",
        Effect.map(alarms.warnings, ([text = ""]) => text.includes(directory) && text.includes("mismatch")),
      )
      assert.strictEqual(yield* serialAt(ports.http, { ca }), serial)
      rmSync(join(directory, "tls.crt"))
      yield* eventually(
        "another one",
        Effect.map(alarms.warnings, ([text = ""]) => text.includes("tls.crt: ENOENT")),
      )
      put(directory, "tls.crt", second.cert)
      yield* eventually(
        "none",
        Effect.map(alarms.warnings, (texts) => texts.length === 0),
      )
      assert.notStrictEqual(yield* serialAt(ports.http, { ca }), serial)
      const gauge = (yield* Metric.snapshot).find(({ id }) => id === "nimbus_tls_certificate_expires_seconds")
      const { state } = gauge ?? assert.fail("no gauge")
      const days = "value" in state ? (Number(state.value) * 1000 - Date.now()) / 86_400_000 : 0
      assert.closeTo(days, 3, 0.1)
    }).pipe(Effect.scoped),
  )

  it.live.each([
    { what: "no certificate", file: "tls.crt", text: undefined, says: /tls\.crt: ENOENT/ },
    { what: "no key", file: "tls.key", text: undefined, says: /tls\.key: ENOENT/ },
    { what: "a certificate that is none", file: "tls.crt", text: "x", says: /NIMBUS_TLS=\S+: .*PEM/i },
    { what: "an authority that is none", file: "ca.crt", text: "x", says: /NIMBUS_TLS=\S+: .*PEM/i },
    { what: "the key of another certificate", file: "tls.key", text: "other", says: /mismatch/ },
  ])("does not start with $what", ({ file, says, text }) =>
    Effect.gen(function* () {
      const { sign } = yield* authority
      const directory = yield* directoryWith(yield* sign(names))
      if (text === undefined) rmSync(join(directory, file))
      else put(directory, file, text === "other" ? (yield* sign(names)).key : Buffer.from(text))
      const error = yield* Effect.flip(front(directory))
      if (!("code" in error)) return assert.fail(String(error))
      assert.strictEqual(error.code, "TLS_UNUSABLE")
      assert.match(error.message, says)
      assert.notInclude(error.message, "PRIVATE KEY")
    }).pipe(Effect.scoped),
  )

  for (const door of both) {
    it.live(`ends what says nothing at the ${door} port: in its time, and at once on the way down`, () =>
      Effect.gen(function* () {
        const { sign } = yield* authority
        const directory = yield* directoryWith(yield* sign(names))
        const silent = (port: number) =>
          Effect.sync(() => {
            const socket = connectTcp(port, host)
            socket.on("error", () => {})
            return new Promise((resolve) => socket.resume().once("close", resolve))
          })
        const quick = yield* front(directory, { handshake_ms: 50 })
        const late = yield* silent(quick.ports[door])
        yield* Effect.promise(() => late)
        assert.deepStrictEqual(quick.refused, ["TLS_FAILED"])
        const scope = yield* Scope.make()
        const patient = yield* Scope.provide(front(directory), scope)
        const cut = yield* silent(patient.ports[door])
        yield* Scope.close(scope, Exit.void)
        yield* Effect.promise(() => cut)
      }).pipe(Effect.scoped),
    )
  }
})

describe("the transports", () => {
  it.live("are reached by TLS: WebSocket, and Socket.IO in both its ways", () =>
    Effect.gen(function* () {
      const { ca, sign } = yield* authority
      const gateway = Gateway.layerWith({ host, port: 0, tls: yield* directoryWith(yield* sign(names)) }).pipe(
        Layer.provideMerge(MemoryParts.layer),
      )
      const url = yield* Effect.provideContext(HttpFront.url, yield* Layer.build(gateway))
      const ws = new WebSocket(`${url.replace("http", "ws")}/v1/stream?clientId=c`, { ca })
      const [said] = yield* Effect.promise(() => once(ws, "message"))
      assert.include(String(said), `"welcome"`)
      ws.terminate()
      for (const transport of ["polling", "websocket"]) {
        const socket = io(url, { auth: { room: "r" }, transports: [transport], forceNew: true, ca: ca.toString() })
        const sent = Effect.promise(() => socket.timeout(10_000).emitWithAck("message", "hello", `${transport}-1`))
        yield* sent
        socket.disconnect()
      }
    }).pipe(Effect.scoped),
  )
})

describe("the names of a certificate", () => {
  it.each([
    ["", []],
    ["DNS:a.example", ["DNS:a.example"]],
    ["DNS:a, URI:spiffe://b/c:d, IP Address:127.0.0.1", ["DNS:a", "URI:spiffe://b/c:d", "IP Address:127.0.0.1"]],
    [`URI:"spiffe://a, URI:spiffe://b", DNS:c`, ["URI:spiffe://a, URI:spiffe://b", "DNS:c"]],
    [`DNS:"a\\", URI:b"`, [`DNS:a", URI:b`]],
    [`DNS:"a`, []],
    [`DNS:a,URI:b`, []],
  ])("in %j are %j", (text, read) => {
    assert.deepStrictEqual(namesOf(text), read)
  })
})
