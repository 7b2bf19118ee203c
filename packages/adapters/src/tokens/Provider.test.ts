/** Tokens of a real OpenID provider: discovery, rotation, a provider that is away, and a key that it removes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { tokenLimits } from "../Limits.ts"
import { make as providerOf, type Provider } from "./testing/Provider.ts"
import { invalid, locks, outcomeOf } from "./testing/Tokens.ts"

/** An answer takes real time, during which the clock of a test may have jumped by minutes. */
const limits = { fetch_timeout_ms: 7 * 86_400_000 }

const locksOn = ({ url }: Provider, audience = "nimbus") =>
  locks([{ issuer: url, name: undefined, keys: { _tag: "Discovery" } }], { limits, audience: [audience] })

describe("a real OpenID provider", () => {
  it.live.each(["RS256", "PS256", "ES256", "EdDSA"])(
    "is found by its address alone, and its tokens by %s count",
    (alg) =>
      Effect.gen(function* () {
        const claims = (subject: string) => (subject === "device-1" ? { nimbus: ["connect:{sub}", "read"] } : {})
        const provider = yield* providerOf(["device-1", "device-2"], { alg, claims })
        const tokens = yield* locksOn(provider)
        const principal = yield* tokens.authenticate(yield* Effect.promise(() => provider.token("device-1")))
        assert.deepInclude(principal, { issuer: provider.url, subject: "device-1" })
        assert.isTrue(principal.grants.may("read"))
        assert.isFalse(principal.grants.may("ack"))
        assert.isString(principal.tokenId)
        const other = yield* tokens.authenticate(yield* Effect.promise(() => provider.token("device-2")))
        assert.isTrue(other.grants.may("ack") && other.grants.mayOf("send", "x"))
        const elsewhere = yield* locksOn(provider, "elsewhere")
        assert.strictEqual(
          yield* outcomeOf(elsewhere, provider.token("device-1")),
          invalid("it is for another audience"),
        )
      }),
  )

  it.effect("rotates without an outage, may be away, and ends the sessions of the key that it removes", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      const provider = yield* providerOf(["device-1"])
      const tokens = yield* locksOn(provider)
      const old = yield* Effect.promise(() => provider.token("device-1"))
      const session = yield* tokens.authenticate(old)

      yield* TestClock.adjust(tokenLimits.unknown_key_pause_ms)
      yield* Effect.promise(() => provider.rotate("ES256"))
      const next = yield* Effect.promise(() => provider.token("device-1"))
      for (const token of [next, old]) assert.strictEqual(yield* outcomeOf(tokens, Promise.resolve(token)), "device-1")

      provider.isThere = false
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* outcomeOf(tokens, Promise.resolve(next)), "device-1")
      assert.isTrue(tokens.isKnown(session))

      provider.isThere = true
      provider.removeOld()
      // An answer takes real time, and the wait for the next one begins after it.
      while (tokens.isKnown(session)) {
        yield* TestClock.adjust("30 seconds")
        yield* TestClock.withLive(Effect.sleep("1 millis"))
      }
      assert.strictEqual(yield* outcomeOf(tokens, Promise.resolve(next)), "device-1")
      assert.match(yield* outcomeOf(tokens, Promise.resolve(old)), /^(TOKEN_INVALID|AUTH_UNAVAILABLE): /)
    }),
  )
})
