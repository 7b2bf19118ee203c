/** Authenticators on issuers of a test, and what they say of a token. */
import type { AuthUnavailable, Unauthenticated } from "@nimbus/domain/errors"
import { Effect, Result } from "effect"
import { noRules, type RuleFile } from "../../AccessRules.ts"
import { type TokenLimits, tokenLimits } from "../../Limits.ts"
import type { IssuerSettings, TokenSettings } from "../Settings.ts"
import * as TokenAuthenticator from "../TokenAuthenticator.ts"
import { audience, type Issuer } from "./Issuer.ts"

/** What a test says of the settings. */
export interface Said extends Partial<TokenSettings> {
  readonly limits?: Partial<TokenLimits>
  readonly rules?: RuleFile
}

/** One that lets these issuers' subjects in, for the audience of tests. */
export const locks = (
  issuers: ReadonlyArray<IssuerSettings>,
  { limits = {}, rules = noRules, ...settings }: Said = {},
) =>
  TokenAuthenticator.make(
    { issuers, audience: [audience], clientClaim: "sub", isInsecure: false, ...settings },
    {
      identity: { claims: ["email", "realm_access.roles"], rules: () => rules, limits: tokenLimits },
      limits: { ...tokenLimits, ...limits },
    },
  )

/** An issuer that is found by its OpenID configuration. */
export const discovered = ({ url }: Issuer, name?: string): IssuerSettings => ({
  issuer: url,
  name,
  keys: { _tag: "Discovery" },
})

const refusal = (error: Unauthenticated | AuthUnavailable): string => `${error.code}: ${error.message}`

/** Who it is, or why it is nobody. */
export const outcome = (tokens: TokenAuthenticator.TokenAuthenticator, token: string) =>
  Effect.map(Effect.result(tokens.authenticate(token)), (result): string =>
    Result.isSuccess(result) ? result.success.clientId : refusal(result.failure),
  )

/** The same of a token that is just being signed. */
export const outcomeOf = (tokens: TokenAuthenticator.TokenAuthenticator, token: Promise<string>) =>
  Effect.flatMap(
    Effect.promise(() => token),
    (token) => outcome(tokens, token),
  )

/** Why a token counts for nothing. */
export const invalid = (why: string): string => `TOKEN_INVALID: the token is not valid here: ${why}`
