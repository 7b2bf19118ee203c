/** Tokens of a real issuer on this machine, and what becomes of each kind of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { audience, keyOf, make as issuerOf, now_s, signBySecret, signWith, type SignOptions } from "./testing/Issuer.ts"
import { discovered, invalid, locks, outcome, outcomeOf } from "./testing/Tokens.ts"

const algorithms = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split(" ")

describe("a token", () => {
  it.live("is of the subject that it names, with its time and its claims", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovered(issuer)])
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
      const tokens = yield* locks([discovered(issuer)])
      assert.strictEqual(yield* outcome(tokens, yield* Effect.promise(() => issuer.sign())), "alice")
      // Where the set does not say what its key is for, the kind of key does.
      const { alg: _, ...jwk } = issuer.keys[0]!.jwk
      issuer.keys[0] = { ...issuer.keys[0]!, jwk }
      const others = yield* locks([discovered(issuer)])
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
      const tokens = yield* locks([discovered(issuer)])
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
      const tokens = yield* locks([discovered(issuer)])
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

const hour_s = 3_600

/** Claims that make a token count for nothing, and what is told of them. */
const claims: ReadonlyArray<{
  readonly what: string
  readonly claims?: Readonly<Record<string, unknown>>
  readonly options?: SignOptions
  readonly says: string
}> = [
  { what: "of another issuer", claims: { iss: "https://other.example" }, says: invalid("its issuer is not known") },
  { what: "without an issuer", options: { without: ["iss"] }, says: invalid("it is no signed JWT") },
  { what: "for another audience", claims: { aud: "other" }, says: invalid("it is for another audience") },
  { what: "for several others", claims: { aud: ["a", "b"] }, says: invalid("it is for another audience") },
  { what: "without an audience", options: { without: ["aud"] }, says: invalid("it has no aud") },
  { what: "without an end", options: { without: ["exp"] }, says: invalid("it has no exp") },
  { what: "whose end is a text", claims: { exp: "soon" }, says: invalid("its exp is wrong") },
  { what: "that has ended", claims: { exp: now_s() - 120 }, says: "TOKEN_EXPIRED: the token has ended" },
  { what: "that is of later", claims: { nbf: now_s() + hour_s }, says: invalid("its time has not come") },
  { what: "without a subject", options: { without: ["sub"] }, says: invalid("its claim sub is no text") },
  { what: "whose subject is a number", claims: { sub: 7 }, says: invalid("its claim sub is no text") },
  { what: "whose subject is empty", claims: { sub: "" }, says: invalid("the subject is empty") },
  { what: "of a logout", options: { header: { typ: "logout+jwt" } }, says: invalid("it is for another purpose") },
  {
    what: "with a capability that is none",
    claims: { nimbus: ["read", "sned:*"] },
    says: invalid("there is no capability sned:*"),
  },
  {
    what: "whose capabilities are no list",
    claims: { nimbus: { read: true } },
    says: invalid("its claim nimbus is no list of capabilities"),
  },
  {
    what: "with too long claims",
    claims: { email: "x".repeat(5_000) },
    says: invalid("the claims that handlers get are longer than 4096 bytes"),
  },
  {
    what: "whose claims are nested deeply",
    claims: { email: Array.from({ length: 2_000 }).reduce((inner) => [inner], 1) },
    says: invalid("its claims are nested more than 128 levels deep"),
  },
  {
    what: "with an extension that must be understood",
    options: { header: { crit: ["x"], x: 1 } },
    says: invalid("it is no signed JWT"),
  },
]

describe("a token that its issuer has signed", () => {
  it.live.each(claims)("$what counts for nothing", ({ claims, options, says }) =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovered(issuer)])
      const token = signWith(issuer.keys[0]!, issuer.url, { ...claims }, options)
      assert.strictEqual(yield* outcomeOf(tokens, token), says)
    }),
  )

  it.live("counts where clocks are off by a minute, and where one of its audiences is ours", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovered(issuer)], { audience: ["nimbus", "other"] })
      for (const claims of [
        { exp: now_s() - 50, iat: now_s() + 50, nbf: now_s() + 50 },
        { aud: ["x", "other"] },
        { aud: "nimbus" },
      ])
        assert.strictEqual(yield* outcomeOf(tokens, issuer.sign(claims)), "alice")
      for (const typ of ["JWT", "jwt", "at+jwt", "application/at+jwt", undefined])
        assert.strictEqual(yield* outcomeOf(tokens, issuer.sign({}, { header: { typ } })), "alice")
    }),
  )

  it.live("names its client by another claim, where the settings say so", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovered(issuer)], { clientClaim: "ext.device" })
      assert.strictEqual(yield* outcomeOf(tokens, issuer.sign({ ext: { device: "d-7" } })), "d-7")
      assert.strictEqual(yield* outcomeOf(tokens, issuer.sign()), invalid("its claim ext.device is no text"))
    }),
  )

  it.live("of another issuer's subject is another client, even with the same name and the same kid", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* issuerOf(), yield* issuerOf()]
      one.keys[0] = yield* Effect.promise(() => keyOf("ES256", "k1"))
      two.keys[0] = yield* Effect.promise(() => keyOf("ES256", "k1"))
      const tokens = yield* locks([discovered(one), discovered(two, "partners")])
      assert.strictEqual(yield* outcomeOf(tokens, one.sign()), "alice")
      assert.strictEqual(yield* outcomeOf(tokens, two.sign()), "at.partners.alice")
      for (const [issuer, other] of [
        [one, two],
        [two, one],
      ] as const) {
        const forged = signWith(other.keys[0]!, issuer.url, {})
        assert.strictEqual(yield* outcomeOf(tokens, forged), invalid("its signature is wrong"))
      }
    }),
  )

  it.live("may do what its claim says, as a list or as a text, and otherwise what is usual", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const rules = { rules: [{ match: { groups: "staff" }, capabilities: ["broadcast"] }] }
      const tokens = yield* locks([discovered(issuer)], { rules })
      const grantsOf = (claims: Readonly<Record<string, unknown>>) =>
        Effect.flatMap(
          Effect.promise(() => issuer.sign({ ...claims })),
          (token) => Effect.map(tokens.authenticate(token), ({ grants }) => grants),
        )
      for (const nimbus of [["connect:{sub}/*", "read"], "connect:{sub}/* read"]) {
        const grants = yield* grantsOf({ nimbus })
        assert.isTrue(grants.may("read") && grants.mayOf("connect", "alice::phone"))
        assert.isFalse(grants.may("ack") || grants.mayOf("send", "x") || grants.may("broadcast"))
      }
      const staff = yield* grantsOf({ groups: ["staff", "x"] })
      assert.isTrue(staff.may("broadcast") && staff.may("ack") && staff.mayOf("send", "x"))
      const nothing = yield* grantsOf({ nimbus: [] })
      assert.isFalse(nothing.may("read") || nothing.mayOf("connect", "alice"))
    }),
  )

  it.live("is nobody's that others can read: no message has anything of it", () =>
    Effect.gen(function* () {
      const issuer = yield* issuerOf()
      const tokens = yield* locks([discovered(issuer)])
      for (const { claims: said, options } of claims) {
        const token = yield* Effect.promise(() => signWith(issuer.keys[0]!, issuer.url, { ...said }, options))
        const told = yield* outcome(tokens, token)
        for (const part of token.split(".")) assert.notInclude(told, part)
      }
    }),
  )
})
