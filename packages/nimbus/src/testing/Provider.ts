/**
 * A real identity provider for tests: `oidc-provider`, with one public client that signs in by authorization code with PKCE,
 * and access tokens that are for one resource. Whoever says who it is is that.
 */
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Effect } from "effect"
import { Provider } from "oidc-provider"

export const audience = "https://nimbus.test/api"
export const clientId = "nimbus-page"

export interface ProviderOptions {
  /** Where nothing listens yet. */
  readonly port: number
  /** Where it sends browsers back to. */
  readonly redirectUri: string
  /** By subject: the `nimbus` claim of its access tokens. Of others there is none. */
  readonly capabilities: ReadonlyMap<string, ReadonlyArray<string>>
}

const make = ({ capabilities, port, redirectUri }: ProviderOptions) => {
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: clientId,
        token_endpoint_auth_method: "none",
        redirect_uris: [redirectUri],
        grant_types: ["authorization_code"],
        response_types: ["code"],
      },
    ],
    cookies: { keys: ["a key of the tests"] },
    clientBasedCORS: (_, origin) => origin === new URL(redirectUri).origin,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: "", audience, accessTokenFormat: "jwt" }),
        useGrantedResource: () => true,
      },
    },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    extraTokenClaims: (_, token) => {
      const nimbus = "accountId" in token ? capabilities.get(token.accountId) : undefined
      return nimbus === undefined ? undefined : { nimbus }
    },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    // Nobody is asked for a consent.
    loadExistingGrant: async ({ oidc }) => {
      const grant = new provider.Grant({
        clientId: oidc.client?.clientId ?? "",
        accountId: oidc.session?.accountId ?? "",
      })
      grant.addOIDCScope("openid")
      grant.addResourceScope(audience, "")
      await grant.save()
      return grant
    },
  })
  return provider
}

const form = `<!doctype html><html lang="en"><title>Provider</title><link rel="icon" href="data:,"><main><form method="post">
<label>Account <input name="login"></label><button>Continue</button></form></main>`

const bodyOf = async (request: IncomingMessage): Promise<URLSearchParams> => {
  let text = ""
  for await (const chunk of request) text += String(chunk)
  return new URLSearchParams(text)
}

/** Runs it for as long as the scope lives; gives its issuer. */
export const start = Effect.fnUntraced(function* (options: ProviderOptions) {
  const provider = make(options)
  const callback = provider.callback()
  const interact = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.method !== "POST") return void response.writeHead(200, { "content-type": "text/html" }).end(form)
    const accountId = (await bodyOf(request)).get("login") ?? ""
    await provider.interactionFinished(request, response, { login: { accountId } })
  }
  const server = createServer((request, response) => {
    if (request.url?.startsWith("/interaction/") === true) void interact(request, response)
    else void callback(request, response)
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(options.port, "127.0.0.1"), "listening")),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      }),
  )
  return provider.issuer
})
