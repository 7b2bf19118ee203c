/**
 * What a token says, if its issuer has signed it for this audience and its time is now.
 *
 * 1. The issuer is looked up by what the token says, and its keys alone check the signature.
 * 2. The signature is checked before the claims: of a token that nobody has signed no claim is told to be wrong.
 * 3. `iss`, `aud` and `exp` must be there. Times may be off by `skew_s`.
 * 4. Tokens of another purpose, as those of a logout, are none although their issuer has signed them.
 */
import { canonicalIssuer } from "@nimbus/domain/access"
import type { AuthUnavailable, Unauthenticated } from "@nimbus/domain/errors"
import { Clock, Effect, Predicate, Result } from "effect"
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from "jose"
import type { TokenLimits } from "../Limits.ts"
import type { VerifyKey } from "./KeyBook.ts"
import type { Keys } from "./Keys.ts"
import { tokenExpired, tokenInvalid } from "./Refusals.ts"

/** An issuer whose tokens count. */
export interface KnownIssuer {
  /** The name that the settings give to each but the first. */
  readonly name: string | undefined
  readonly algorithms: ReadonlyArray<string>
  readonly keys: Keys
}

/** What is true of a token. */
export interface Verified {
  readonly payload: JWTPayload
  readonly issuer: KnownIssuer
  readonly keyId: string
}

/** By `canonicalIssuer`. */
export type Issuers = ReadonlyMap<string, KnownIssuer>

type Refused = Unauthenticated | AuthUnavailable

/** What it says of itself, before anything of it is known to be true. */
interface Claimed {
  readonly alg: string
  readonly kid: string | undefined
  readonly iss: string
}

export const verify = (
  token: string,
  issuers: Issuers,
  audience: ReadonlyArray<string>,
  limits: TokenLimits,
): Effect.Effect<Verified, Refused> =>
  Effect.suspend(() => {
    const claimed = claimedBy(token, limits)
    if (Result.isFailure(claimed)) return Effect.fail(claimed.failure)
    const { alg, iss, kid } = claimed.success
    const issuer = issuers.get(canonicalIssuer(iss))
    if (issuer === undefined) return Effect.fail(tokenInvalid("its issuer is not known"))
    if (!issuer.algorithms.includes(alg))
      return Effect.fail(tokenInvalid("its signature is of a kind that does not count"))
    const attempt = Effect.flatMap(issuer.keys.find({ alg, kid }), (keys) =>
      checked(token, keys, iss, audience, limits),
    )
    return attempt.pipe(
      // Without a kid, it may be of a key that is newer than what is known.
      Effect.catchIf(
        (error) => kid === undefined && error === noSignature,
        () => Effect.flatMap(issuer.keys.again, (isNew) => (isNew ? attempt : Effect.fail(noSignature))),
      ),
      Effect.map(({ key, payload }) => ({ payload, issuer, keyId: key.id })),
    )
  })

const noSignature = tokenInvalid("its signature is wrong")
const noToken = tokenInvalid("it is no signed JWT")

/** Purposes of tokens that let their bearer in. */
const types: ReadonlySet<string> = new Set(["jwt", "at+jwt"])

const claimedBy = (token: string, { token_bytes }: TokenLimits): Result.Result<Claimed, Unauthenticated> => {
  if (token.length > token_bytes) return Result.fail(tokenInvalid(`it is longer than ${token_bytes} bytes`))
  // A JWT that is encrypted has five parts.
  if (token.split(".", 4).length !== 3) return Result.fail(noToken)
  try {
    const { alg, kid, typ } = decodeProtectedHeader(token)
    const { iss } = decodeJwt(token)
    if (typeof alg !== "string" || typeof iss !== "string") return Result.fail(noToken)
    if (kid !== undefined && typeof kid !== "string") return Result.fail(noToken)
    const type = typeof typ === "string" ? typ.toLowerCase().replace(/^application\//, "") : typ
    if (type !== undefined && !types.has(type)) return Result.fail(tokenInvalid("it is for another purpose"))
    return Result.succeed({ alg, kid, iss })
  } catch {
    return Result.fail(noToken)
  }
}

/** By the first of the keys that has signed it: they have one kid, or the token names none. */
const checked = Effect.fnUntraced(function* (
  token: string,
  keys: ReadonlyArray<VerifyKey>,
  issuer: string,
  audience: ReadonlyArray<string>,
  { skew_s }: TokenLimits,
) {
  const currentDate = new Date(yield* Clock.currentTimeMillis)
  const options = {
    issuer,
    audience: [...audience],
    clockTolerance: skew_s,
    currentDate,
    requiredClaims: ["iss", "aud", "exp"],
  }
  let refusal = noSignature
  for (const key of keys) {
    const result = yield* Effect.result(
      Effect.tryPromise({
        try: () => jwtVerify(token, key.key, { ...options, algorithms: [...key.algorithms] }),
        catch: refusalOf,
      }),
    )
    if (Result.isSuccess(result)) return { key, payload: result.success.payload }
    refusal = result.failure
    if (refusal !== noSignature) break
  }
  return yield* refusal
})

/** What jose says of it, without what the token says. */
const refusalOf = (error: unknown): Unauthenticated => {
  if (error instanceof errors.JWTExpired) return tokenExpired
  if (error instanceof errors.JWSSignatureVerificationFailed) return noSignature
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === "missing") return tokenInvalid(`it has no ${error.claim}`)
    if (error.claim === "aud") return tokenInvalid("it is for another audience")
    if (error.claim === "nbf") return tokenInvalid("its time has not come")
    return tokenInvalid(`its ${error.claim} is wrong`)
  }
  if (error instanceof errors.JOSEError) return noToken
  // A key that fits the token's algorithm by its kind, and still can't check it, as an RSA key that is too short.
  return Predicate.isError(error) ? tokenInvalid("its key can't check it") : noToken
}
