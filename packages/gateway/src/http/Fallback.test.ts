/** What the HTTP port answers to requests that nobody wrote a route for, by hand, byte for byte. */
import { connect } from "node:net"
import { assert, layer } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { Gateway, type GatewayLimits } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { UpgradeServer } from "./UpgradeServer.ts"

const body_bytes = 10_000

const gateway = (limits: Partial<GatewayLimits>) =>
  Gateway.layerWith({ host: "127.0.0.1", port: 0, hosts: ["gateway", "other"], limits }).pipe(
    Layer.provideMerge(MemoryParts.layerWith({ partitions: 1 })),
  )

interface Answer {
  readonly status: number
  readonly headers: string
  readonly body: string
}

const answerOf = (text: string): Answer => {
  const [head = "", ...body] = text.split("\r\n\r\n")
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]),
    headers: head.toLowerCase(),
    body: body.join("\r\n\r\n"),
  }
}

const isWholeRefusal = (text: string): boolean => {
  const { body, headers, status } = answerOf(text)
  return status >= 400 && body.length >= Number(/content-length: (\d+)/.exec(headers)?.[1] ?? Infinity)
}

/** What the server says until it closes. `more`: written over and over while the server takes it. */
const say = (bytes: string | Uint8Array, more?: string) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.callback<Answer>((resume) => {
      let text = ""
      const socket = connect(Number(new URL(address).port), "127.0.0.1", () => {
        socket.write(bytes)
        if (more !== undefined) pour()
      })
      const pour = () => {
        while (!socket.destroyed && socket.write(more ?? "")) {}
      }
      socket.on("drain", pour)
      socket.on("data", (data) => {
        text += data.toString("latin1")
        // Some refusals leave the connection open.
        if (more === undefined && isWholeRefusal(text)) socket.end()
      })
      // A server that closes while more comes resets the connection; what it said before is here.
      socket.on("error", () => {})
      socket.on("close", () => resume(Effect.succeed(answerOf(text))))
      return Effect.sync(() => socket.destroy())
    }),
  ).pipe(Effect.timeout("20 seconds"))

const request = (line: string, headers: ReadonlyArray<string> = [], body = "") =>
  [`${line} HTTP/1.1`, "Host: gateway", "Connection: close", ...headers, "", body].join("\r\n")

const upgrade = (line: string) =>
  [
    `${line} HTTP/1.1`,
    "Host: gateway",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "\r\n",
  ].join("\r\n")

const codeOf = ({ body }: Answer): unknown => Object(JSON.parse(body)).code

const messages = "POST /v1/clients/c1/messages"
const json = "Content-Type: application/json"
const published = Effect.gen(function* () {
  return yield* (yield* EventLog).end((yield* Topics).events, 0)
})

layer(gateway({ body_bytes }), { excludeTestServices: true })("the HTTP port", (it) => {
  it.effect.each([
    "GET /v1/stream/",
    "GET /v1/stream//",
    "GET /v1/streams?clientId=c1",
    "GET /nothing",
    "POST /",
    "GET //v1/stream",
    "GET /v1/clients//messages",
    "GET /%ff",
    "GET *",
    `GET /${"x".repeat(5_000)}`,
  ])("answers %s with 404 and a reason", (line) =>
    Effect.gen(function* () {
      const answer = yield* say(request(line))
      assert.deepStrictEqual([answer.status, codeOf(answer)], [404, "NOT_FOUND"])
      assert.isBelow(answer.body.length, 300)
    }),
  )

  it.effect.each(["GET /v1/stream/?clientId=c1", "GET /approach3/events/?clientId=c1", "GET /?clientId=c1x"])(
    "answers an upgrade by %s, where there is no transport, with 404 and a reason",
    (line) =>
      Effect.gen(function* () {
        const answer = yield* say(upgrade(line).replace("Connection: Upgrade", "Connection: Upgrade, close"))
        assert.deepStrictEqual([answer.status, codeOf(answer)], [404, "NOT_FOUND"])
      }),
  )

  it.effect.each([
    ["POST /v1/stream", "get, head"],
    ["PUT /approach2/events", "get, head"],
    ["GET /v1/clients/c1/messages", "post"],
    ["DELETE /v1/clients/c1/results", "get, head"],
    ["POST /healthz", "get, head"],
    ["OPTIONS /metrics", "get, head"],
  ] as const)("answers %s with 405 and the methods that there are", ([line, allow]) =>
    Effect.gen(function* () {
      const answer = yield* say(request(line))
      assert.deepStrictEqual([answer.status, codeOf(answer)], [405, "METHOD_NOT_ALLOWED"])
      assert.include(answer.headers, `\r\nallow: ${allow}\r\n`)
    }),
  )

  it.effect("answers HEAD as GET, without the body", () =>
    Effect.gen(function* () {
      const { body, status } = yield* say(request("HEAD /healthz"))
      assert.deepStrictEqual([status, body], [200, ""])
    }),
  )

  it.effect("answers an upgrade by another method, or to something else, as a request", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* say(upgrade("POST /v1/stream?clientId=c1"))).status, 405)
      const h2c = yield* say(upgrade("GET /v1/stream?clientId=c1").replace("Upgrade: websocket", "Upgrade: h2c"))
      assert.deepStrictEqual([h2c.status, codeOf(h2c)], [426, "UPGRADE_REQUIRED"])
    }),
  )

  it.effect.each([
    ["GET http://gateway/healthz", 200],
    ["GET HTTP://other:81/healthz?x=1", 200],
    ["GET http://user@gateway/v1/clients/c1/results", 404],
    ["GET http://gateway", 404],
    ["GET http://gateway?clientId=c1", 404],
    ["GET https://gateway/v1/stream?clientId=c1", 426],
    ["GET http://gateway/v1/stream/", 404],
  ] as const)("takes the absolute form of a target: %s", ([line, status]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* say(request(line))).status, status)
    }),
  )

  it.effect("opens a WebSocket at a target in absolute form", () =>
    Effect.gen(function* () {
      const closed = `\x88\x80\0\0\0\0`
      const { status } = yield* say(Buffer.from(upgrade("GET http://gateway/v1/stream?clientId=c1") + closed, "latin1"))
      assert.strictEqual(status, 101)
    }),
  )

  it.effect.each([
    ["a byte that begins nothing", [0xff]],
    ["half a character", [0xc3]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a long spelling of a slash", [0xc0, 0xaf]],
  ] as const)("refuses a body with %s with 400, and puts nothing into the log", ([, bytes]) =>
    Effect.gen(function* () {
      const before = yield* published
      const body = Buffer.concat([Buffer.from(`{"name":"n","data":"`), Buffer.from(bytes), Buffer.from(`"}`)])
      const head = Buffer.from(request(messages, [json, `Content-Length: ${body.length}`]))
      const answer = yield* say(Buffer.concat([head, body]))
      assert.deepStrictEqual([answer.status, codeOf(answer)], [400, "BAD_REQUEST"])
      assert.include(answer.body, "UTF-8")
      assert.strictEqual(yield* published, before)
    }),
  )

  it.effect("takes a body that is as large as it may be, and refuses one that is larger", () =>
    Effect.gen(function* () {
      const body = (bytes: number) => `{"name":"n","data":"${"x".repeat(bytes - 22)}"}`
      const post = (text: string) => say(request(messages, [json, `Content-Length: ${text.length}`], text))
      assert.strictEqual((yield* post(body(body_bytes))).status, 200)
      const answer = yield* post(body(body_bytes + 1))
      assert.deepStrictEqual([answer.status, codeOf(answer)], [413, "BODY_TOO_BIG"])
    }),
  )

  const chunk = `3e8\r\n${"x".repeat(1_000)}\r\n`
  it.effect.each([
    ["with a length", "Content-Length: 1000000000000", "x".repeat(1_000)],
    ["in chunks", "Transfer-Encoding: chunked", chunk],
  ] as const)("refuses an endless body %s while it comes", ([, header, more]) =>
    Effect.gen(function* () {
      const answer = yield* say(request(messages, [json, header]), more)
      assert.deepStrictEqual([answer.status, codeOf(answer)], [413, "BODY_TOO_BIG"])
    }),
  )

  it.effect("ends an endless body of a request that is refused before it comes to a route", () =>
    Effect.gen(function* () {
      const answer = yield* say("POST /nothing HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n", chunk)
      assert.deepStrictEqual([answer.status, codeOf(answer)], [415, "UNSUPPORTED_MEDIA_TYPE"])
    }),
  )

  it.effect("ends an endless body that nobody reads", () =>
    Effect.gen(function* () {
      const answer = yield* say(request("POST /nothing", [json, "Transfer-Encoding: chunked"]), chunk)
      assert.strictEqual(answer.status, 404)
    }),
  )
})

layer(gateway({ request_ms: 300, keep_alive_ms: 300 }), { excludeTestServices: true })(
  "the HTTP port, in time",
  (it) => {
    it.effect.each([
      ["a body", request(messages, [json, "Content-Length: 30"], `{"name":`)],
      ["its headers", "POST /v1/clients/c1/messages HTTP/1.1\r\nHost: gateway\r\n"],
    ] as const)("answers a request with 408 that does not come to the end of %s", ([, half]) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* say(half)).status, 408)
      }),
    )

    it.effect("keeps a connection open on which nothing is asked for as long as the limit says, and tells it", () =>
      Effect.gen(function* () {
        const { headers, status } = yield* say("GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert.strictEqual(status, 200)
        assert.include(headers, "\r\nconnection: keep-alive\r\n")
      }),
    )
  },
)

layer(gateway({}), { excludeTestServices: true })(
  "HTTP requests to a transport that is not there yet, or any more",
  (it) => {
    it.effect("are answered 503 if they would upgrade: it is to come", () =>
      Effect.gen(function* () {
        const { handle } = yield* UpgradeServer
        // Whoever takes a path last leaves nobody there.
        yield* Effect.scoped(handle("/v1/stream", () => {}))
        const { headers, status } = yield* say(upgrade("GET /v1/stream?clientId=c1"))
        assert.strictEqual(status, 503)
        assert.include(headers, "retry-after: 1")
      }),
    )
  },
)
