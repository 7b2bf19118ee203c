/**
 * What the HTTP API declares and what its routes respond with, both ways: each response fits the declaration of its
 * operation, as a validator that knows nothing of Nimbus sees it, and each status and code that an operation declares
 * comes of a request below.
 */
import { request } from "node:http"
import { assert, describe, it, layer } from "@effect/vitest"
import {
  ArchiveUnavailable,
  AuthUnavailable,
  LogRefused,
  LogUnavailable,
  Unauthenticated,
  UnknownTopic,
} from "@nimbus/domain/errors"
import { Incarnation, openLife, openRoom } from "@nimbus/domain/protocol"
import { Archive, ArchiveMemory, EventLog, TicketsMemory } from "@nimbus/domain/services"
import { openApiDocument, portProblems } from "@nimbus/domain/http"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect, Layer, Option, Redacted, Schema } from "effect"
import { HttpServer } from "effect/http"
import type { TooMany } from "../addresses/AddressBook.ts"
import { Addresses } from "../addresses/Addresses.ts"
import type { Access } from "../admin/Authorization.ts"
import { Gateway } from "../index.ts"
import { adminLimits, Limits, readLimits, subjectLimits } from "../Limits.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import * as HttpFront from "./HttpFront.ts"

interface Request {
  readonly body?: string
  /** The body does not come to its end. */
  readonly isHalf?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

interface Response {
  readonly status: number
  readonly contentType: string
  readonly text: string
  readonly code: string | undefined
}

const codeOf = (contentType: string, text: string): string | undefined => {
  const code: unknown = contentType === "application/json" ? Object(JSON.parse(text)).code : undefined
  return typeof code === "string" ? code : undefined
}

const ask = (method: string, path: string, { body, headers = {}, isHalf = false }: Request = {}) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.callback<Response>((resume) => {
      const json = body === undefined ? {} : { "content-type": "application/json", "content-length": body.length }
      const sent = request(`${address}${path}`, { method, headers: { ...json, ...headers } }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (some: string) => (text += some))
        response.on("end", () => {
          const contentType = response.headers["content-type"] ?? ""
          resume(
            Effect.succeed({ status: response.statusCode ?? 0, contentType, text, code: codeOf(contentType, text) }),
          )
        })
      })
      sent.on("upgrade", (_, socket) => {
        socket.destroy()
        resume(Effect.succeed({ status: 101, contentType: "", text: "", code: undefined }))
      })
      sent.on("error", (error) => resume(Effect.die(error)))
      if (isHalf) sent.write("{")
      else sent.end(body)
    }),
  )

const Content = Schema.Record(Schema.String, Schema.Struct({ schema: Schema.Json }))
const Operation = Schema.Struct({
  operationId: Schema.String,
  responses: Schema.Record(Schema.String, Schema.Struct({ content: Schema.optionalKey(Content) })),
})
const Document = Schema.Struct({ paths: Schema.Record(Schema.String, Schema.Record(Schema.String, Operation)) })
const document = Schema.decodeUnknownSync(Document)(openApiDocument())
const operations = new Map(
  Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map((operation) => [operation.operationId, operation] as const),
  ),
)

const ajv = new Ajv2020({ strict: false })

/** Fails where the operation declares no such response. */
const assertDeclared = (operationId: string, { contentType, status, text }: Response) => {
  const declared = operations.get(operationId)?.responses[String(status)]
  assert.isDefined(declared, `${operationId} does not declare ${status}`)
  if (declared.content === undefined) return assert.strictEqual(text, "")
  const media = declared.content[contentType]
  assert.isDefined(media, `${operationId} does not declare ${contentType} with ${status}`)
  const check = ajv.compile(Object(media.schema))
  assert.isTrue(
    check(contentType.includes("json") ? JSON.parse(text) : text),
    `${operationId} ${status}: ${ajv.errorsText(check.errors)}`,
  )
}

const seen = new Set<string>()
const outcome = (operationId: string, status: number | string, code?: string) =>
  [operationId, status, ...(code === undefined ? [] : [code])].join(" ")

/** A request to an operation, and the status and code that it gets. */
type Case = readonly [operationId: string, method: string, path: string, expected: string, request?: Request]

const shows = Effect.fnUntraced(function* ([operationId, method, path, expected, request]: Case) {
  const response = yield* ask(method, path, request)
  const { code, status } = response
  assert.strictEqual([status, ...(code === undefined ? [] : [code])].join(" "), expected)
  assertDeclared(operationId, response)
  seen.add(outcome(operationId, status, code))
})

const incarnation = Incarnation.make("log-1")
const message = `{"name":"news","data":{"text":"hello"}}`
const long = "x".repeat(1_100)

/** Fails in a way that the record's key names. */
const log = Layer.effect(
  EventLog,
  Effect.map(EventLog, (log) => {
    const fault = (topic: string, key: string | undefined) => {
      if (key === "large") return new LogRefused({ topic, reason: "too-large", detail: "it is too large" })
      if (key === "refused") return new LogRefused({ topic, reason: "not-allowed", detail: "it may not" })
      if (key === "unknown") return new UnknownTopic({ topic })
      return key === "away" ? new LogUnavailable({ topic, operation: "publish", cause: "away" }) : undefined
    }
    return EventLog.of({
      ...log,
      publish: (topic, partition, records) => {
        const error = fault(topic, records[0]?.key)
        return error === undefined ? log.publish(topic, partition, records) : Effect.fail(error)
      },
    })
  }),
)

const parts = MemoryParts.layerWith({ partitions: 1, incarnation })

/** Partition 7, and the client `away`: it does not respond. Partition 8, and the client `slow`: not in time. */
const archive = Layer.effect(
  Archive,
  Effect.gen(function* () {
    const archive = ArchiveMemory.makeMemory()
    const rows = (key: string, value: unknown) => [{ key, place: 1, timestamp: 5, value: JSON.stringify(value) }]
    const results = { incarnation, kind: "results", partition: 0 } as const
    const messages = { ...results, kind: "messages" } as const
    const accepted = { created_at: "2026-01-01T00:00:00.000Z", completed_at: "2026-01-01T00:00:01.000Z", data: 1 }
    const result = { seq: 1, id: "e1", name: "sq", data: { result: 49 }, accepted }
    yield* archive.write({ source: results, records: rows("c1", result), position: 0 })
    yield* archive.write({ source: messages, records: rows("r1", { id: "m1", data: "hello" }), position: 0 })
    const open = { ...messages, incarnation: openLife(incarnation) }
    yield* archive.write({ source: open, records: rows(openRoom, "to all"), position: 0 })
    return Archive.of({
      ...archive,
      page: (question) => {
        if (/#8$|^slow$/.test(question.key)) return Effect.never
        const away = new ArchiveUnavailable({ store: "memory", operation: "page", cause: "away" })
        return /#7$|^away$/.test(question.key) ? Effect.fail(away) : archive.page(question)
      },
    })
  }),
)

const front = { host: "127.0.0.1", port: 0, hosts: ["gateway"] }

const whole = Gateway.layerWith({
  ...front,
  limits: { body_bytes: 95_000, reads: { ...readLimits, reads_ms: 100, reads_rest: 0 } },
}).pipe(Layer.provideMerge(log), Layer.provideMerge(parts), Layer.provide(archive))

const upgrade = {
  connection: "upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}

const sending = (client: string, expected: string, body = message): Case => [
  "sendMessages",
  "POST",
  `/v1/clients/${client}/messages`,
  expected,
  { body },
]

const cancelling = (client: string, expected: string, body = `{"id":"e1"}`): Case => [
  "cancelTasks",
  "POST",
  `/v1/clients/${client}/cancels`,
  expected,
  { body },
]

const pages = [
  ["results", "/v1/clients/c1/results", "/v1/clients/away/results?", "/v1/clients/slow/results?"],
  ["roomMessages", "/v1/rooms/r1/messages", "/v1/rooms/r1/messages?partition=7", "/v1/rooms/r1/messages?partition=8"],
  ["openMessages", "/v1/open/messages", "/v1/open/messages?partition=7", "/v1/open/messages?partition=8"],
] as const
const sockets = [
  ["stream", "/v1/stream?clientId=c1"],
  ["approach3", "/approach3/events?clientId=c1"],
  ["approach2", "/approach2/events?clientId=c1"],
] as const

const cases: ReadonlyArray<Case> = [
  sending("c1", "200"),
  sending("c1", "200", `[${message},${message}]`),
  sending("a%20b", "400 BAD_REQUEST"),
  sending("c1", "400 BAD_REQUEST", "{"),
  sending("c1", "400 BAD_NUMBER", `{"name":"n","data":9007199254740993}`),
  sending("c1", "400 BAD_BATCH", `[${`{"name":"n","data":1},`.repeat(4_096)}${message}]`),
  sending(long, "404 NOT_FOUND"),
  sending("c1", "413 BODY_TOO_BIG", `{"name":"n","data":"${"x".repeat(95_000)}"}`),
  sending("large", "413 LOG_REFUSED"),
  sending("refused", "500 LOG_REFUSED"),
  sending("unknown", "500 UNKNOWN_TOPIC"),
  sending("away", "503 LOG_UNAVAILABLE"),
  cancelling("c1", "200"),
  cancelling("c1", "200", `[{"id":"e1"},{"id":"e2"}]`),
  cancelling("a%20b", "400 BAD_REQUEST"),
  cancelling("c1", "400 BAD_REQUEST", `{"id":""}`),
  cancelling("c1", "400 BAD_NUMBER", `{"id":"e1","seq":9007199254740993}`),
  cancelling("c1", "400 BAD_BATCH", `[${`{"id":"e1"},`.repeat(4_096)}{"id":"e1"}]`),
  cancelling(long, "404 NOT_FOUND"),
  cancelling("c1", "413 BODY_TOO_BIG", `{"id":"${"x".repeat(95_000)}"}`),
  cancelling("large", "413 LOG_REFUSED"),
  cancelling("refused", "500 LOG_REFUSED"),
  cancelling("unknown", "500 UNKNOWN_TOPIC"),
  cancelling("away", "503 LOG_UNAVAILABLE"),
  ...pages.flatMap(([operation, path, away, slow]): ReadonlyArray<Case> => [
    [operation, "GET", path, "200"],
    [operation, "GET", `${path}?limit=0`, "400 BAD_REQUEST"],
    [operation, "GET", away, "503 ARCHIVE_UNAVAILABLE"],
    [operation, "GET", slow, "503 READS_BUSY"],
  ]),
  ["results", "GET", `/v1/clients/${long}/results`, "404 NOT_FOUND"],
  ["roomMessages", "GET", `/v1/rooms/${long}/messages`, "404 NOT_FOUND"],
  ...sockets.flatMap(([operation, path]): ReadonlyArray<Case> => [
    [operation, "GET", path, "101", { headers: upgrade }],
    [operation, "GET", path, "426 UPGRADE_REQUIRED"],
  ]),
  ["openApi", "GET", "/v1/openapi.json", "200"],
  ["framesSchema", "GET", "/v1/frames.schema.json", "200"],
  ["clientScript", "GET", "/client.js", "200"],
  ["healthz", "GET", "/healthz", "200"],
  ["readyz", "GET", "/readyz", "200"],
  ["metrics", "GET", "/metrics", "200"],
  // Before any route.
  ["openApi", "GET", "/v1/openapi.json", "403 HOST_NOT_ALLOWED", { headers: { host: "elsewhere" } }],
  ["openApi", "GET", "/v1/openapi.json", "403 ORIGIN_NOT_ALLOWED", { headers: { origin: "http://elsewhere" } }],
  [
    "sendMessages",
    "POST",
    "/v1/clients/c1/messages",
    "415 UNSUPPORTED_MEDIA_TYPE",
    { body: message, headers: { "content-type": "text/plain" } },
  ],
]

layer(whole, { excludeTestServices: true })("a declared operation", (it) => {
  it.effect.each(cases)("responds as declared: %s %s %s %s", (some) => shows(some))
})

layer(Gateway.layerWith(front).pipe(Layer.provideMerge(parts)), { excludeTestServices: true })(
  "without an archive",
  (it) => {
    it.effect.each(pages)("%s responds as declared", ([operation, path]) =>
      shows([operation, "GET", path, "404 NO_ARCHIVE"]),
    )

    it.effect("and without locks there are no tickets", () =>
      shows(["issueTicket", "POST", "/v1/tickets", "404 NOT_FOUND"]),
    )
  },
)

const unauthenticated = (code: Unauthenticated["code"]) => new Unauthenticated({ code, reason: "it is told so" })
const tokens = new Map<string, Locks.Worth>([
  ["invalid", unauthenticated("TOKEN_INVALID")],
  ["expired", unauthenticated("TOKEN_EXPIRED")],
  ["revoked", unauthenticated("TOKEN_REVOKED")],
  ["away", new AuthUnavailable({ reason: "the keys can't be asked" })],
  ["ada", { subject: "ada" }],
])

const locked = Gateway.layerWith(front).pipe(
  Layer.provideMerge(parts),
  Layer.provide([archive, Locks.layer(tokens), TicketsMemory.layerMemory()]),
)

layer(locked, { excludeTestServices: true })("with locks", (it) => {
  const asked = [
    ["sendMessages", "POST", "/v1/clients/c1/messages", message],
    ["cancelTasks", "POST", "/v1/clients/c1/cancels", `{"id":"e1"}`],
    ...pages.map(([operation, path]) => [operation, "GET", path, undefined] as const),
    ["issueTicket", "POST", "/v1/tickets", undefined],
  ] as const
  const outcomes = [
    [undefined, "401 TOKEN_MISSING"],
    ["invalid", "401 TOKEN_INVALID"],
    ["expired", "401 TOKEN_EXPIRED"],
    ["revoked", "401 TOKEN_REVOKED"],
    ["ada", "403 FORBIDDEN"],
    ["away", "503 AUTH_UNAVAILABLE"],
  ] as const
  const lockedCases = asked.flatMap(([operation, method, path, body]) =>
    outcomes.map(([token, expected]): Case => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const isTicket = operation === "issueTicket" && token === "ada"
      return [
        operation,
        method,
        path,
        isTicket ? "200" : expected,
        body === undefined ? { headers } : { body, headers },
      ]
    }),
  )
  it.effect.each(lockedCases)("a request responds as declared: %s %s %s %s", (some) => shows(some))
})

const operators: Access = { _tag: "Token", token: Redacted.make("0123456789abcdef") }
const guessed = Gateway.layerWith({ ...front, admin: Option.some(operators) }).pipe(
  Layer.provideMerge(parts),
  Layer.provide(Locks.layer(tokens)),
)

layer(guessed, { excludeTestServices: true })("with somebody who guesses the tokens of operators", (it) => {
  it.effect("publishing responds as declared", () =>
    Effect.gen(function* () {
      const headers = { authorization: "Bearer invalid" }
      for (let i = 0; i <= adminLimits.login_failures; i++) {
        yield* shows([
          "sendMessages",
          "POST",
          "/v1/clients/c1/messages",
          "401 TOKEN_INVALID",
          { body: message, headers },
        ])
      }
      for (const [operation, path, body] of [
        ["sendMessages", "messages", message],
        ["cancelTasks", "cancels", `{"id":"e1"}`],
      ] as const) {
        yield* shows([operation, "POST", `/v1/clients/c1/${path}`, "429 TOO_MANY_LOGINS", { body, headers }])
      }
    }),
  )
})

const sharing = ["frames", "bytes", "ids", "mail", "cancel-frames", "cancel-bytes", "cancel-ids"]
const shares = {
  ...subjectLimits,
  frames_per_second: 10,
  bytes_per_second: 1_000,
  new_ids_per_day: 1,
  mail_bytes: 10,
  tickets_per_minute: 1,
}

const shared = Gateway.layerWith({ ...front, limits: { subject: shares } }).pipe(
  Layer.provideMerge(parts),
  Layer.provide([
    Locks.layer(new Map(sharing.map((subject) => [subject, { subject, capabilities: ["publish:*"] }]))),
    TicketsMemory.layerMemory(),
  ]),
)

layer(shared, { excludeTestServices: true })("with small shares of subjects", (it) => {
  const many = (some: string) => `[${Array.from({ length: 300 }, () => some).join()}]`
  const asked = (token: string, to: string, body: string, expected: string): Case => {
    const isCancel = token.startsWith("cancel")
    const what = isCancel ? "cancels" : "messages"
    const headers = { authorization: `Bearer ${token}` }
    return [isCancel ? "cancelTasks" : "sendMessages", "POST", `/v1/clients/${to}/${what}`, expected, { body, headers }]
  }
  const cancelled = `{"id":"e1"}`
  const cases = [
    ["frames", ["frames", "frames"], many(message), "SUBJECT_FRAMES"],
    ["bytes", ["bytes", "bytes"], `{"name":"n","data":"${"x".repeat(20_000)}"}`, "SUBJECT_BYTES"],
    ["ids", ["a", "b"], message, "SUBJECT_NEW_IDS"],
    ["mail", ["mail", "mail"], message, "SUBJECT_MAIL"],
    ["cancel-frames", ["cancel-frames", "cancel-frames"], many(cancelled), "SUBJECT_FRAMES"],
    ["cancel-bytes", ["cancel-bytes", "cancel-bytes"], many(`{"id":"${"x".repeat(128)}"}`), "SUBJECT_BYTES"],
    ["cancel-ids", ["a", "b"], cancelled, "SUBJECT_NEW_IDS"],
  ] as const
  it.effect.each(
    cases.flatMap(([token, [first, second], body, code]) => [
      asked(token, first, body, "200"),
      asked(token, second, body, `429 ${code}`),
    ]),
  )("a request responds as declared: %s %s %s %s", (some) => shows(some))

  it.effect.each(["200", "429 SUBJECT_TICKETS"])("a ticket is issued as declared: %s", (expected) =>
    shows(["issueTicket", "POST", "/v1/tickets", expected, { headers: { authorization: "Bearer mail" } }]),
  )
})

const narrow = Gateway.layerWith({ ...front, limits: { bodies_bytes: 50, request_ms: 300 } }).pipe(
  Layer.provideMerge(parts),
)

layer(narrow, { excludeTestServices: true })("with small bounds", (it) => {
  const half = { isHalf: true, headers: { "content-type": "application/json", "content-length": "30" } }
  it.effect.each([
    sending("c1", "503 BUSY", `{"name":"n","data":"${"x".repeat(100)}"}`),
    ["sendMessages", "POST", "/v1/clients/c1/messages", "408", half],
    ["cancelTasks", "POST", "/v1/clients/c1/cancels", "408", half],
  ] as const)("a request responds as declared: %s %s %s %s", (some) => shows(some))
})

/** The port alone, as it is before the application is there and after it has gone. */
const port = HttpFront.layerWith(front).pipe(Layer.provide(Limits.layerWith({ close_ms: 200 })))

layer(port.pipe(Layer.provide(Addresses.layerWith({}).pipe(Layer.provide(Limits.layerWith({}))))), {
  excludeTestServices: true,
})("a gateway that starts", (it) => {
  it.effect.each([
    ["healthz", "GET", "/healthz", "200"],
    ["readyz", "GET", "/readyz", "503"],
    ["metrics", "GET", "/metrics", "503"],
    ["openApi", "GET", "/v1/openapi.json", "503"],
    ["stream", "GET", "/v1/stream?clientId=c1", "503"],
  ] as const)("responds as declared: %s %s %s %s", (some) => shows(some))
})

const refuses = (code: TooMany["code"]) => ({ code, retry_ms: 1_500 })
const none = {
  from: () => undefined,
  isProxy: () => false,
  accept: () => undefined,
  ask: () => undefined,
  open: () => undefined,
  openThrough: () => undefined,
}
const crowded = [
  { ...none, accept: () => refuses("TOO_MANY_CONNECTIONS") },
  { ...none, ask: () => refuses("TOO_MANY_OPENINGS") },
  { ...none, ask: () => refuses("TOO_MANY_FAILURES") },
]

crowded.forEach((address, i) => {
  const code = ["TOO_MANY_CONNECTIONS", "TOO_MANY_OPENINGS", "TOO_MANY_FAILURES"][i]
  const addresses = Layer.succeed(Addresses, { ...address, fail: () => {} })
  layer(port.pipe(Layer.provide(addresses)), { excludeTestServices: true })(`an address with ${code}`, (it) => {
    it.effect("gets what is declared", () => shows(["results", "GET", "/v1/clients/c1/results", `429 ${code}`]))

    if (code !== "TOO_MANY_CONNECTIONS") return
    it.effect.each(["healthz", "readyz", "metrics"])("gets it also of %s", (probe) =>
      shows([probe, "GET", `/${probe}`, `429 ${code}`]),
    )
  })
})

/** A status without a code: no body, or one that is not JSON. */
const codesOf = (content: typeof Content.Type | undefined): ReadonlyArray<string | undefined> => {
  const { anyOf, properties } = Object(content?.["application/json"]?.schema)
  const refusals: ReadonlyArray<unknown> = anyOf ?? (properties === undefined ? [] : [{ properties }])
  const codes = refusals.flatMap((refusal): ReadonlyArray<string> => Object(refusal).properties.code?.enum ?? [])
  return codes.length > 0 ? codes : [undefined]
}

describe("what is declared", () => {
  it("has come, each status and code of each operation; what the port refuses, of one of them", () => {
    const everywhere = new Set(Object.values(portProblems).map(({ code, status }) => `${status} ${code}`))
    const missing = [...operations.values()].flatMap(({ operationId, responses }) =>
      Object.entries(responses).flatMap(([status, { content }]) =>
        codesOf(content)
          .filter((code) => !everywhere.has(`${status} ${code}`))
          .map((code) => outcome(operationId, status, code))
          .filter((expected) => !seen.has(expected)),
      ),
    )
    const unseen = [...everywhere].filter((refusal) => ![...seen].some((outcome) => outcome.endsWith(` ${refusal}`)))
    assert.deepStrictEqual([...missing, ...unseen], [])
  })
})
