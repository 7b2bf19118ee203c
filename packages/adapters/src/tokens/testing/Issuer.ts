/**
 * An issuer of tokens for tests: keys, what it signs, and a server with its discovery and its keys, which can rotate, go
 * away and answer wrongly. It speaks no OAuth: `oidc-provider` does, where that is what is tested.
 */
import { createServer, type ServerResponse } from "node:http"
import { Effect, type Scope } from "effect"
import {
  calculateJwkThumbprint,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type CryptoKey,
  type JWK,
  type JWTPayload,
  SignJWT,
} from "jose"
import { listening } from "./Listening.ts"

/** For whom tokens are, unless a test says otherwise. */
export const audience = "nimbus"

/** A key pair of an issuer. */
export interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  /** As the issuer publishes it. */
  readonly jwk: JWK
  /** As PEM. */
  readonly pem: string
}

/** Without a kid its thumbprint is one. */
export const keyOf = async (alg = "ES256", kid?: string): Promise<SigningKey> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  const name = kid ?? (await calculateJwkThumbprint(jwk))
  return { kid: name, alg, privateKey, jwk: { ...jwk, kid: name, alg, use: "sig" }, pem: await exportSPKI(publicKey) }
}

/** Members of a token's header. */
export type Header = Readonly<Record<string, unknown>>

/** What a test says of a token beside its claims. */
export interface SignOptions {
  /** Default: the issuer's newest one. */
  readonly key?: SigningKey
  /** Members of the header, over those that are usual; `undefined`: without it. */
  readonly header?: Header
  /** Without this claim, although it is usual. */
  readonly without?: ReadonlyArray<string>
}

/** Seconds since 1970. */
export const now_s = (): number => Math.floor(Date.now() / 1000)

/** A token with these claims, and those that are usual beside them: `iss`, `aud`, `sub`, `iat`, `exp` in an hour. */
export const signWith = (
  key: SigningKey,
  issuer: string,
  claims: JWTPayload,
  { header = {}, without = [] }: SignOptions = {},
): Promise<string> => {
  const usual: JWTPayload = { iss: issuer, aud: audience, sub: "alice", iat: now_s(), exp: now_s() + 3_600 }
  const said = Object.entries({ ...usual, ...claims }).filter(([name]) => !without.includes(name))
  const members = Object.entries({ kid: key.kid, typ: "JWT", ...header }).filter(([, value]) => value !== undefined)
  const crit = Array.isArray(header["crit"]) ? header["crit"] : []
  return new SignJWT(Object.fromEntries(said))
    .setProtectedHeader({ ...Object.fromEntries(members), alg: key.alg })
    .sign(key.privateKey, { crit: Object.fromEntries(crit.map((name) => [name, true])) })
}

/** A token of a shared secret. */
export const signBySecret = (
  secret: string,
  issuer: string,
  claims: JWTPayload,
  { alg = "HS256", header = {} }: { readonly alg?: string; readonly header?: Header } = {},
): Promise<string> =>
  new SignJWT({ iss: issuer, aud: audience, sub: "alice", iat: now_s(), exp: now_s() + 3_600, ...claims })
    .setProtectedHeader({ typ: "JWT", ...header, alg })
    .sign(new TextEncoder().encode(secret))

/** An issuer on a free port of this machine. */
export interface Issuer {
  /** What its tokens have as `iss`, and where its discovery is. */
  readonly url: string
  readonly jwksUrl: string
  /** The newest stands last. A test may change them: what the server answers changes with them. */
  readonly keys: Array<SigningKey>
  /** How often its keys were asked for. */
  readonly fetches: () => number
  /** A token of its newest key, or of the one that is named. */
  sign(claims?: JWTPayload, options?: SignOptions): Promise<string>
  /** Signs with a new key from now on. The old ones stay published until they are taken out of `keys`. */
  rotate(alg?: string): Promise<SigningKey>
  /** What it answers instead of its keys; `"away"`: it cuts each connection. `undefined`: it works. */
  fault: "away" | ((response: ServerResponse, path: string) => void) | undefined
}

/** Makes one, which lasts as long as the scope. */
export const make = Effect.fnUntraced(function* (alg = "ES256"): Effect.fn.Return<Issuer, never, Scope.Scope> {
  const keys = [yield* Effect.promise(() => keyOf(alg))]
  const seen = { fetches: 0 }
  const server = createServer(({ url = "" }, response) => {
    const { fault } = issuer
    if (url === "/jwks") seen.fetches++
    if (fault === "away") return void response.destroy()
    if (fault !== undefined) return fault(response, url)
    if (url === "/.well-known/openid-configuration") return json(response, discovery)
    if (url === "/jwks") return json(response, { keys: issuer.keys.map(({ jwk }) => jwk) })
    response.writeHead(404).end()
  })
  const port = yield* listening(server)
  const url = `http://127.0.0.1:${port}`
  const jwksUrl = `${url}/jwks`
  const discovery = { issuer: url, jwks_uri: jwksUrl, response_types_supported: ["code"] }
  const issuer: Issuer = {
    url,
    jwksUrl,
    keys,
    fetches: () => seen.fetches,
    sign: (claims = {}, options = {}) => signWith(options.key ?? issuer.keys.at(-1)!, url, claims, options),
    rotate: async (next = alg) => {
      const key = await keyOf(next)
      issuer.keys.push(key)
      return key
    },
    fault: undefined,
  }
  return issuer
})

const json = (response: ServerResponse, value: unknown): void =>
  void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value))
