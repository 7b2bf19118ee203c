import { connect } from "node:net"
import { assert, layer } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Addresses } from "../addresses/Addresses.ts"
import { Limits } from "../Limits.ts"
import * as HttpFront from "./HttpFront.ts"
import { UpgradeServer } from "./UpgradeServer.ts"

const front = HttpFront.layerWith({ host: "127.0.0.1", port: 0, hosts: ["gateway"] }).pipe(
  Layer.provide(Addresses.layerWith({})),
  Layer.provide(Limits.layerWith({})),
  Layer.provideMerge(FetchHttpClient.layer),
)

/** Says this, leaves once so many answers are there, and is done when the server has closed too. */
const answered = (port: number, bytes: string, answers: number) =>
  Effect.callback<void>((resume) => {
    let text = ""
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write(bytes))
    socket.on("data", (data) => {
      text += data.toString("latin1")
      if (text.match(/HTTP\/1\.1 200 /g)?.length === answers) socket.end()
    })
    // What an error comes to shows in the close.
    socket.on("error", () => {})
    socket.once("close", () => resume(Effect.void))
    return Effect.sync(() => socket.destroy())
  })

const request = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\nHost: gateway\r\n${headers}\r\n`

const done = HttpServerResponse.text("done")
const app = HttpRouter.serve(
  Layer.mergeAll(
    HttpRouter.add("GET", "/slow", Effect.delay(Effect.succeed(done), "50 millis")),
    HttpRouter.add("GET", "/fast", done),
  ),
  { disableLogger: true, disableListenLog: true },
)

layer(app.pipe(Layer.provideMerge(front)), { excludeTestServices: true })("UpgradeServer with an application", (it) => {
  it.effect(
    "answers an upgrade where there is no transport as a request, also behind one that is not answered yet",
    () =>
      HttpServer.addressFormattedWith((address) => {
        const both = request("/slow") + request("/fast", "Upgrade: h2c\r\nConnection: Upgrade\r\n")
        return Effect.timeout(answered(Number(new URL(address).port), both, 2), "30 seconds")
      }),
  )
})

/** The answer to this. */
const ask = (port: number, bytes: string) =>
  Effect.callback<string>((resume) => {
    let text = ""
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write(bytes))
    socket.on("data", (data) => void (text += data.toString("latin1")))
    socket.on("error", () => {})
    socket.once("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => socket.destroy())
  })

layer(app.pipe(Layer.provideMerge(front)), { excludeTestServices: true })("UpgradeServer", (it) => {
  it.effect("takes a request that expects anything for one like all others, which is admitted first", () =>
    HttpServer.addressFormattedWith((address) =>
      Effect.gen(function* () {
        const refused: Array<string> = []
        yield* (yield* UpgradeServer).onRefused((code) => void refused.push(code))
        const port = Number(new URL(address).port)
        const expecting = request("/fast", "Expect: a-miracle\r\nConnection: close\r\n")
        assert.match(yield* ask(port, expecting), /^HTTP\/1\.1 200 /)
        assert.match(yield* ask(port, expecting.replace("gateway", "evil.example")), /^HTTP\/1\.1 403 /)
        assert.deepStrictEqual(refused, ["HOST_NOT_ALLOWED"])
      }),
    ),
  )

  const inPieces = (letters: ReadonlyArray<string>) => {
    const head = "POST /pieces HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: application/json\r\n"
    const chunks = letters.map((letter) => `1\r\n${letter}\r\n`).join("")
    return `${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`
  }

  it.effect("hands on a body that comes byte by byte in one piece, and refuses one in far too many", () =>
    HttpServer.addressFormattedWith((address) =>
      Effect.gen(function* () {
        const port = Number(new URL(address).port)
        yield* (yield* UpgradeServer).handleRequests("/pieces", (request, response) => {
          let [pieces, text] = [0, ""]
          request.on("data", (piece: Buffer) => {
            pieces++
            text += piece.toString()
          })
          request.on("end", () => response.end(JSON.stringify({ pieces, text })))
        })
        const letters = Array.from({ length: 4_096 }, (_, i) => String.fromCharCode(97 + (i % 26)))
        const answer = yield* ask(port, inPieces(letters))
        assert.strictEqual(answer.slice(answer.indexOf("{")), JSON.stringify({ pieces: 1, text: letters.join("") }))
        const refused = yield* ask(port, inPieces([...letters, "x"]))
        assert.match(refused, /^HTTP\/1\.1 400 [^]*"code":"BAD_REQUEST"[^]*too small/)
      }),
    ),
  )
})

/** Of the event loop. */
let round = 0
/** Requests that were answered in each. */
const begun = new Map<number, number>()

layer(
  HttpRouter.serve(
    HttpRouter.add(
      "GET",
      "/counted",
      Effect.sync(() => {
        begun.set(round, (begun.get(round) ?? 0) + 1)
        return done
      }),
    ),
    { disableLogger: true, disableListenLog: true },
  ).pipe(
    Layer.provideMerge(HttpFront.layerWith({ host: "127.0.0.1", port: 0, hosts: ["gateway"] })),
    Layer.provide(Addresses.layerWith({})),
    Layer.provide(Limits.layerWith({ requests_per_turn: 2 })),
  ),
  { excludeTestServices: true },
)("UpgradeServer with more requests than a turn has", (it) => {
  it.effect("begins to answer a few at a time, however many came in one go", () =>
    HttpServer.addressFormattedWith((address) =>
      Effect.gen(function* () {
        let isOver = false
        const count = () => {
          round++
          if (!isOver) setImmediate(count)
        }
        count()
        yield* answered(Number(new URL(address).port), request("/counted").repeat(40), 40)
        isOver = true
        // Those of two turns of the event loop may be seen as one.
        assert.isAtMost(Math.max(...begun.values()), 4)
      }),
    ),
  )
})

/** Requests whose body is read no more. */
let read = 0

layer(
  HttpRouter.serve(
    HttpRouter.add(
      "POST",
      "/length",
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ arrayBuffer }) =>
        Effect.map(arrayBuffer, ({ byteLength }) => HttpServerResponse.text(`${byteLength}`)).pipe(
          Effect.onExit(() => Effect.sync(() => void read++)),
        ),
      ),
    ),
    { disableLogger: true, disableListenLog: true },
  ).pipe(
    Layer.provideMerge(HttpFront.layerWith({ host: "127.0.0.1", port: 0 })),
    Layer.provide(Addresses.layerWith({})),
    Layer.provide(Limits.layerWith({ bodies_bytes: 100_000 })),
    Layer.provideMerge(FetchHttpClient.layer),
  ),
  { excludeTestServices: true },
)("UpgradeServer, where bodies come slowly", (it) => {
  it.effect(
    "refuses the largest of those that are not whole when all are too large together, and takes the others",
    () =>
      HttpServer.addressFormattedWith((address) =>
        Effect.gen(function* () {
          const begin = (declared: number, brought: number) =>
            Effect.map(
              Effect.acquireRelease(
                Effect.sync(() => {
                  const socket = connect({ host: "127.0.0.1", port: Number(new URL(address).port) })
                  socket.on("error", () => {})
                  const head = `POST /length HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
                  socket.write(`${head}Content-Length: ${declared}\r\n\r\n`)
                  socket.write(Buffer.alloc(brought))
                  return { socket, text: "" }
                }),
                ({ socket }) => Effect.sync(() => socket.destroy()),
              ),
              (peer) => {
                peer.socket.on("data", (data) => void (peer.text += data.toString()))
                return peer
              },
            )
          const said = (peer: { readonly text: string }, words: string) =>
            eventually(
              words,
              Effect.sync(() => peer.text.includes(words)),
            )
          const small = yield* begin(20_001, 20_000)
          const large = yield* begin(70_001, 70_000)
          // Together it is as much as there may be at most, and more with this one.
          const medium = yield* begin(30_001, 30_000)
          yield* said(large, "503 Service Unavailable")
          yield* said(large, '"code":"BUSY"')
          for (const peer of [small, medium]) peer.socket.write("x")
          yield* said(small, "20001")
          yield* said(medium, "30001")
          // What was answered counts no more.
          const later = yield* begin(90_000, 90_000)
          yield* said(later, "90000")
          // Nobody waits for what the refused one has not sent.
          yield* eventually(
            "all bodies are read no more",
            Effect.sync(() => read === 4),
          )
        }),
      ),
  )
})

layer(
  HttpRouter.serve(HttpRouter.add("GET", "/said", HttpServerResponse.text("said")), {
    disableLogger: true,
    disableListenLog: true,
  }).pipe(
    Layer.provideMerge(HttpFront.layerWith({ host: "127.0.0.1", port: 0 })),
    Layer.provide(Addresses.layerWith({})),
    Layer.provide(Limits.layerWith({ bodies_bytes: 1_000 })),
  ),
  { excludeTestServices: true },
)("UpgradeServer, where little of bodies may wait", (it) => {
  it.effect("drops the body of a GET, however large, and answers it", () =>
    HttpServer.addressFormattedWith((address) =>
      Effect.gen(function* () {
        const length = 200_000
        const head = "Host: localhost\r\nContent-Type: application/json\r\n"
        const socket = yield* Effect.acquireRelease(
          Effect.sync(() => connect({ host: "127.0.0.1", port: Number(new URL(address).port) })),
          (socket) => Effect.sync(() => socket.destroy()),
        )
        let text = ""
        socket.on("data", (data) => void (text += data.toString()))
        // The one before holds it back: its body comes before it is answered.
        const post = `POST /said HTTP/1.1\r\n${head}Content-Length: 1\r\n\r\n`
        socket.write(`${post}xGET /said HTTP/1.1\r\n${head}Content-Length: ${length}\r\n\r\n`)
        socket.write(Buffer.alloc(length))
        socket.write("GET /said HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield* eventually(
          "three answers",
          Effect.sync(() => text.split("HTTP/1.1 ").length === 4),
        )
        const statuses = text.split("HTTP/1.1 ").map((answer) => answer.slice(0, 3))
        assert.deepStrictEqual(statuses.slice(2), ["200", "200"])
      }),
    ),
  )
})

layer(front, { excludeTestServices: true })("UpgradeServer", (it) => {
  it.effect("is alive, and not ready, while no application is there", () =>
    HttpServer.addressFormattedWith((address) =>
      Effect.gen(function* () {
        const statusOf = (path: string) => Effect.map(HttpClient.get(`${address}${path}`), ({ status }) => status)
        assert.strictEqual(yield* statusOf("/healthz"), 200)
        assert.strictEqual(yield* statusOf("/readyz"), 503)
        assert.strictEqual(yield* statusOf("/v1/stream"), 503)
      }),
    ),
  )
})
