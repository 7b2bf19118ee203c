/**
 * Signing in by the identity provider: authorization code with PKCE, in the browser.
 *
 * ```
 *   begin ──▶ provider ──▶ /sign-in?code&state ──▶ complete ──▶ the token endpoint ──▶ the token, and where one was before
 *                                                     └── a refresh token, if there is one: a new token before it ends
 * ```
 *
 * What belongs together, state, nonce and verifier, is in the session of the tab alone, and counts once. A refresh token is
 * in memory alone: it goes with the page.
 */
import type { SignInView } from "@nimbus/domain/admin"
import { Schema } from "effect"
import type { TokenEndpointResponse } from "oauth4webapi"
import { pageLimits } from "../Limits.ts"
import { bearerOf } from "./bearer.ts"
import { enter } from "./token.ts"

const key = "nimbus-sign-in"

const Begun = Schema.fromJsonString(
  Schema.Struct({ verifier: Schema.String, state: Schema.String, nonce: Schema.String, from: Schema.String }),
)
const decode = Schema.decodeUnknownSync(Begun)
const encode = Schema.encodeSync(Begun)

/** Loaded when somebody signs in. */
const library = () => import("oauth4webapi")

const redirectUri = (): string => `${location.origin}/sign-in`

/** Goes to the provider. */
export const begin = async (signIn: SignInView): Promise<void> => {
  const oauth = await library()
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  sessionStorage.setItem(key, encode({ verifier, state, nonce, from: location.pathname }))
  const to = new URL(signIn.authorizationEndpoint)
  const asked = {
    client_id: signIn.clientId,
    redirect_uri: redirectUri(),
    response_type: "code",
    scope: signIn.scope,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    ...audienceOf(signIn),
  }
  for (const [name, value] of Object.entries(asked)) to.searchParams.set(name, value)
  location.assign(to)
}

/** Each provider has its own word for it. A resource (RFC 8707) is an address. */
const audienceOf = ({ audience }: SignInView): Readonly<Record<string, string>> => {
  if (audience === undefined) return {}
  return URL.canParse(audience) ? { audience, resource: audience } : { audience }
}

const partsOf = (signIn: SignInView) => ({
  as: {
    issuer: signIn.issuer,
    token_endpoint: signIn.tokenEndpoint,
    ...(signIn.idTokenAlgorithms !== undefined && {
      id_token_signing_alg_values_supported: [...signIn.idTokenAlgorithms],
    }),
  },
  client: { client_id: signIn.clientId },
})

/** Back from the provider: takes the token, and returns where the page was before. Fails with what was wrong. */
export const complete = async (signIn: SignInView): Promise<string> => {
  const begun = sessionStorage.getItem(key)
  sessionStorage.removeItem(key)
  if (begun === null) throw new Error("This tab has not begun to sign in.")
  const { from, nonce, state, verifier } = decode(begun)
  const oauth = await library()
  const { as, client } = partsOf(signIn)
  const callback = oauth.validateAuthResponse(as, client, new URL(location.href), state)
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    oauth.None(),
    callback,
    redirectUri(),
    verifier,
    { [oauth.allowInsecureRequests]: isPlain(signIn) },
  )
  const given = await oauth.processAuthorizationCodeResponse(as, client, response, {
    ...(signIn.scope.split(" ").includes("openid") && { expectedNonce: nonce, requireIdToken: true }),
  })
  take(signIn, given)
  return from
}

/** A provider on this machine, for those who try it. The gateway takes no other by plain http. */
const isPlain = ({ tokenEndpoint }: SignInView): boolean => tokenEndpoint.startsWith("http://")

let timer: ReturnType<typeof setTimeout> | undefined
/** Counts who the page was. A token that was asked for before it became somebody else comes too late. */
let changes = 0

const take = (signIn: SignInView, given: TokenEndpointResponse): void => {
  enter(bearerOf(given, signIn.audience))
  clearTimeout(timer)
  const { expires_in, refresh_token } = given
  if (refresh_token === undefined || expires_in === undefined) return
  const wait_ms = Math.max(expires_in * 1000 - pageLimits.renew_before_ms, pageLimits.renew_before_ms / 2)
  timer = setTimeout(() => void renew(signIn, refresh_token), wait_ms)
}

/** Where it fails the token ends, and whoever looks is asked to sign in again. */
const renew = async (signIn: SignInView, refreshToken: string): Promise<void> => {
  const before = changes
  const oauth = await library()
  const { as, client } = partsOf(signIn)
  const response = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), refreshToken, {
    [oauth.allowInsecureRequests]: isPlain(signIn),
  })
  const given = await oauth.processRefreshTokenResponse(as, client, response)
  if (before === changes) take(signIn, { ...given, refresh_token: given.refresh_token ?? refreshToken })
}

/** Nothing more is renewed: whoever signs out, or shows another token, is no longer whom the provider knows. */
export const forget = (): void => {
  changes++
  clearTimeout(timer)
}
