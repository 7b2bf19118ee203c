/**
 * A real OpenID provider on a free port of this machine, for tests: its discovery, its keys and its tokens are those of
 * `oidc-provider`. Machines get their tokens by their client credentials, and pages by authorization code with PKCE.
 */
import { createServer } from "node:http"
import { Effect, Predicate, type Scope } from "effect"
import { exportJWK, generateKeyPair, type JWK } from "jose"
import { type ClientMetadata, type Configuration, Provider as OidcProvider } from "oidc-provider"
import { audience } from "./Issuer.ts"
import { listening } from "./Listening.ts"

/** What tokens are asked for: a resource has a URI, and tokens for it the audience of tests. */
export const resource = "urn:nimbus"

export interface ProviderOptions {
  /** What its tokens are signed with. Default: RS256. */
  readonly alg?: string
  /** Clients beside the machines. */
  readonly clients?: ReadonlyArray<ClientMetadata>
  /** Claims of the tokens of a client, or of a user, by its id. */
  readonly claims?: (subject: string) => Readonly<Record<string, unknown>>
  /** Further settings. */
  readonly configuration?: Configuration
}

export interface Provider {
  readonly url: string
  /** A token of a machine, by its client credentials. */
  token(machine: string): Promise<string>
  /** Signs with a new key from now on, and publishes the old ones until they are removed. */
  rotate(alg?: string): Promise<void>
  /** Publishes the newest key alone. */
  removeOld(): void
  /** Whether it answers. Default: true. */
  isThere: boolean
}

const machineSecret = "a secret of a machine of the tests"

const machine = (client_id: string, alg: Signature): ClientMetadata => ({
  client_id,
  id_token_signed_response_alg: alg,
  client_secret: machineSecret,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
})

const keyFor = async (alg: string): Promise<JWK> => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), alg, use: "sig", kid: `k${++keyCount}` }
}
let keyCount = 0

/** One that lasts as long as the scope. `machines`: who may ask for tokens. */
export const make = Effect.fnUntraced(function* (
  machines: ReadonlyArray<string>,
  { alg = "RS256", claims = () => ({}), clients = [], configuration = {} }: ProviderOptions = {},
): Effect.fn.Return<Provider, never, Scope.Scope> {
  let current = { keys: [yield* Effect.promise(() => keyFor(alg))], alg }
  // Until it is made, nobody asks.
  const serving: { handle: ReturnType<OidcProvider["callback"]> | undefined } = { handle: undefined }
  const server = createServer((request, response) =>
    provider.isThere && serving.handle !== undefined ? serving.handle(request, response) : response.destroy(),
  )
  const port = yield* listening(server)
  const url = `http://127.0.0.1:${port}`
  const serve = (): void => {
    const { alg, keys } = current
    // Its first key of an algorithm is the one that it signs with.
    serving.handle = new OidcProvider(url, {
      jwks: { keys: keys.toReversed() },
      clients: [...machines.map((id) => machine(id, signature(alg))), ...clients],
      cookies: { keys: ["a key of the tests"] },
      ...configuration,
      extraTokenClaims: (_, token) => claims(("accountId" in token && token.accountId) || (token.clientId ?? "")),
      features: {
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => resource,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: "",
            audience,
            accessTokenTTL: 3_600,
            accessTokenFormat: "jwt",
            jwt: { sign: { alg: signature(alg) } },
          }),
        },
        ...configuration.features,
      },
    }).callback()
  }
  serve()
  const provider: Provider = {
    url,
    isThere: true,
    token: (machine) => tokenAt(url, machine),
    rotate: async (next = alg) => {
      current = { keys: [...current.keys, await keyFor(next)], alg: next }
      serve()
    },
    removeOld: () => {
      current = { ...current, keys: current.keys.slice(-1) }
      serve()
    },
  }
  return provider
})

type Signature = "RS256" | "PS256" | "ES256" | "EdDSA"

const signature = (alg: string): Signature => {
  if (alg === "RS256" || alg === "PS256" || alg === "ES256" || alg === "EdDSA") return alg
  throw new TypeError(`the provider of tests does not sign by ${alg}`)
}

const tokenAt = async (url: string, machine: string): Promise<string> => {
  const response = await fetch(`${url}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa(`${machine}:${encodeURIComponent(machineSecret)}`)}` },
    body: new URLSearchParams({ grant_type: "client_credentials", resource }),
  })
  const body: unknown = await response.json()
  if (Predicate.hasProperty(body, "access_token") && typeof body.access_token === "string") return body.access_token
  throw new Error(`the provider gives no token: ${JSON.stringify(body)}`)
}
