/** The keys of an issuer over time: rotation, an issuer that is away, keys that nobody knows, and keys that are removed. */
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { noRules, type RuleFile } from "../AccessRules.ts"
import { tokenLimits } from "../Limits.ts"
import * as TokenAuthenticator from "./TokenAuthenticator.ts"
import { audience, type Issuer, keyOf, make as issuerOf, now_s, signWith } from "./testing/Issuer.ts"
import { discovered, invalid, locks, outcomeOf } from "./testing/Tokens.ts"

const { keys_refresh_ms, keys_stale_ms, unknown_key_pause_ms } = tokenLimits
const unavailable = "AUTH_UNAVAILABLE: the keys of the issuer can't be asked for now"
const absent = invalid("its issuer has no such key")

/** Tokens that last as long as a test moves the clock. */
const token = (issuer: Issuer, key = issuer.keys.at(-1)!) => signWith(key, issuer.url, { exp: now_s() + 86_400 })

/** An answer takes real time, during which the clock of a test may have jumped by minutes. */
const limits = { fetch_timeout_ms: 7 * 86_400_000 }

/** An issuer whose keys are known, and the locks on it. The clock is the test's. */
const known = Effect.gen(function* () {
  yield* TestClock.setTime(Date.now())
  const issuer = yield* issuerOf()
  const tokens = yield* locks([discovered(issuer)], { limits })
  assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
  return { issuer, tokens }
})

/** What answers come from the network take real time. */
const isAsked = (issuer: Issuer, times: number) =>
  TestClock.withLive(
    eventually(
      `it was asked ${times} times`,
      Effect.sync(() => issuer.fetches() >= times),
    ),
  )

describe("the keys of an issuer", () => {
  it.effect("are asked for once, and then serve without a question", () =>
    Effect.gen(function* () {
      const { issuer, tokens } = yield* known
      for (let i = 0; i < 20; i++) assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
      assert.strictEqual(issuer.fetches(), 1)
    }),
  )

  it.effect("that many need at once are asked for once", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovered(issuer)], { limits })
      const all = yield* Effect.forEach(Array.from({ length: 50 }), () => outcomeOf(tokens, token(issuer)), {
        concurrency: "unbounded",
      })
      assert.deepStrictEqual(new Set(all), new Set(["alice"]))
      assert.strictEqual(issuer.fetches(), 1)
    }),
  )

  it.live("are asked for although those who asked first have given up", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovered(issuer)], { limits: { ...limits, unknown_key_pause_ms: 0 } })
      for (let round = 0; round < 50; round++) {
        const asking = yield* Effect.forkChild(outcomeOf(tokens, token(issuer)))
        for (let turns = round % 5; turns > 0; turns--) yield* Effect.yieldNow
        yield* Fiber.interrupt(asking)
        yield* Effect.promise(() => issuer.rotate())
      }
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
    }),
  )

  it.effect("rotate without an outage: the first token of a new one asks for it", () =>
    Effect.gen(function* () {
      const { issuer, tokens } = yield* known
      const [old] = issuer.keys
      yield* TestClock.adjust(unknown_key_pause_ms)
      yield* Effect.promise(() => issuer.rotate())
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer, old)), "alice")
      assert.strictEqual(issuer.fetches(), 2)
    }),
  )

  it.effect("that nobody knows cause one question in a while, however many come", () =>
    Effect.gen(function* () {
      const { issuer, tokens } = yield* known
      yield* TestClock.adjust(unknown_key_pause_ms)
      const foreign = yield* Effect.promise(() => Promise.all(Array.from({ length: 20 }, () => keyOf())))
      const first = signWith(foreign[0]!, issuer.url, {})
      assert.strictEqual(yield* outcomeOf(tokens, first), absent)
      for (const key of foreign.slice(1))
        assert.strictEqual(yield* outcomeOf(tokens, signWith(key, issuer.url, {})), unavailable)
      // What was just seen to be absent is known to be.
      assert.strictEqual(yield* outcomeOf(tokens, first), absent)
      assert.strictEqual(issuer.fetches(), 2)
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
      yield* TestClock.adjust(unknown_key_pause_ms)
      assert.strictEqual(yield* outcomeOf(tokens, signWith(foreign[1]!, issuer.url, {})), absent)
      assert.strictEqual(issuer.fetches(), 3)
    }),
  )

  it.effect("serve for an hour while the issuer is away, then nobody is let in until it is back; sessions go on", () =>
    Effect.gen(function* () {
      const { issuer, tokens } = yield* known
      const principal = yield* tokens.authenticate(yield* Effect.promise(() => token(issuer)))
      issuer.fault = "away"
      yield* TestClock.adjust(keys_stale_ms - 1_000)
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
      yield* TestClock.adjust(2_000)
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), unavailable)
      assert.isTrue(tokens.isKnown(principal))
      issuer.fault = undefined
      yield* TestClock.adjust(unknown_key_pause_ms)
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
    }),
  )

  it.effect("that are removed end their sessions, and their tokens count no more", () =>
    Effect.gen(function* () {
      const { issuer, tokens } = yield* known
      const [old] = issuer.keys
      const session = yield* tokens.authenticate(yield* Effect.promise(() => token(issuer)))
      yield* Effect.promise(() => issuer.rotate())
      issuer.keys.shift()
      assert.isTrue(tokens.isKnown(session))
      yield* TestClock.adjust(keys_refresh_ms)
      yield* isAsked(issuer, 2)
      yield* TestClock.withLive(
        eventually(
          "the session has ended",
          Effect.sync(() => !tokens.isKnown(session)),
        ),
      )
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
      yield* TestClock.adjust(unknown_key_pause_ms)
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer, old)), absent)
    }),
  )

  it.effect("that were replaced under the same kid end their sessions too", () =>
    Effect.gen(function* () {
      const { issuer, tokens } = yield* known
      const session = yield* tokens.authenticate(yield* Effect.promise(() => token(issuer)))
      issuer.keys[0] = yield* Effect.promise(() => keyOf("ES256", issuer.keys[0]!.kid))
      yield* TestClock.adjust(keys_refresh_ms)
      yield* TestClock.withLive(
        eventually(
          "the session has ended",
          Effect.sync(() => !tokens.isKnown(session)),
        ),
      )
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
    }),
  )

  it.effect("without a kid are found by trying, and a new one is asked for", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      const issuer = yield* issuerOf()
      const nameless = async () => {
        const key = await keyOf()
        const { kid: _, ...jwk } = key.jwk
        return { ...key, jwk }
      }
      issuer.keys.splice(0, 1, yield* Effect.promise(nameless), yield* Effect.promise(nameless))
      const tokens = yield* locks([discovered(issuer)], { limits })
      const by = (key = issuer.keys.at(-1)!) =>
        outcomeOf(tokens, signWith(key, issuer.url, { exp: now_s() + 86_400 }, { header: { kid: undefined } }))
      for (const key of issuer.keys) assert.strictEqual(yield* by(key), "alice")
      yield* TestClock.adjust(unknown_key_pause_ms)
      issuer.keys.push(yield* Effect.promise(nameless))
      assert.strictEqual(yield* by(), "alice")
      assert.strictEqual(yield* by(yield* Effect.promise(nameless)), invalid("its signature is wrong"))
    }),
  )

  it.effect.each([
    { what: "no keys", body: { keys: [] } },
    { what: "secrets alone", body: { keys: [{ kty: "oct", k: "AAAA", alg: "HS256" }] } },
    { what: "keys for encryption alone", body: { keys: [{ kty: "RSA", use: "enc", n: "AQAB", e: "AQAB" }] } },
    { what: "something else", body: { hello: 1 } },
    { what: "too many", body: { keys: Array.from({ length: 65 }, () => ({ kty: "RSA" })) } },
  ])("stay as they were where the issuer answers with $what", ({ body }) =>
    Effect.gen(function* () {
      const { issuer, tokens } = yield* known
      const session = yield* tokens.authenticate(yield* Effect.promise(() => token(issuer)))
      const configuration = { issuer: issuer.url, jwks_uri: issuer.jwksUrl }
      issuer.fault = (response, url) => void response.end(JSON.stringify(url === "/jwks" ? body : configuration))
      yield* TestClock.adjust(keys_refresh_ms)
      yield* isAsked(issuer, 2)
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), "alice")
      assert.isTrue(tokens.isKnown(session))
    }),
  )

  it.effect.each([
    {
      what: "is of another issuer",
      document: (url: string) => ({ issuer: "https://other.example", jwks_uri: `${url}/jwks` }),
    },
    {
      what: "has its keys elsewhere by plain http",
      document: (url: string) => ({ issuer: url, jwks_uri: "http://192.0.2.1/jwks" }),
    },
    { what: "is none", document: () => "hello" },
  ])("are not taken where the configuration $what", ({ document }) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      const issuer = yield* issuerOf()
      issuer.fault = (response) => void response.end(JSON.stringify(document(issuer.url)))
      const tokens = yield* locks([discovered(issuer)], { limits })
      assert.strictEqual(yield* outcomeOf(tokens, token(issuer)), unavailable)
      assert.strictEqual(issuer.fetches(), 0)
    }),
  )
})

describe("a token that was found right", () => {
  const rules: { current: RuleFile } = { current: noRules }
  const remembering = Effect.gen(function* () {
    yield* TestClock.setTime(Date.now())
    rules.current = noRules
    const issuer = yield* issuerOf()
    const tokens = yield* TokenAuthenticator.make(
      { issuers: [discovered(issuer)], audience: [audience], clientClaim: "sub", isInsecure: false },
      {
        identity: { claims: [], rules: () => rules.current, limits: tokenLimits },
        limits: { ...tokenLimits, ...limits, seen_tokens: 2 },
      },
    )
    const text = yield* Effect.promise(() => token(issuer))
    return { issuer, tokens, text, principal: yield* tokens.authenticate(text) }
  })

  it.effect("is the same principal again, and one of many is forgotten", () =>
    Effect.gen(function* () {
      const { issuer, principal, text, tokens } = yield* remembering
      assert.strictEqual(yield* tokens.authenticate(text), principal)
      for (const sub of ["bob", "carol"])
        yield* tokens.authenticate(yield* Effect.promise(() => issuer.sign({ sub, exp: now_s() + 86_400 })))
      const again = yield* tokens.authenticate(text)
      assert.notStrictEqual(again, principal)
      assert.deepStrictEqual({ ...again, grants: 0 }, { ...principal, grants: 0 })
    }),
  )

  it.effect("ends all the same", () =>
    Effect.gen(function* () {
      const { text, tokens } = yield* remembering
      yield* TestClock.adjust("23 hours")
      yield* TestClock.adjust("62 minutes")
      assert.strictEqual((yield* Effect.flip(tokens.authenticate(text))).code, "TOKEN_EXPIRED")
    }),
  )

  it.effect("counts no more when its key is removed, and not while its issuer was away for too long", () =>
    Effect.gen(function* () {
      const { issuer, principal, text, tokens } = yield* remembering
      issuer.fault = "away"
      yield* TestClock.adjust(keys_stale_ms + 1_000)
      assert.strictEqual((yield* Effect.flip(tokens.authenticate(text))).code, "AUTH_UNAVAILABLE")
      issuer.fault = undefined
      yield* Effect.promise(() => issuer.rotate())
      issuer.keys.shift()
      // Answers take real time, and the wait for the next one begins after them.
      while (tokens.isKnown(principal)) {
        yield* TestClock.adjust("30 seconds")
        yield* TestClock.withLive(Effect.sleep("1 millis"))
      }
      assert.match((yield* Effect.flip(tokens.authenticate(text))).code, /^(TOKEN_INVALID|AUTH_UNAVAILABLE)$/)
    }),
  )

  it.effect("may do what the rules say now", () =>
    Effect.gen(function* () {
      const { principal, text, tokens } = yield* remembering
      assert.isFalse(principal.grants.may("broadcast"))
      rules.current = { rules: [{ capabilities: ["broadcast"] }] }
      assert.isTrue((yield* tokens.authenticate(text)).grants.may("broadcast"))
    }),
  )
})
