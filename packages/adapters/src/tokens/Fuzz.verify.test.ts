/** Tokens that are broken in any way: none of them lets in anybody else, and none does harm. */
import { assert, describe, it } from "@effect/vitest"
import { Dice } from "@nimbus/domain/testing/dice"
import { Effect, Exit } from "effect"
import { make as issuerOf, now_s } from "./testing/Issuer.ts"
import { discovered, locks, outcome } from "./testing/Tokens.ts"

const runs = 20_000
const alphabet = [
  ..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ %\u0000ü",
  "\ud800",
  "{}",
  "...",
]

/** A token with some of its characters replaced, left out, repeated or moved. */
const broken = (dice: Dice, token: string): string => {
  const characters = [...token]
  for (let changes = dice.upTo(4); changes > 0; changes--) {
    const at = dice.below(characters.length)
    const kind = dice.below(4)
    if (kind === 0) characters[at] = dice.oneOf(alphabet)
    else if (kind === 1) characters.splice(at, dice.upTo(8))
    else if (kind === 2) characters.splice(at, 0, dice.oneOf(alphabet))
    else characters.splice(at, 0, ...characters.slice(dice.below(characters.length), at))
    if (characters.length === 0) return ""
  }
  return characters.join("").slice(0, 20_000)
}

/** Values of header members and claims that nobody expects. */
const strange = [
  null,
  true,
  0,
  -1,
  1e308,
  "",
  "none",
  "HS256",
  "RS256",
  [],
  {},
  ["nimbus"],
  { a: [] },
  "\u0000",
  "x".repeat(300),
]
const members = ["alg", "kid", "typ", "crit", "jwk", "jku", "x5c", "b64", "enc", "cty"]
const claimNames = ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "nimbus", "email", "__proto__", "constructor"]

/** A text of three parts that says anything, signed by nobody. */
const forged = (dice: Dice, header: object, claims: object, signature: string): string => {
  const with_ = (base: object, names: ReadonlyArray<string>) => {
    const said: Record<string, unknown> = { ...base }
    for (let n = dice.below(4); n > 0; n--) said[dice.oneOf(names)] = dice.oneOf(strange)
    return Buffer.from(JSON.stringify(said)).toString("base64url")
  }
  return `${with_(header, members)}.${with_(claims, claimNames)}.${dice.oneIn(3) ? "" : signature}`
}

describe("a token that is broken", () => {
  it.live.each([1, 2, 3])("lets in nobody else, and does no harm: seed %s", (seed) =>
    Effect.gen(function* () {
      const dice = new Dice(seed)
      const issuer = yield* issuerOf(dice.oneOf(["RS256", "ES256", "EdDSA"]))
      const tokens = yield* locks([discovered(issuer)])
      const token = yield* Effect.promise(() => issuer.sign({ email: "a@example.com" }))
      const [, , signature = ""] = token.split(".")
      const { alg, kid } = issuer.keys[0]!
      const claims = { iss: issuer.url, aud: "nimbus", sub: "eve", exp: now_s() + 3_600 }
      for (let run = 0; run < runs; run++) {
        const text = dice.oneIn(2) ? broken(dice, token) : forged(dice, { alg, kid, typ: "JWT" }, claims, signature)
        const exit = yield* Effect.exit(outcome(tokens, text))
        assert(Exit.isSuccess(exit), `${text}: ${String(exit)}`)
        // What is behind the last character's bits counts for nothing, so the token may be the same for all that.
        if (exit.value === "alice") assert.strictEqual(text.split(".", 2).join("."), token.split(".", 2).join("."))
        else assert.match(exit.value, /^(TOKEN_INVALID|TOKEN_EXPIRED|AUTH_UNAVAILABLE): /)
      }
      assert.strictEqual(yield* outcome(tokens, token), "alice")
      assert.isAtMost(issuer.fetches(), 100)
    }),
  )
})
