/** Which of the tokens that a provider gave is shown to the gateway. */

/** What its token endpoint has answered. */
export interface Given {
  readonly access_token: string
  readonly id_token?: string | undefined
}

/**
 * The access token, where it is one that a gateway can read and is for its audience; otherwise the ID token, which is for
 * the page itself: some providers have no other that can be read.
 */
export const bearerOf = ({ access_token, id_token }: Given, audience: string | undefined): string => {
  const aud = claimsOf(access_token)?.["aud"]
  const isFor = audience === undefined ? aud !== undefined : [aud].flat().includes(audience)
  return isFor ? access_token : (id_token ?? access_token)
}

/** What a token says of itself; undefined: it is no JWT. Nobody is trusted for it: the gateway checks the token. */
const claimsOf = (token: string): Readonly<Record<string, unknown>> | undefined => {
  const [, payload, signature] = token.split(".")
  if (payload === undefined || signature === undefined) return undefined
  try {
    return Object(JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))))
  } catch {
    return undefined
  }
}
