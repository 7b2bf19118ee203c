/** Tokens of a real issuer on this machine, and what becomes of each kind of them. */
import { assert, describe, it } from "@effect/vitest"
import type { AuthUnavailable, Unauthenticated } from "@nimbus/domain/errors"
import { Effect, Redacted, Result } from "effect"
import { noRules } from "../AccessRules.ts"
import { type TokenLimits, tokenLimits } from "../Limits.ts"
import type { IssuerSettings } from "./Settings.ts"
import { audience, type Issuer, keyOf, make as issuerOf, now_s, signBySecret, signWith } from "./testing/Issuer.ts"
import * as TokenAuthenticator from "./TokenAuthenticator.ts"

const locks = (issuers: ReadonlyArray<IssuerSettings>, limits: Partial<TokenLimits> = {}, clientClaim = "sub") =>
  TokenAuthenticator.make(
    { issuers, audience: [audience], clientClaim, isInsecure: false },
    {
      identity: { claims: ["email", "realm_access.roles"], rules: () => noRules, limits: tokenLimits },
      limits: { ...tokenLimits, ...limits },
    },
  )

const discovery = ({ url }: Issuer): IssuerSettings => ({ issuer: url, name: undefined, keys: { _tag: "Discovery" } })

const refusal = (error: Unauthenticated | AuthUnavailable): string => `${error.code}: ${error.message}`

/** Who it is, or why it is nobody. */
const outcome = (tokens: TokenAuthenticator.TokenAuthenticator, token: string) =>
  Effect.map(Effect.result(tokens.authenticate(token)), (result) =>
    Result.isSuccess(result) ? result.success.clientId : refusal(result.failure),
  )

const invalid = (why: string): string => `TOKEN_INVALID: the token is not valid here: ${why}`

const algorithms = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split(" ")

describe("a token", () => {
  it.live("is of the subject that it names, with its time and its claims", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovery(issuer)])
      const exp = now_s() + 600
      const claims = { sub: "auth0|123", exp, jti: "t1", iat: exp - 700, email: "a@example.com", other: 1 }
      const token = yield* Effect.promise(() => issuer.sign({ ...claims, realm_access: { roles: ["a"] } }))
      const principal = yield* tokens.authenticate(token)
      const { grants, keyId, ...rest } = principal
      assert.deepStrictEqual(rest, {
        issuer: issuer.url,
        subject: "auth0|123",
        clientId: rest.clientId,
        claims: { email: "a@example.com", "realm_access.roles": ["a"] },
        expires_s: exp,
        issued_s: exp - 700,
        tokenId: "t1",
      })
      assert.strictEqual(String(rest.clientId), "sub.auth0:7C123")
      assert.isTrue(grants.mayOf("connect", "sub.auth0:7C123") && grants.mayOf("send", "x") && grants.may("ack"))
      assert.isFalse(grants.mayOf("connect", "alice") || grants.may("cancel") || grants.may("broadcast"))
      assert.isTrue(tokens.isKnown(principal))
      assert.isString(keyId)
    }),
  )

  it.live.each(algorithms)("counts by %s", (alg) =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf(alg)
      const tokens = yield* locks([discovery(issuer)])
      assert.strictEqual(yield* outcome(tokens, yield* Effect.promise(() => issuer.sign())), "alice")
      // Where the set does not say what its key is for, the kind of key does.
      const { alg: _, ...jwk } = issuer.keys[0]!.jwk
      issuer.keys[0] = { ...issuer.keys[0]!, jwk }
      const others = yield* locks([discovery(issuer)])
      assert.strictEqual(yield* outcome(others, yield* Effect.promise(() => issuer.sign())), "alice")
    }),
  )

  it.live.each(["HS256", "HS384", "HS512"])("counts by %s where the issuer has a secret, and there alone", (alg) =>
    Effect.gen(function* () {
      const secret = "a secret of the tests, 32 bytes long"
      const keys = { _tag: "Secret", secret: Redacted.make(secret) } as const
      const tokens = yield* locks([{ issuer: "https://login.example", name: undefined, keys }])
      const sign = (by: string) =>
        Effect.promise(() => signBySecret(by, "https://login.example", {}, { alg, header: { kid: "any" } }))
      assert.strictEqual(yield* outcome(tokens, yield* sign(secret)), "alice")
      assert.strictEqual(yield* outcome(tokens, yield* sign(`${secret}!`)), invalid("its signature is wrong"))
      const key = yield* Effect.promise(() => keyOf("RS256"))
      const foreign = yield* Effect.promise(() => signWith(key, "https://login.example", {}))
      assert.strictEqual(yield* outcome(tokens, foreign), invalid("its signature is of a kind that does not count"))
    }),
  )

  it.live("that is signed by a public key as if it were a secret counts for nothing, and causes no question", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf("RS256")
      const tokens = yield* locks([discovery(issuer)])
      yield* outcome(tokens, yield* Effect.promise(() => issuer.sign()))
      const asked = issuer.fetches()
      const { jwk, kid, pem } = issuer.keys[0]!
      for (const secret of [pem, pem.trim(), JSON.stringify(jwk), String(jwk.n)])
        for (const alg of ["HS256", "HS384", "HS512"]) {
          const token = yield* Effect.promise(() => signBySecret(secret, issuer.url, {}, { alg, header: { kid } }))
          assert.strictEqual(yield* outcome(tokens, token), invalid("its signature is of a kind that does not count"))
        }
      assert.strictEqual(issuer.fetches(), asked)
    }),
  )

  it.live("without a signature counts for nothing, however it spells that", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovery(issuer)])
      const token = yield* Effect.promise(() => issuer.sign())
      const [, payload = "", signature = ""] = token.split(".")
      const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
      for (const alg of ["none", "None", "NONE", "nOnE", ""])
        for (const end of ["", signature]) {
          const said = yield* outcome(tokens, `${part({ alg, typ: "JWT" })}.${payload}.${end}`)
          assert.strictEqual(said, invalid("its signature is of a kind that does not count"))
        }
      for (const text of ["", ".", "..", "a.b.c", `${payload}.${payload}.x`, "x".repeat(20_000), `${token}.a.b`])
        assert.match(yield* outcome(tokens, text), /^TOKEN_INVALID: /)
      const swapped = `${token.split(".")[0]}.${part({ iss: issuer.url, aud: audience, sub: "eve", exp: now_s() + 60 })}.${signature}`
      assert.strictEqual(yield* outcome(tokens, swapped), invalid("its signature is wrong"))
    }),
  )
})
