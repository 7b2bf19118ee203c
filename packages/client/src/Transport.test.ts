import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Queue } from "effect"
import { TestClock } from "effect/testing"
import * as Client from "./Client.ts"
import { clientLimits } from "./Limits.ts"
import { layerMemory } from "./Memory.ts"
import { serve, type ServerSocket } from "./testing/SocketServer.ts"
import { Transport, webSocket, type WebSocketLike } from "./Transport.ts"

/** A server, and the default transport to connect to it by. */
const listening = Effect.gen(function* () {
  const sockets = yield* Queue.unbounded<ServerSocket>()
  const server = yield* serve((socket) => Queue.offerUnsafe(sockets, socket))
  const transport = yield* Transport
  const connect = Effect.gen(function* () {
    const connection = yield* transport.connect(`${server.address}/v1/stream?clientId=c1`)
    return { connection, socket: yield* Queue.take(sockets) }
  })
  return { server, connect }
})
const connected = Effect.flatMap(listening, ({ connect }) => connect)

describe("Transport: WebSocket", () => {
  it.live("speaks the subprotocol at the address it is given", () =>
    Effect.gen(function* () {
      const { socket } = yield* connected
      assert.strictEqual(socket.protocol, "nimbus.v1")
      assert.strictEqual(socket.url, "/v1/stream?clientId=c1")
    }),
  )

  it.live("carries frames both ways, in order", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* connected
      const heard = yield* Queue.unbounded<string>()
      socket.onText = (text) => Queue.offerUnsafe(heard, text)
      yield* connection.write(["a", "ü".repeat(200)])
      yield* connection.write(["c"])
      assert.deepStrictEqual(yield* Queue.takeN(heard, 3), ["a", "ü".repeat(200), "c"])
      for (const text of ["x", "y", "z"]) socket.send(text)
      const read: Array<string> = []
      while (read.length < 3) read.push(...(yield* connection.read))
      assert.deepStrictEqual(read, ["x", "y", "z"])
    }),
  )

  it.live("reads what came before a close, then the close with its code", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* connected
      socket.send("last")
      socket.close(4500, "SUPERSEDED")
      assert.deepStrictEqual(yield* connection.read, ["last"])
      const error = yield* Effect.flip(connection.read)
      assert.deepInclude(error, { close: 4500, reason: "SUPERSEDED" })
      assert.strictEqual((yield* Effect.flip(connection.write(["too late"]))).code, "CONNECTION_CLOSED")
    }),
  )

  it.live("tells of a connection that broke", () =>
    Effect.gen(function* () {
      const { connection, socket } = yield* connected
      socket.destroy()
      assert.strictEqual((yield* Effect.flip(connection.read)).close, 1006)
    }),
  )

  it.live("fails where nobody listens", () =>
    Effect.gen(function* () {
      const { connect, server } = yield* listening
      yield* server.close
      assert.strictEqual((yield* Effect.flip(connect)).close, 1006)
    }),
  )

  it.live("closes normally with its scope", () =>
    Effect.gen(function* () {
      const { connect } = yield* listening
      const closed = yield* Deferred.make<number>()
      yield* Effect.scoped(
        Effect.map(connect, ({ socket }) => {
          socket.onClose = (code) => Deferred.doneUnsafe(closed, Effect.succeed(code))
        }),
      )
      assert.strictEqual(yield* Deferred.await(closed), 1000)
    }),
  )
})

/** What a server sees of a client that shows this token. */
const shown = Effect.fnUntraced(function* (token: string) {
  const sockets = yield* Queue.unbounded<ServerSocket>()
  const heard = yield* Queue.unbounded<string>()
  const { address } = yield* serve((socket) => {
    socket.onText = (text) => Queue.offerUnsafe(heard, text)
    Queue.offerUnsafe(sockets, socket)
  })
  const connection = yield* (yield* Transport).connect(`${address}/v1/stream?clientId=c1`, token)
  const { protocol, url } = yield* Queue.take(sockets)
  yield* connection.write(["next"])
  return { protocol, url, first: yield* Queue.take(heard) }
})

describe("Transport: a token", () => {
  it.live("goes beside the subprotocol, for browsers have no other place, and not into the address", () =>
    Effect.gen(function* () {
      const token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.AbC-_123"
      const { first, protocol, url } = yield* shown(token)
      assert.strictEqual(protocol?.replaceAll(" ", ""), `nimbus.v1,nimbus.bearer.${token}`)
      assert.strictEqual(first, "next")
      assert.notInclude(url, token)
    }),
  )

  it.live.each([
    { what: "has characters that no subprotocol has", token: "abc/def+ghi==" },
    { what: "is not of ASCII", token: "schlüssel" },
    { what: "is longer than heads of requests may be", token: "x".repeat(5_000) },
  ])("that $what is the first frame", ({ token }) =>
    Effect.gen(function* () {
      const { first, protocol, url } = yield* shown(token)
      assert.strictEqual(protocol, "nimbus.v1")
      assert.deepStrictEqual(JSON.parse(first), { type: "auth", token })
      assert.notInclude(url, token)
    }),
  )

  it.effect("is quoted by no error, also where a browser quotes what it refuses", () =>
    Effect.gen(function* () {
      class Quoting extends StubSocket {
        constructor(_: string, protocols: string | Array<string>) {
          super()
          throw new SyntaxError(`The subprotocol '${[protocols].flat().join(", ")}' is invalid`)
        }
      }
      const error = yield* Effect.flip(webSocket(Quoting).connect("ws://x", "very-secret"))
      assert.notInclude(JSON.stringify(error) + error.message + error.stack, "very-secret")
    }),
  )

  it.live.each([
    { what: "its lack is what the gateway refuses, of a client without one", token: undefined, close: 4502 },
    { what: "its lack is no news, of a client that has one, for the question why has none", token: "t1", close: 1006 },
  ])("is not to be had by HTTP: $what", ({ close, token }) =>
    Effect.gen(function* () {
      const { url } = yield* answering(401, `{"code":"TOKEN_MISSING","message":"no token came"}`)
      assert.strictEqual((yield* Effect.flip((yield* Transport).connect(url, token))).close, close)
    }),
  )
})

/** Answers each request like this, whether it upgrades or not. */
const answering = (status: number, body: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly stop: () => void }>((resume) => {
      const server = createServer((_, response) =>
        response.writeHead(status, { "content-length": body.length }).end(body),
      )
      server.listen(0, "127.0.0.1", () => {
        const stop = () => {
          server.closeAllConnections()
          server.close()
        }
        resume(Effect.succeed({ url: `ws://127.0.0.1:${Object(server.address()).port}/v1/stream/`, stop }))
      })
    }),
    ({ stop }) => Effect.sync(stop),
  )

const refusal = `{"code":"NOT_FOUND","message":"there is no /v1/stream/ here"}`

describe("Transport: what will not become better", () => {
  it.effect("is a runtime that has no WebSocket, where nobody passes one: the client says what to pass", () =>
    Effect.gen(function* () {
      const made = Client.make({ url: "ws://127.0.0.1:2", clientId: "c1" })
      const error = yield* Effect.flip(Effect.provideService(made, Transport, webSocket(undefined)))
      assert.deepInclude(error, { _tag: "BadRequest", code: "BAD_REQUEST" })
      assert.match(error.message, /has no WebSocket .* Pass one.* as `WebSocket`/)
      const { close } = yield* Effect.flip(webSocket(undefined).connect("ws://127.0.0.1:2"))
      assert.strictEqual(close, 4501)
    }).pipe(Effect.scoped, Effect.provide(layerMemory, { local: true })),
  )

  const failure = (status: number, body: string) =>
    Effect.gen(function* () {
      const { url } = yield* answering(status, body)
      return yield* Effect.flip((yield* Transport).connect(url))
    })

  it.live.each([404, 400, 405, 403])("is what a gateway refuses with %i, and it says why", (status) =>
    Effect.gen(function* () {
      const { close, reason } = yield* failure(status, refusal)
      assert.deepStrictEqual([close, reason], [4501, "NOT_FOUND: there is no /v1/stream/ here"])
    }),
  )

  it.live.each([
    { what: "another server's page", status: 404, body: "<html>not here</html>" },
    { what: "another server's JSON", status: 404, body: `{"error":"no"}` },
    { what: "a refusal for now", status: 429, body: refusal },
    { what: "a server that starts", status: 503, body: refusal },
    { what: "more than a refusal is long", status: 404, body: `${refusal}${" ".repeat(5_000)}` },
  ])("is not $what", ({ body, status }) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* failure(status, body)).close, 1006)
    }),
  )

  it.effect.each([
    { what: "an address that no socket is made for", thrown: new SyntaxError("not this time"), code: 4501 },
    { what: "one that the page may not open", thrown: new DOMException("not this time", "SecurityError"), code: 4501 },
    { what: "not what else a constructor throws", thrown: new Error("not this time"), code: 1006 },
  ])("is $what", ({ code, thrown }) =>
    Effect.gen(function* () {
      class Refusing extends StubSocket {
        constructor() {
          super()
          throw thrown
        }
      }
      const { close, reason } = yield* Effect.flip(webSocket(Refusing).connect("ws://x"))
      assert.deepStrictEqual([close, reason], [code, "not this time"])
    }),
  )

  it.effect("is a port that browsers and Node open no socket to, where the socket is theirs", () =>
    Effect.gen(function* () {
      const { fault } = yield* Transport
      for (const port of [1, 22, 6000, 6667, 10_080])
        assert.include(fault?.(new URL(`ws://x:${port}`)), `port ${port},`)
      for (const port of [80, 3000, 50_051]) assert.isUndefined(fault?.(new URL(`ws://x:${port}`)))
      assert.isUndefined(webSocket(StubSocket).fault?.(new URL("ws://x:6000")))
    }),
  )
})

/** What no real socket does on demand: a network that takes nothing, a server that floods. */
class StubSocket implements WebSocketLike {
  static last: StubSocket
  readyState = 1
  bufferedAmount = 0
  closedWith: number | undefined
  private readonly listeners = new Map<string, (event: never) => void>()
  constructor() {
    StubSocket.last = this
    queueMicrotask(() => this.emit("open", {}))
  }
  send(data: string): void {
    this.bufferedAmount += data.length
  }
  close(code?: number): void {
    this.closedWith = code
  }
  addEventListener(type: string, listener: (event: never) => void): void {
    this.listeners.set(type, listener)
  }
  emit(type: string, event: object): void {
    this.listeners.get(type)?.(event as never)
  }
}

describe("Transport: bounds", () => {
  const limits = { ...clientLimits, unsent_bytes: 10, unread_frames: 2 }

  it.effect("waits with writing while too much is unsent", () =>
    Effect.gen(function* () {
      const connection = yield* webSocket(StubSocket, limits).connect("ws://x")
      const writing = yield* Effect.forkScoped(connection.write(["more than ten bytes"]))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(writing.pollUnsafe())
      StubSocket.last.bufferedAmount = 0
      yield* TestClock.adjust("1 second")
      assert.isDefined(writing.pollUnsafe())
    }),
  )

  it.effect("cuts a connection whose frames are not read, after those that were taken", () =>
    Effect.gen(function* () {
      const connection = yield* webSocket(StubSocket, limits).connect("ws://x")
      for (const data of ["a", "b", "c"]) StubSocket.last.emit("message", { data })
      assert.deepStrictEqual(yield* connection.read, ["a", "b"])
      assert.strictEqual((yield* Effect.flip(connection.read)).code, "CONNECTION_CLOSED")
      assert.strictEqual(StubSocket.last.closedWith, 1000)
    }),
  )

  it.effect("cuts a connection that sends bytes", () =>
    Effect.gen(function* () {
      const connection = yield* webSocket(StubSocket, limits).connect("ws://x")
      StubSocket.last.emit("message", { data: new Uint8Array(1) })
      assert.strictEqual((yield* Effect.flip(connection.read)).reason, "a binary frame")
    }),
  )
})
