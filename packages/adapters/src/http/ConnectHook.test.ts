/** A hook that decides who connects: what it is sent, and what becomes of each kind of answer. */
import type { ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { defaults, Grants, type Principal } from "@nimbus/domain/access"
import { outageLimits } from "@nimbus/domain/limits"
import { ClientId } from "@nimbus/domain/protocol"
import { FailureLog, makeFailureLog } from "@nimbus/domain/services"
import { Effect, Logger, Result, Schema } from "effect"
import { Webhook } from "standardwebhooks"
import { noRules } from "../AccessRules.ts"
import { type ConnectHookLimits, connectHookLimits, tokenLimits } from "../Limits.ts"
import * as ConnectHook from "./ConnectHook.ts"
import { type Answers, json, secret, serviceOf } from "./testing/Service.ts"

const identity = { claims: [], rules: () => noRules, limits: tokenLimits }

const hookOf = Effect.fnUntraced(function* (answers: Answers, limits: Partial<ConnectHookLimits> = {}) {
  const { requests, url } = yield* serviceOf(answers)
  const patient = { ...connectHookLimits, call_timeout_ms: 30_000, ...limits }
  return { requests, hook: yield* ConnectHook.make({ url, secret }, identity, patient) }
})

const now_s = (): number => Math.floor(Date.now() / 1000)

const alice: Principal = {
  issuer: "https://login.example",
  subject: "alice",
  clientId: ClientId.make("alice"),
  grants: Result.getOrThrow(Grants.parse(defaults, ClientId.make("alice"))),
  claims: { email: "a@example.com" },
  expires_s: now_s() + 600,
  issued_s: undefined,
  tokenId: "t1",
  keyId: "k1",
}

const attempt = { wants: ClientId.make("alice::phone"), address: "192.0.2.1", transport: "grpc" }

const Sent = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json))

describe("a hook instead of tokens", () => {
  it.live("is sent what the client shows, signed, and says who that is and what it may do", () =>
    Effect.gen(function* () {
      const expires = now_s() + 60
      const verdict = { subject: "auth0|1", capabilities: ["read"], claims: { plan: "pro" }, expires }
      const { hook, requests } = yield* hookOf(json(verdict))
      const { grants, ...principal } = yield* hook.identify("opaque-1")
      assert.deepStrictEqual(principal, {
        issuer: "hook",
        subject: "auth0|1",
        clientId: ClientId.make("sub.auth0:7C1"),
        claims: { plan: "pro" },
        expires_s: expires,
        issued_s: undefined,
        tokenId: undefined,
        keyId: undefined,
      })
      assert.isTrue(grants.may("read"))
      assert.isFalse(grants.may("ack") || grants.mayOf("connect", "sub.auth0:7C1"))
      const { body, headers } = requests[0]!
      assert.deepStrictEqual(new Webhook(secret).verify(body, headers), { type: "connect", token: "opaque-1" })
      assert.match(headers["webhook-id"] ?? "", /^connect\/[0-9a-f-]{36}$/)
      assert.notProperty(headers, "idempotency-key")
    }),
  )

  it.live("is told besides as which client somebody wants to connect, from where, and how, as far as it is known", () =>
    Effect.gen(function* () {
      const { hook, requests } = yield* hookOf(json({ subject: "alice" }))
      yield* hook.identify("opaque-1", attempt)
      yield* hook.identify("opaque-1", { wants: undefined, address: undefined, transport: "grpc" })
      const sent = requests.map(({ body }) => Schema.decodeUnknownSync(Sent)(body))
      assert.deepStrictEqual(sent, [
        { type: "connect", token: "opaque-1", ...attempt },
        { type: "connect", token: "opaque-1", transport: "grpc" },
      ])
    }),
  )

  it.live("may say nothing but who it is: then the usual holds, for an hour", () =>
    Effect.gen(function* () {
      const { hook } = yield* hookOf(json({ subject: "alice" }))
      const { expires_s, grants } = yield* hook.identify("opaque-1")
      assert.approximately(expires_s ?? 0, now_s() + 3_600, 60)
      assert.isTrue(grants.mayOf("connect", "alice") && grants.may("ack"))
    }),
  )
})

describe("a hook after tokens", () => {
  it.live("is told who it is, and may say something else of it", () =>
    Effect.gen(function* () {
      const expires = now_s() + 30
      const { hook, requests } = yield* hookOf(
        json({ capabilities: ["connect:{sub}"], claims: { plan: "x" }, expires }),
      )
      const { grants, ...principal } = yield* hook.confirm(alice, attempt)
      const { grants: _, ...before } = alice
      assert.deepStrictEqual(principal, {
        ...before,
        claims: { email: "a@example.com", plan: "x" },
        expires_s: expires,
      })
      assert.isTrue(grants.mayOf("connect", "alice"))
      assert.isFalse(grants.may("read"))
      const { issuer, subject } = alice
      const sent = { type: "connect", issuer, subject, client: "alice", claims: alice.claims, ...attempt }
      assert.deepStrictEqual(Schema.decodeUnknownSync(Sent)(requests[0]!.body), sent)
    }),
  )

  it.live("that says nothing more lets in as the token says, and ends nothing later than the token", () =>
    Effect.gen(function* () {
      const { hook } = yield* hookOf((response, n) => json(n === 1 ? {} : { expires: now_s() + 7_200 })(response))
      assert.deepStrictEqual(yield* hook.confirm(alice), alice)
      assert.strictEqual((yield* hook.confirm(alice)).expires_s, alice.expires_s)
    }),
  )
})

const refusing: ReadonlyArray<{ readonly what: string; readonly answers: Answers; readonly says: string }> = [
  { what: "refuses and says why", answers: json({ message: "banned" }, 403), says: "TOKEN_INVALID: banned" },
  {
    what: "refuses",
    answers: (response: ServerResponse) => response.writeHead(401).end(),
    says: "TOKEN_INVALID: the connect hook refuses it",
  },
  {
    what: "says that it ended",
    answers: json({ subject: "alice", expires: 1 }),
    says: "TOKEN_EXPIRED: the token has ended",
  },
]
const unavailable = "AUTH_UNAVAILABLE: who connects can't be asked for now"
const failing: ReadonlyArray<{ readonly what: string; readonly answers: Answers }> = [
  { what: "fails", answers: json({}, 500) },
  { what: "has too much to do", answers: json({}, 429) },
  { what: "redirects", answers: (response: ServerResponse) => response.writeHead(307, { location: "/" }).end() },
  { what: "answers garbage", answers: (response: ServerResponse) => response.end("<html>") },
  { what: "answers nothing", answers: (response: ServerResponse) => response.writeHead(204).end() },
  { what: "answers something else", answers: json({ subject: 7 }) },
  { what: "answers too much", answers: json({ subject: "alice", x: "x".repeat(70_000) }) },
  { what: "names a capability that there is not", answers: json({ subject: "alice", capabilities: ["sned:*"] }) },
  {
    what: "names too many capabilities",
    answers: json({ subject: "alice", capabilities: Array.from({ length: 1_025 }, (_, i) => `send:${i}`) }),
  },
  { what: "has too long claims", answers: json({ subject: "alice", claims: { x: "x".repeat(5_000) } }) },
  { what: "breaks off", answers: (response: ServerResponse) => response.destroy() },
]

const outcome = <A>(login: Effect.Effect<A, { readonly code: string; readonly message: string }>) =>
  Effect.map(Effect.flip(login), ({ code, message }) => `${code}: ${message}`)

describe("a hook", () => {
  it.live.each(refusing)("that $what lets nobody in, and the client is told", ({ answers, says }) =>
    Effect.gen(function* () {
      const { hook } = yield* hookOf(answers)
      assert.strictEqual(yield* outcome(hook.identify("opaque-1")), says)
      assert.strictEqual(yield* outcome(hook.confirm(alice)), says)
    }),
  )

  it.live.each(failing)(
    "that $what lets nobody in, is called once, and what was wrong is logged alone",
    ({ answers }) =>
      Effect.gen(function* () {
        const lines: Array<string> = []
        const logger = Logger.make(({ message }) => void lines.push(String(message)))
        const { hook, requests } = yield* hookOf(answers)
        const told = yield* outcome(hook.identify("opaque-1")).pipe(
          Effect.provide(Logger.layer([logger])),
          Effect.provideService(FailureLog, makeFailureLog(outageLimits)),
        )
        assert.strictEqual(told, unavailable)
        assert.lengthOf(requests, 1)
        assert.match(lines.join("\n"), /^the connect hook fails: /)
        assert.notInclude(lines.join("\n"), "opaque-1")
        assert.strictEqual(yield* outcome(hook.confirm(alice)), unavailable)
      }),
  )

  it.live("that names no subject, or another one than the token, lets nobody in", () =>
    Effect.gen(function* () {
      const { hook } = yield* hookOf((response, n) => json(n === 1 ? {} : { subject: "bob" })(response))
      assert.strictEqual(yield* outcome(hook.identify("opaque-1")), unavailable)
      assert.strictEqual(yield* outcome(hook.confirm(alice)), unavailable)
    }),
  )

  it.live("that does not answer in time lets nobody in, neither those who wait for others", () =>
    Effect.gen(function* () {
      const { hook, requests } = yield* hookOf(() => {}, { call_timeout_ms: 300, calls_at_once: 2 })
      const all = yield* Effect.forEach([1, 2, 3, 4], () => outcome(hook.identify("opaque-1")), { concurrency: 4 })
      assert.deepStrictEqual(new Set(all), new Set([unavailable]))
      assert.isAtMost(requests.length, 2)
    }),
  )
})
