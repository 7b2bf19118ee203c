/** Who a token is of: the issuers of the settings, their keys, and what the claims say. */
import { canonicalIssuer, type Principal } from "@nimbus/domain/access"
import type { AuthUnavailable, Unauthenticated } from "@nimbus/domain/errors"
import { Clock, Effect, Result, type Scope } from "effect"
import { claimOf } from "../AccessRules.ts"
import { LocksBad } from "../Errors.ts"
import { type IdentityOptions, principalOf } from "../Identity.ts"
import { type TokenLimits, tokenLimits } from "../Limits.ts"
import { publicAlgorithms, secretAlgorithms } from "./Algorithms.ts"
import * as Keys from "./Keys.ts"
import { tokenInvalid } from "./Refusals.ts"
import { SeenTokens } from "./SeenTokens.ts"
import type { IssuerSettings, TokenSettings } from "./Settings.ts"
import { type Issuers, type KnownIssuer, type Verified, verify } from "./Verify.ts"

/** Says who a token is of. */
export interface TokenAuthenticator {
  authenticate(token: string): Effect.Effect<Principal, Unauthenticated | AuthUnavailable>
  /** Whether the key of a session's token still counts. */
  isKnown(principal: Principal): boolean
}

/** What the process adds to the settings. */
export interface TokenOptions {
  readonly identity: IdentityOptions
  readonly limits?: TokenLimits
}

/** Asks for the keys, and keeps them current as long as the scope. A key of the settings that is none fails. */
export const make = Effect.fnUntraced(function* (
  { audience, clientClaim, isInsecure, issuers: named }: TokenSettings,
  { identity, limits = tokenLimits }: TokenOptions,
): Effect.fn.Return<TokenAuthenticator, LocksBad, Scope.Scope> {
  const known: Array<readonly [string, KnownIssuer]> = []
  for (const settings of named) {
    const keys = yield* Keys.make(settings, limits, isInsecure, (reason) => bad(settings, reason))
    const algorithms = settings.keys._tag === "Secret" ? secretAlgorithms : publicAlgorithms
    known.push([canonicalIssuer(settings.issuer), { name: settings.name, algorithms, keys }])
  }
  const issuers: Issuers = new Map(known)
  const clock = yield* Clock.Clock
  const seen = new SeenTokens(limits)
  const found = (token: string) => {
    // Those that stand now: the file may change while the signature is checked.
    const rules = identity.rules()
    return Effect.flatMap(verify(token, issuers, audience, limits), (verified) => {
      const principal = identityOf(verified, clientClaim, { ...identity, rules: () => rules })
      if (Result.isFailure(principal)) return Effect.fail(tokenInvalid(principal.failure))
      seen.remember(token, { principal: principal.success, issuer: verified.issuer, rules })
      return Effect.succeed(principal.success)
    })
  }
  return {
    authenticate: (token) =>
      Effect.suspend(() => {
        const known = seen.find(token, identity.rules(), clock.currentTimeMillisUnsafe())
        return known === undefined ? found(token) : Effect.succeed(known)
      }),
    isKnown: ({ issuer, keyId }) =>
      keyId === undefined || (issuers.get(canonicalIssuer(issuer))?.keys.has(keyId) ?? true),
  }
})

const bad = ({ keys }: IssuerSettings, reason: string) =>
  new LocksBad({ setting: keys._tag === "File" ? keys.setting : "NIMBUS_AUTH_PUBLIC_KEY", reason })

const identityOf = (
  { issuer, keyId, payload }: Verified,
  clientClaim: string,
  identity: IdentityOptions,
): Result.Result<Principal, string> => {
  const subject = claimOf(payload, clientClaim)
  if (typeof subject !== "string") return Result.fail(`its claim ${clientClaim} is no text`)
  const { exp, iat, iss = "", jti } = payload
  const proof = { issuer: iss, issuerName: issuer.name, subject, claims: payload, keyId }
  return principalOf({ ...proof, expires_s: exp, issued_s: iat, tokenId: jti }, identity)
}
