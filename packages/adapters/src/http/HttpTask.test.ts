/** A task that an HTTP service has: what is sent, which parts come of its answer, and what becomes of what is none. */
import { once } from "node:events"
import type { ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { ClientId, EventId, type Failure, Seq } from "@nimbus/domain/protocol"
import type { Combine } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Schema, Stream } from "effect"
import { Webhook } from "standardwebhooks"
import * as HttpHandler from "./HttpHandler.ts"
import { type Answers, json, secret, serviceOf } from "./testing/Service.ts"

/** Waits are short, and times long: no answer is late because the machine is busy. */
const bounds: Omit<HttpHandler.HttpTaskOptions, "url" | "secret"> = { retry_min_ms: 1, retry_max_ms: 5 }

const published = [1, 2, 3]

/** An attempt, with what the ones before it have published. */
const contextOf = (attempt: number) => ({
  clientId: ClientId.make("c1"),
  eventId: EventId.make("e1"),
  seq: Seq.make(7),
  attempt,
  published: Stream.fromIterable(published.slice(0, attempt - 1)),
})

interface Run {
  readonly parts: ReadonlyArray<string>
  readonly failure: Failure | undefined
}

const most_attempts = 4

/** All attempts, as a worker makes them: each with its parts, and the failure that ended it. */
const runsOf = Effect.fnUntraced(function* (url: string, options: Partial<HttpHandler.HttpTaskOptions>) {
  const { attempt, retry_ms } = HttpHandler.task("ask", { url, secret, ...bounds, ...options }).begin({ text: "hi" })
  const runs: Array<Run> = []
  while (runs.length < most_attempts) {
    const parts: Array<string> = []
    const failure = yield* Stream.runForEach(attempt(contextOf(runs.length + 1)), (part) =>
      Effect.sync(() => parts.push(part)),
    ).pipe(
      Effect.as(undefined),
      Effect.catch((failure) => Effect.succeed(failure)),
    )
    runs.push({ parts, failure })
    if (failure === undefined || (yield* retry_ms) === undefined) break
  }
  return runs
})

const outcome = Effect.fnUntraced(function* (answers: Answers, options: Partial<HttpHandler.HttpTaskOptions> = {}) {
  const { requests, url } = yield* serviceOf(answers)
  const runs = yield* runsOf(url, options)
  return { requests, runs }
})

const lines = { "content-type": "application/x-ndjson" }
const events = { "content-type": "text/event-stream; charset=utf-8" }

/** An answer that is sent in these pieces, each when the one before it was taken. */
const inPieces =
  (headers: Readonly<Record<string, string>>, ...pieces: ReadonlyArray<string | Uint8Array>) =>
  async (response: ServerResponse) => {
    response.writeHead(200, headers)
    for (const piece of pieces) await new Promise((resolve) => response.write(piece, resolve))
    response.end()
  }

/** The same, and then the connection is gone. */
const cutAfter =
  (headers: Readonly<Record<string, string>>, ...pieces: ReadonlyArray<string>) =>
  (response: ServerResponse) => {
    response.writeHead(200, headers)
    response.write(pieces.join(""), () => response.destroy())
  }

const Sent = Schema.fromJsonString(
  Schema.Struct({ attempt: Schema.Int, published: Schema.Int, data: Schema.Json, name: Schema.String }),
)

describe("an HTTP task", () => {
  it.live("is sent the event, signed, and each line of its answer is a part", () =>
    Effect.gen(function* () {
      const { requests, runs } = yield* outcome(inPieces(lines, '"a"\n{"b":', " 1}\n\n", "[null]\n"))
      assert.deepStrictEqual(runs, [{ parts: ['"a"', '{"b":1}', "[null]"], failure: undefined }])
      const [request] = requests
      assert(request !== undefined)
      const { body, headers } = request
      const sent = { id: "e1", client: "c1", seq: 7, attempt: 1, published: 0, name: "ask", data: { text: "hi" } }
      assert.deepStrictEqual(new Webhook(secret).verify(body, headers), sent)
      assert.strictEqual(headers["accept"], "application/x-ndjson, text/event-stream")
      assert.strictEqual(headers["idempotency-key"], "e1")
      assert.strictEqual(headers["webhook-id"], "c1/e1")
    }),
  )

  it.live("is sent who has caused the event, where a gateway knew", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* serviceOf(inPieces(lines, '"a"\n'))
      const caller = { issuer: "https://id.example", subject: "alice", claims: { groups: ["staff"] } }
      const { attempt } = HttpHandler.task("ask", { url, secret, ...bounds }).begin({ text: "hi" })
      yield* Stream.runDrain(attempt({ ...contextOf(1), caller }))
      assert.deepStrictEqual(JSON.parse(requests[0]?.body ?? "").caller, caller)
    }),
  )

  it.live("may answer with events, whose data are the parts", () =>
    Effect.gen(function* () {
      const { runs } = yield* outcome(
        inPieces(
          events,
          'retry: 5\n: begins\n\nid: 1\nevent: word\ndata: "a"\r\n\r\nda',
          'ta: [1,\ndata: 2]\n\ndata: "é',
          '"\n\n: ends\n\n',
        ),
      )
      assert.deepStrictEqual(runs, [{ parts: ['"a"', "[1,2]", '"é"'], failure: undefined }])
    }),
  )

  it.live("may have no parts", () =>
    Effect.gen(function* () {
      for (const headers of [lines, events]) {
        assert.deepStrictEqual((yield* outcome(inPieces(headers))).runs, [{ parts: [], failure: undefined }])
        const empty = (response: ServerResponse) => response.writeHead(200, { ...headers, "content-length": 0 }).end()
        assert.deepStrictEqual((yield* outcome(empty)).runs, [{ parts: [], failure: undefined }])
      }
    }),
  )

  it.live.each([
    { what: "is cut off between two lines", fails: cutAfter(lines, "1\n"), parts: ["1"], says: "broke off its answer" },
    { what: "is cut off within a line", fails: cutAfter(lines, "1\n2"), parts: ["1"], says: "broke off its answer" },
    { what: "ends within a line", fails: inPieces(lines, "1\n2"), parts: ["1"], says: "stopped within a line" },
    {
      what: "is cut off between two events",
      fails: cutAfter(events, "data: 1\n\n"),
      parts: ["1"],
      says: "broke off its answer",
    },
    {
      what: "ends within an event",
      fails: inPieces(events, "data: 1\n\ndata: 2\n"),
      parts: ["1"],
      says: "stopped within an event",
    },
    { what: "is none", fails: (response: ServerResponse) => response.destroy(), parts: [], says: "did not respond" },
    { what: "is 503", fails: json({ message: "not now" }, 503), parts: [], says: "answered HTTP 503" },
  ])("is called again, with its next attempt, where its answer $what", ({ fails, parts, says }) =>
    Effect.gen(function* () {
      const { requests, runs } = yield* outcome((response, attempt) =>
        attempt === 1 ? fails(response) : inPieces(lines, '"done"\n')(response),
      )
      assert.lengthOf(runs, 2)
      assert.deepStrictEqual(runs[0]?.parts, parts)
      const failure = { code: "HANDLER_FAILED", message: `the service of the handler ${says}` }
      assert.deepStrictEqual(runs[0]?.failure, failure)
      assert.deepStrictEqual(runs[1], { parts: ['"done"'], failure: undefined })
      const sent = requests.map(({ body }) => Schema.decodeUnknownSync(Sent)(body))
      assert.deepStrictEqual(
        sent.map(({ attempt, published }) => [attempt, published]),
        [
          [1, 0],
          [2, 1],
        ],
      )
      assert.lengthOf(new Set(requests.map(({ headers }) => headers["webhook-id"])), 1)
    }),
  )

  it.live.each([
    {
      what: "does not begin",
      answers: () => undefined,
      options: { begin_timeout_ms: 100 },
      says: "the service of the handler did not answer within 100 ms",
    },
    {
      what: "falls silent",
      answers: (response: ServerResponse) => void response.writeHead(200, lines).write("1\n"),
      options: { silence_timeout_ms: 100 },
      says: "the service of the handler said nothing for 100 ms",
    },
    {
      what: "falls silent as it refuses",
      answers: (response: ServerResponse) => void response.writeHead(400).write("{"),
      options: { silence_timeout_ms: 100 },
      says: "the service of the handler said nothing for 100 ms",
    },
  ])("whose answer $what is called again, as long as it may be", ({ answers, options, says }) =>
    Effect.gen(function* () {
      const { requests, runs } = yield* outcome(answers, options)
      assert.deepStrictEqual(
        runs.map(({ failure }) => failure),
        runs.map(() => ({ code: "HANDLER_FAILED", message: says })),
      )
      assert.lengthOf(runs, most_attempts)
      // What is no longer awaited is closed.
      yield* eventually(
        "its calls are closed",
        Effect.sync(() => requests.every(({ socket }) => socket.destroyed)),
      )
    }),
  )

  it.live.each([
    { what: "refuses it", answers: json({ message: "sold out" }, 409), failure: "sold out" },
    {
      what: "redirects",
      answers: (response: ServerResponse) => response.writeHead(302, { location: "/elsewhere" }).end(),
      failure: "the answer of the handler's service is a redirect (HTTP 302), which is not followed",
    },
    {
      what: "answers with a result",
      answers: json("done"),
      failure: "the answer of the handler's service is neither application/x-ndjson nor text/event-stream",
    },
    {
      what: "says nothing of what it answers with",
      answers: (response: ServerResponse) => response.writeHead(200).end("1\n"),
      failure: "the answer of the handler's service is neither application/x-ndjson nor text/event-stream",
    },
    {
      what: "answers with what has no end of its own",
      answers: (response: ServerResponse) => {
        response.socket?.end("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n1\n")
      },
      failure: "the answer of the handler's service has neither a length nor chunks: its end can't be told from a cut",
    },
    {
      what: "answers with a line that is no text",
      answers: inPieces(lines, Uint8Array.of(34, 0xff, 34, 10)),
      failure: "the answer of the handler's service is no UTF-8",
    },
    {
      what: "answers with a line that is too long",
      answers: inPieces(lines, `"${"x".repeat(1_024)}"\n2\n`),
      failure: "the answer of the handler's service has a part of more than 1024 bytes",
    },
    {
      what: "answers with a line that has no end",
      answers: (response: ServerResponse) => {
        response.writeHead(200, lines)
        for (let piece = 0; piece < 20; piece++) response.write("x".repeat(100))
      },
      failure: "the answer of the handler's service has a part of more than 1024 bytes",
    },
    {
      what: "answers with an event of too many lines",
      answers: inPieces(events, "data: 12345678\n".repeat(200)),
      failure: "the answer of the handler's service has a part of more than 1024 bytes",
    },
  ])("that $what is called once, and its end says so", ({ answers, failure: message }) =>
    Effect.gen(function* () {
      const { requests, runs } = yield* outcome(answers, { part_bytes: 1_024 })
      assert.deepStrictEqual(runs, [{ parts: [], failure: { code: "HANDLER_FAILED", message } }])
      assert.lengthOf(requests, 1)
    }),
  )

  it.live("that answers with too many parts is called once, and its end says so", () =>
    Effect.gen(function* () {
      const many = (response: ServerResponse) => {
        response.writeHead(200, lines)
        for (let piece = 0; piece < 200; piece++) response.write("123456789\n")
      }
      const { requests, runs } = yield* outcome(many, { parts_bytes: 1_000 })
      const message = "the answer of the handler's service is larger than 1000 bytes"
      assert.deepStrictEqual(runs[0]?.failure, { code: "HANDLER_FAILED", message })
      assert.isAtMost(runs[0]?.parts.length ?? 0, 100)
      assert.lengthOf(requests, 1)
      yield* eventually(
        "its call is closed",
        Effect.sync(() => requests[0]?.socket.destroyed === true),
      )
    }),
  )

  it.live.each([
    { what: "no JSON", answers: inPieces(lines, "1\n<html>\n3\n") },
    { what: "no JSON in an event", answers: inPieces(events, "data: 1\n\ndata: [DONE]\n\n") },
    { what: "a number that would change", answers: inPieces(lines, "1\n9007199254740993\n") },
    { what: "brackets without end", answers: inPieces(lines, `1\n${"[".repeat(500)}${"]".repeat(500)}\n`) },
  ])("that answers with $what has bad output", ({ answers }) =>
    Effect.gen(function* () {
      const { requests, runs } = yield* outcome(answers)
      const failure = { code: "BAD_OUTPUT", message: "A part does not fit its schema" }
      assert.deepStrictEqual(runs, [{ parts: ["1"], failure }])
      assert.lengthOf(requests, 1)
    }),
  )

  it.live("closes its call when it is cancelled", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* serviceOf((response) => {
        response.writeHead(200, lines).write("1\n")
      })
      const { attempt } = HttpHandler.task("ask", { url, secret }).begin(null)
      const parts: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(attempt(contextOf(1)), (part) => Effect.sync(() => parts.push(part))),
      )
      yield* eventually(
        "the first part",
        Effect.sync(() => parts.length === 1),
      )
      const closed = once(requests[0]!.socket, "close")
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => closed)
    }),
  )

  it.live("closes the call of an answer that it does not read", () =>
    Effect.gen(function* () {
      const { requests } = yield* outcome((response) => {
        response.writeHead(200, { "content-type": "text/html" }).write("<html>")
      })
      yield* eventually(
        "its call is closed",
        Effect.sync(() => requests[0]?.socket.destroyed === true),
      )
    }),
  )

  it("is declared as its options say, and refuses those that don't go together", () => {
    const options = { url: "https://a.example", secret }
    const task = HttpHandler.task("ask", { ...options, combine: "strings", calls_at_once: 3, task_timeout_ms: 5_000 })
    assert.deepInclude(task, { name: "ask", combine: "strings", resumes: false, at_once: 3, timeout_ms: 5_000 })
    assert.isTrue(HttpHandler.task("ask", { ...options, resumes: true }).resumes)
    const combine: Combine = "arrays"
    assert.throws(() => HttpHandler.task("ask", { ...options, resumes: true, combine }), /can't both resume and join/)
    assert.throws(() => HttpHandler.task("ask", { ...options, url: "a.example" }), /the address of the handler ask/)
  })
})
