/** The routes of HTTP behind locks: what is denied has done nothing, and what was done is in the audit. */
import { assert, describe, it } from "@effect/vitest"
import { Incarnation, openLife, openRoom } from "@nimbus/domain/protocol"
import {
  Archive,
  ArchiveMemory,
  Audit,
  type AuditEntry,
  EventLog,
  TicketsMemory,
  Topics,
} from "@nimbus/domain/services"
import { Context, Effect, Layer, Option, Redacted, Scope } from "effect"
import { HttpServer } from "effect/http"
import { WebSocket } from "ws"
import { Gateway } from "../index.ts"
import { adminLimits, subjectLimits } from "../Limits.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const entries: Array<AuditEntry> = []
const incarnation = Incarnation.make("log-1")

const archive = Layer.effect(
  Archive,
  Effect.gen(function* () {
    const archive = ArchiveMemory.makeMemory()
    const rows = (key: string, value: unknown) => [{ key, place: 1, timestamp: 5, value: JSON.stringify(value) }]
    const from = { incarnation, kind: "results", partition: 0 } as const
    yield* archive.write({ source: from, records: rows("ada", { seq: 1, id: "e1", name: "sq" }), position: 0 })
    const messages = { ...from, kind: "messages" } as const
    yield* archive.write({ source: messages, records: rows("r1", { id: "m1", data: "hello" }), position: 0 })
    const open = { ...messages, incarnation: openLife(incarnation) }
    yield* archive.write({ source: open, records: rows(openRoom, "to all"), position: 0 })
    return Archive.of(archive)
  }),
)

/** Spelled as a provider's token is. */
const signed = "e30.e30.c2ln"

const tokens = new Map<string, Locks.Worth>([
  ["ada", { subject: "ada" }],
  ["reader", { subject: "ada", capabilities: ["connect:{sub}", "archive:read", "room:history:r*"] }],
  ["stranger", { subject: "eve", capabilities: ["connect:{sub}", "archive:read"] }],
  ["open", { subject: "eve", capabilities: ["archive:read", `room:history:${openRoom}`] }],
  ["server", { subject: "server", capabilities: ["publish:ad*"] }],
  [signed, { subject: "server", capabilities: ["publish:ad*"] }],
  ["publisher", { subject: "ops", capabilities: ["admin:publisher"] }],
])

const services = Layer.mergeAll(
  MemoryParts.layerWith({ partitions: 1, incarnation }),
  archive,
  Locks.layer(tokens),
  TicketsMemory.layerMemory(),
  Layer.succeed(Audit, Audit.of({ record: (entry) => void entries.push(entry) })),
)

const start = Effect.fnUntraced(function* (options: Partial<Gateway.GatewayOptions> = {}) {
  const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { close_ms: 200 }, ...options })
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { address } = Context.get(yield* Layer.buildWithScope(Layer.fresh(gateway), scope), HttpServer.HttpServer)
  return "port" in address ? `http://127.0.0.1:${address.port}` : assert.fail("no port")
})

const scenario = (
  name: string,
  test: (url: string) => Effect.Effect<void, unknown, Layer.Success<typeof services> | Scope.Scope>,
  options: Partial<Gateway.GatewayOptions> = {},
) =>
  it.live(name, () => {
    entries.length = 0
    return Effect.flatMap(start(options), test).pipe(Effect.scoped, Effect.provide(services))
  })

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

const ask = (url: string, token: string | undefined, init: RequestInit = {}) =>
  Effect.promise(async (): Promise<Answer> => {
    const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const headers = { ...authorization, ...Object.fromEntries(new Headers(init.headers)) }
    const response = await fetch(url, { ...init, headers })
    return { status: response.status, headers: response.headers, body: await response.json() }
  })

const json = (body: unknown): RequestInit => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
})

/** How many records the log has. */
const logged = Effect.gen(function* () {
  const log = yield* EventLog
  return yield* log.end((yield* Topics).events, 0)
})

describe("publishing with locks", () => {
  for (const [what, body] of [
    ["messages", { name: "news", data: 1 }],
    ["cancels", { id: "e1" }],
  ] as const) {
    scenario(`${what}: denied without the capability, which is named, and nothing is written`, (url) =>
      Effect.gen(function* () {
        const before = yield* logged
        for (const token of ["ada", "reader"]) {
          const { body: said, status } = yield* ask(`${url}/v1/clients/ada/${what}`, token, json(body))
          assert.strictEqual(status, 403)
          const message = "the capability publish:ada is missing"
          assert.deepStrictEqual(said, { code: "FORBIDDEN", message, capability: "publish:ada" })
        }
        const { headers, status } = yield* ask(`${url}/v1/clients/ada/${what}`, undefined, json(body))
        assert.strictEqual(status, 401)
        assert.strictEqual(headers.get("www-authenticate"), "Bearer")
        assert.strictEqual((yield* ask(`${url}/v1/clients/bob/${what}`, "server", json(body))).status, 403)
        assert.strictEqual(yield* logged, before)
        assert.isEmpty(entries.filter(({ action }) => action === "publish"))
      }),
    )

    scenario(`${what}: taken with it or with the role of a publisher, and told to the audit`, (url) =>
      Effect.gen(function* () {
        const before = yield* logged
        for (const token of ["server", "publisher"]) {
          assert.strictEqual((yield* ask(`${url}/v1/clients/ada/${what}`, token, json(body))).status, 200)
        }
        assert.strictEqual(yield* logged, before + 2)
        assert.deepStrictEqual(
          entries.map(({ action, detail, outcome, subject }) => ({ action, detail, outcome, subject })),
          ["server", "ops"].map((subject) => ({
            action: "publish" as const,
            detail: `${what} 1 publish:ada`,
            outcome: "OK",
            subject,
          })),
        )
      }),
    )
  }

  it.live("takes a token of the settings with the role of a publisher, and lets whoever guesses wait", () =>
    Effect.gen(function* () {
      const token = (role: string) => `${role}-0123456789abcdef`
      const named = (["publisher", "operator"] as const).map((role) => ({
        name: `a-${role}`,
        role,
        token: Redacted.make(token(role)),
      }))
      const url = yield* start({ admin: Option.some({ _tag: "Tokens", tokens: named }) })
      const publish = (shown: string) => ask(`${url}/v1/clients/ada/messages`, shown, json({ name: "news", data: 1 }))
      const before = yield* logged
      assert.strictEqual((yield* publish(token("publisher"))).status, 200)
      assert.strictEqual((yield* publish(token("operator"))).status, 403)
      for (let i = 0; i <= adminLimits.login_failures; i++) {
        assert.strictEqual((yield* publish(`publisher-0123456789abcde${i}`)).status, 401)
      }
      const waits = yield* publish("publisher-0123456789abcdeX")
      assert.deepStrictEqual([waits.status, Object(waits.body).code], [429, "TOO_MANY_LOGINS"])
      assert.strictEqual(waits.headers.get("retry-after"), "1")
      assert.strictEqual((yield* publish(token("publisher"))).status, 200)
      assert.strictEqual(
        (yield* publish(signed)).status,
        200,
        "whoever has a provider's token does not wait for guesses",
      )
      assert.strictEqual(yield* logged, before + 3)
    }).pipe(Effect.scoped, Effect.provide(services)),
  )

  scenario("is decided before the body is looked at", (url) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask(`${url}/v1/clients/ada/messages`, "ada", json("no message"))).status, 403)
      assert.strictEqual((yield* ask(`${url}/v1/clients/ada/messages`, "server", json("no message"))).status, 400)
    }),
  )
})

describe("the archive with locks", () => {
  scenario("shows one's own results, and nobody else's", (url) =>
    Effect.gen(function* () {
      const path = `${url}/v1/clients/ada/results`
      assert.strictEqual((yield* ask(path, "reader")).status, 200)
      assert.deepInclude((yield* ask(path, "ada")).body, { capability: "archive:read" })
      assert.deepInclude((yield* ask(path, "stranger")).body, { capability: "connect:ada" })
      assert.strictEqual((yield* ask(path, undefined)).status, 401)
    }),
  )

  scenario("shows the messages of rooms whose history one may have", (url) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask(`${url}/v1/rooms/r1/messages`, "reader")).status, 200)
      assert.deepInclude((yield* ask(`${url}/v1/rooms/r1/messages`, "stranger")).body, {
        capability: "room:history:r1",
      })
      assert.strictEqual((yield* ask(`${url}/v1/open/messages`, "open")).status, 200)
      assert.deepInclude((yield* ask(`${url}/v1/open/messages`, "reader")).body, {
        capability: `room:history:${openRoom}`,
      })
    }),
  )
})

describe("a cookie", () => {
  const cookie = "nimbus_session=reader"
  const page = "https://app.example"
  const path = "/v1/clients/ada/results"

  scenario(
    "counts for programs, pages of this origin and of those that are named",
    (url) =>
      Effect.gen(function* () {
        for (const origin of [undefined, url, page]) {
          const headers = origin === undefined ? { cookie } : { cookie, origin }
          assert.strictEqual((yield* ask(`${url}${path}`, undefined, { headers })).status, 200, String(origin))
        }
      }),
    { origins: [page] },
  )

  scenario(
    "counts for nothing where all origins may ask, neither with Origin nor without",
    (url) =>
      Effect.gen(function* () {
        for (const more of [{ origin: page }, { origin: "null" }, { "sec-fetch-site": "cross-site" }]) {
          const headers: Record<string, string> = { cookie, ...more }
          assert.strictEqual((yield* ask(`${url}${path}`, undefined, { headers })).status, 401, JSON.stringify(more))
        }
        const ticket = { method: "POST", headers: { cookie, origin: page } }
        assert.strictEqual((yield* ask(`${url}/v1/tickets`, undefined, ticket)).status, 401)
      }),
    { origins: ["*"] },
  )

  scenario(
    "of a page that is not named opens no WebSocket",
    (url) =>
      Effect.gen(function* () {
        const status = yield* Effect.callback<number | undefined>((resume) => {
          const ws = new WebSocket(`${url.replace("http", "ws")}/v1/stream`, ["nimbus.v1"], {
            headers: { cookie, origin: "https://evil.example" },
          })
          ws.on("error", () => {})
          ws.on("unexpected-response", (_, response) => resume(Effect.succeed(response.statusCode)))
          ws.on("open", () => resume(Effect.succeed(101)))
        })
        assert.strictEqual(status, 403)
      }),
    { origins: [page] },
  )
})

describe("a ticket", () => {
  scenario("is had for a token, and not for another ticket", (url) =>
    Effect.gen(function* () {
      const { body, status } = yield* ask(`${url}/v1/tickets`, "reader", { method: "POST" })
      assert.strictEqual(status, 200)
      const { ticket } = Object(body)
      assert.isString(ticket)
      const another = yield* ask(`${url}/v1/tickets?ticket=${ticket}`, undefined, { method: "POST" })
      assert.deepInclude(another, { status: 401 })
      assert.deepInclude(another.body, { code: "TOKEN_MISSING" })
      assert.strictEqual((yield* ask(`${url}/v1/clients/ada/results?ticket=${ticket}`, undefined)).status, 401, "used")
    }),
  )

  scenario(
    "of one subject there are so many a minute, and of others as many still",
    (url) =>
      Effect.gen(function* () {
        const issue = (token: string) => ask(`${url}/v1/tickets`, token, { method: "POST" })
        const first = yield* issue("reader")
        assert.strictEqual((yield* issue("reader")).status, 200)
        const { body, headers, status } = yield* issue("reader")
        assert.strictEqual(status, 429)
        assert.deepInclude(body, { code: "SUBJECT_TICKETS" })
        assert.strictEqual(headers.get("retry-after"), "30")
        assert.strictEqual((yield* issue("stranger")).status, 200)
        const path = `${url}/v1/clients/ada/results?ticket=${Object(first.body).ticket}`
        assert.strictEqual((yield* ask(path, undefined)).status, 200, "what was issued counts")
      }),
    { limits: { close_ms: 200, subject: { ...subjectLimits, tickets_per_minute: 2 } } },
  )

  scenario("stands for its token at the routes too, once", (url) =>
    Effect.gen(function* () {
      const { body } = yield* ask(`${url}/v1/tickets`, "reader", { method: "POST" })
      const path = `${url}/v1/clients/ada/results?ticket=${Object(body).ticket}`
      assert.strictEqual((yield* ask(path, undefined)).status, 200)
      assert.strictEqual((yield* ask(path, undefined)).status, 401)
    }),
  )
})
