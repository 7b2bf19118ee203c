/** Locks for tests of one transport: tokens are names, and what each of them is worth stands in a table. */
import { defaults, Grants, type Principal, Subject } from "@nimbus/domain/access"
import { type AuthUnavailable, Unauthenticated } from "@nimbus/domain/errors"
import { type Attempt, Authenticator } from "@nimbus/domain/services"
import { Effect, Layer, Result } from "effect"

/** What a token says. */
export interface Said {
  readonly subject: string
  /** Default: those of a token without a `nimbus` claim. */
  readonly capabilities?: ReadonlyArray<string>
  readonly expires_s?: number
  readonly issued_s?: number
  readonly tokenId?: string
  readonly claims?: Principal["claims"]
}

export const issuer = "https://issuer.test"

/** Who it is. */
export const principalOf = ({
  capabilities = defaults,
  claims = {},
  expires_s,
  issued_s,
  subject,
  tokenId,
}: Said): Principal => {
  const clientId = Result.getOrThrow(Subject.clientIdOf({ issuer: undefined, name: subject }))
  const grants = Result.getOrThrow(Grants.parse(capabilities, clientId))
  return { issuer, subject, clientId, grants, claims, expires_s, issued_s, tokenId, keyId: undefined }
}

/** What a token is worth: who it is, or why it counts for nothing. */
export type Worth = Said | Unauthenticated | AuthUnavailable

/**
 * Locks that know these tokens, and first names of certificates, and no others. The table may change while it is in use.
 * `attempts`: what they were told of each who came.
 */
export const layer = (tokens: ReadonlyMap<string, Worth>, attempts: Array<Attempt | undefined> = []) =>
  Layer.succeed(Authenticator, {
    authenticate: (
      { certificate, token = certificate?.names[0] },
      attempt,
    ): Effect.Effect<Principal, Unauthenticated | AuthUnavailable> => {
      attempts.push(attempt)
      if (token === undefined)
        return Effect.fail(new Unauthenticated({ code: "TOKEN_MISSING", reason: "no token came" }))
      const said = tokens.get(token)
      return said === undefined
        ? Effect.fail(new Unauthenticated({ code: "TOKEN_INVALID", reason: "no such token" }))
        : "_tag" in said
          ? Effect.fail(said)
          : Effect.succeed(principalOf(said))
    },
    isKnown: () => true,
  })
