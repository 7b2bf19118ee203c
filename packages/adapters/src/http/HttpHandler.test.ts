/** A handler that an HTTP service has: what is sent, and what becomes of each kind of answer. */
import { once } from "node:events"
import type { ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import type { Caller } from "@nimbus/domain/access"
import { handlerLimits, outageLimits } from "@nimbus/domain/limits"
import { ClientId, EventId, Seq } from "@nimbus/domain/protocol"
import { FailureLog, Handlers, makeFailureLog } from "@nimbus/domain/services"
import { Effect, Logger, Schema } from "effect"
import { Webhook } from "standardwebhooks"
import type { HttpHandlerLimits } from "../Limits.ts"
import * as HttpHandler from "./HttpHandler.ts"
import { type Answers, json, secret, serviceOf } from "./testing/Service.ts"

/** Waits are short, and times long: no answer is late because the machine is busy. */
const bounds: Partial<HttpHandlerLimits> = {
  retry_min_ms: 1,
  retry_max_ms: 5,
  call_timeout_ms: 30_000,
  event_timeout_ms: 60_000,
}

/** What becomes of an event. */
const handled = (
  url: string,
  options: Partial<HttpHandlerLimits> = {},
  {
    caller,
    data = { count: 2 },
    id = "e1",
  }: { readonly caller?: Caller; readonly data?: Schema.Json; readonly id?: string } = {},
) =>
  Effect.flatMap(Handlers, (handlers) =>
    handlers.handle({
      clientId: ClientId.make("c1"),
      seq: Seq.make(7),
      event: { type: "event", id: EventId.make(id), name: "order", data },
      caller,
    }),
  ).pipe(
    Effect.provide(
      Handlers.layer([HttpHandler.make("order", { url, secret, ...bounds, ...options })], {
        ...handlerLimits,
        handler_timeout_ms: 100_000,
      }),
    ),
  )

const outcome = Effect.fnUntraced(function* (answers: Answers, options: Partial<HttpHandlerLimits> = {}) {
  const { requests, url } = yield* serviceOf(answers)
  const result = yield* handled(url, options)
  return { requests, result }
})

const Sent = Schema.fromJsonString(
  Schema.Struct({
    id: Schema.String,
    client: Schema.String,
    seq: Schema.Int,
    attempt: Schema.Int,
    name: Schema.String,
    data: Schema.Json,
  }),
)

describe("an HTTP handler", () => {
  it.live("is sent the event, signed, and its answer is the result", () =>
    Effect.gen(function* () {
      const { requests, result } = yield* outcome(json({ receipt: "r1" }))
      assert.deepInclude(result, { id: EventId.make("e1"), name: "order", data: { receipt: "r1" } })
      const [request] = requests
      assert(request !== undefined)
      const { body, headers } = request
      const sent = { id: "e1", client: "c1", seq: 7, attempt: 1, name: "order", data: { count: 2 } }
      assert.deepStrictEqual(JSON.parse(body), sent)
      assert.strictEqual(headers["content-type"], "application/json")
      assert.strictEqual(headers["idempotency-key"], "e1")
      assert.strictEqual(headers["webhook-id"], "c1/e1")
      assert.deepStrictEqual(new Webhook(secret).verify(body, headers), sent)
      assert.throws(() => new Webhook(secret).verify(`${body} `, headers))
    }),
  )

  it.live("is sent who has caused the event, under the signature, where a gateway knew", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* serviceOf(json("done"))
      const caller = { issuer: "https://id.example", subject: "alice", claims: { groups: ["staff"] } }
      yield* handled(url, {}, { caller })
      const [request] = requests
      assert(request !== undefined)
      const sent = { id: "e1", client: "c1", seq: 7, attempt: 1, name: "order", data: { count: 2 }, caller }
      assert.deepStrictEqual(new Webhook(secret).verify(request.body, request.headers), sent)
    }),
  )

  it.live("is called again, with the same keys and the next attempt, until it answers", () =>
    Effect.gen(function* () {
      const { requests, result } = yield* outcome((response, attempt) =>
        attempt <= 2 ? json({ message: "not now" }, 500)(response) : json("done")(response),
      )
      assert.deepInclude(result, { data: "done" })
      const sent = requests.map(({ body }) => Schema.decodeUnknownSync(Sent)(body))
      assert.deepStrictEqual(
        sent.map(({ attempt }) => attempt),
        [1, 2, 3],
      )
      const keys = requests.map(({ headers }) => `${headers["idempotency-key"]} ${headers["webhook-id"]}`)
      assert.deepStrictEqual(new Set(keys), new Set(["e1 c1/e1"]))
    }),
  )

  it.live.each([
    {
      what: "closes the connection without an answer",
      fails: (response: ServerResponse) => response.destroy(),
    },
    {
      what: "closes it in the middle of an answer",
      fails: (response: ServerResponse) => {
        response.writeHead(200, { "content-length": "100" }).write("{", () => response.destroy())
      },
    },
    { what: "is overloaded", fails: json({ message: "not now" }, 503) },
  ])("is called again where it $what", ({ fails }) =>
    Effect.gen(function* () {
      const { requests, result } = yield* outcome((response, attempt) =>
        attempt === 1 ? fails(response) : json("done")(response),
      )
      assert.deepInclude(result, { data: "done" })
      assert.lengthOf(requests, 2)
    }),
  )

  it.live("is given up and called again where it does not answer in time", () =>
    Effect.gen(function* () {
      const { requests, result } = yield* outcome(
        (response, attempt) => (attempt === 1 ? undefined : json("done")(response)),
        { call_timeout_ms: 500 },
      )
      assert.deepInclude(result, { data: "done" })
      assert.isAtLeast(requests.length, 2)
    }),
  )

  it.live.each([
    { what: "answers slowly", answers: (response: ServerResponse) => void response.writeHead(200).write("{") },
    { what: "fails", answers: json("x", 502) },
  ])("that $what is called until the time of the event is over", ({ answers }) =>
    Effect.gen(function* () {
      const { requests, result } = yield* outcome(answers, { call_timeout_ms: 200, event_timeout_ms: 1_500 })
      assert.deepInclude(result, { error: { code: "HANDLER_TIMEOUT", message: "Not done within 1500 ms" } })
      assert.isAtLeast(requests.length, 1)
    }),
  )

  it.live("that nobody serves is tried until the time of the event is over, and its log says why, not its client", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const { url } = yield* Effect.scoped(serviceOf(() => {}))
      const result = yield* handled(url, { event_timeout_ms: 300 }).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(FailureLog, makeFailureLog(outageLimits)),
      )
      assert.deepInclude(result, { error: { code: "HANDLER_TIMEOUT", message: "Not done within 300 ms" } })
      assert.include(lines.join("\n"), "ECONNREFUSED")
    }),
  )

  it.live.each([
    { what: "says why", answers: json({ message: "sold out" }, 409), message: "sold out" },
    {
      what: "says nothing",
      answers: (response: ServerResponse) => response.writeHead(400).end(),
      message: "the service of the handler refused the event (HTTP 400)",
    },
    {
      what: "says garbage",
      answers: (response: ServerResponse) => response.writeHead(404).end("<html>"),
      message: "the service of the handler refused the event (HTTP 404)",
    },
    {
      what: "says too much",
      answers: json({ message: "x".repeat(4_096) }, 422),
      message: "the service of the handler refused the event (HTTP 422)",
    },
    {
      what: "redirects",
      answers: (response: ServerResponse) => response.writeHead(307, { location: "/elsewhere" }).end(),
      message: "the answer of the handler's service is a redirect (HTTP 307), which is not followed",
    },
    {
      what: "answers garbage",
      answers: (response: ServerResponse) => response.end("<html>"),
      message: "the answer of the handler's service is no JSON",
    },
    {
      what: "answers nothing",
      answers: (response: ServerResponse) => response.writeHead(204).end(),
      message: "the answer of the handler's service is no JSON",
    },
    {
      what: "answers bytes that are no text",
      answers: (response: ServerResponse) => response.end(Buffer.from([34, 0xff, 34])),
      message: "the answer of the handler's service is no UTF-8",
    },
    {
      what: "answers a number that would change",
      answers: (response: ServerResponse) => response.end("9007199254740993"),
      message:
        "the answer of the handler's service has a fault: the number 9007199254740993 would come back as 9007199254740992: send it as text",
    },
    {
      what: "answers with brackets without end",
      answers: (response: ServerResponse) => response.end(`${"[".repeat(500)}${"]".repeat(500)}`),
      message: /^the answer of the handler's service is nested more than \d+ levels deep$/,
    },
    {
      what: "answers too much",
      answers: json("x".repeat(4_096)),
      message: "the answer of the handler's service is larger than 1024 bytes",
    },
    {
      what: "answers without end",
      answers: (response: ServerResponse) => {
        const more = (): void => void (response.destroyed || response.write("x".repeat(1_024), more))
        more()
      },
      message: "the answer of the handler's service is larger than 1024 bytes",
    },
  ])("that $what is called once, and the result says so", ({ answers, message }) =>
    Effect.gen(function* () {
      const { requests, result } = yield* outcome(answers, { answer_bytes: 1_024 })
      assert("error" in result)
      assert.strictEqual(result.error.code, "HANDLER_FAILED")
      if (typeof message === "string") assert.strictEqual(result.error.message, message)
      else assert.match(result.error.message, message)
      assert.lengthOf(requests, 1)
    }),
  )

  it.live("says how it is run as any handler does, and its calls share connections", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* serviceOf(json("done"))
      const handler = HttpHandler.make("order", { url, secret, ...bounds, calls_at_once: 3 })
      assert.deepInclude(handler, { at_once: 3, timeout_ms: bounds.event_timeout_ms })
      const call = (n: number) =>
        handler.run(n, { clientId: ClientId.make(`c${n}`), eventId: EventId.make("e1"), seq: Seq.make(n), attempt: 1 })
      const outcomes = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, n) => n),
        call,
        { concurrency: 3 },
      )
      assert.isTrue(outcomes.every((outcome) => "data" in outcome))
      assert.isBelow(new Set(requests.map(({ socket }) => socket)).size, 50)
      assert.strictEqual(new Set(requests.map(({ headers }) => headers["webhook-id"])).size, 50)
    }),
  )

  it.live.each([
    { id: "a b", key: "a%20b" },
    { id: "a%20b", key: "a%2520b" },
    { id: "ü\n", key: "%C3%BC%0A" },
    { id: "a/b:c", key: "a/b:c" },
  ])("is sent the id $key in headers", ({ id, key }) =>
    Effect.gen(function* () {
      const { requests, url } = yield* serviceOf(json("done"))
      assert.deepInclude(yield* handled(url, {}, { id }), { id: EventId.make(id), data: "done" })
      assert.strictEqual(requests[0]?.headers["idempotency-key"], key)
      assert.strictEqual(requests[0]?.headers["webhook-id"], `c1/${key}`)
    }),
  )

  it.live("cuts the call when its event is interrupted", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* serviceOf(() => {})
      const result = yield* handled(url).pipe(Effect.timeoutOption("1 second"))
      assert.strictEqual(result._tag, "None")
      assert.isAtMost(requests.length, 1)
      const socket = requests[0]?.socket
      if (socket !== undefined && !socket.destroyed) yield* Effect.promise(() => once(socket, "close"))
    }),
  )

  it("throws for an address or a secret that is none", () => {
    for (const url of ["here", "ftp://here/", "http://user:password@here/"])
      assert.throws(() => HttpHandler.make("order", { url, secret }), /address of the handler order must be/)
    for (const wrong of ["", "secret", "whsec_", "whsec_c2hvcnQ=", "whsec_?"])
      assert.throws(() => HttpHandler.make("order", { url: "http://here/", secret: wrong }), /secret of the handler/)
  })
})
