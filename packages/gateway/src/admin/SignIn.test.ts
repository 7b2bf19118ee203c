import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Option } from "effect"
import { HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import type { Access } from "./Authorization.ts"
import * as SignIn from "./SignIn.ts"

/** A provider that says where it is; gives its issuer, and how often it was asked. `instead`: what it says otherwise. */
const providerThat = Effect.fnUntraced(function* (
  instead: Readonly<Record<string, string>> | ((response: ServerResponse) => void) = {},
) {
  const seen = { asked: 0 }
  const server = createServer((_, response) => {
    seen.asked++
    if (typeof instead === "function") return instead(response)
    const { issuer } = provider
    response.end(
      JSON.stringify({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: "https://tokens.example:8443/token",
        ...instead,
      }),
    )
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
    () => Effect.promise(() => new Promise((resolve) => server.close(resolve))),
  )
  const address = server.address()
  const provider = {
    issuer: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    asked: () => seen.asked,
  }
  return provider
})
const provider = providerThat()

/** What the page is told, and whom it may reach. */
const told = (signIn: SignIn.SignInOptions | undefined) =>
  Effect.gen(function* () {
    const admin = Option.some<Access>({ _tag: "Loopback" })
    const gateway = yield* Layer.build(
      Gateway.layerWith({ host: "127.0.0.1", port: 0, admin, signIn }).pipe(Layer.provideMerge(MemoryParts.layer)),
    )
    const url = yield* Effect.provide(
      Effect.map(HttpServer.HttpServer, ({ address }) => HttpServer.formatAddress(address)),
      gateway,
    )
    return yield* Effect.promise(async () => {
      const page = await fetch(`${url}/`)
      await page.text()
      const policy = page.headers.get("content-security-policy") ?? ""
      const view: unknown = await (await fetch(`${url}/v1/admin/page`)).json()
      return { view, reaches: /connect-src ([^;]*)/.exec(policy)?.[1] }
    })
  })

const options = { clientId: "page", audience: "nimbus", scope: "openid" }

describe("signing in on the page", () => {
  it.live("is told where the provider is, which is asked once, and may reach its token endpoint", () =>
    Effect.gen(function* () {
      const { asked, issuer } = yield* provider
      const { reaches, view } = yield* told({ ...options, issuer })
      assert.deepStrictEqual(view, {
        hasLocks: false,
        hasClients: true,
        signIn: {
          ...options,
          issuer,
          authorizationEndpoint: `${issuer}/authorize`,
          tokenEndpoint: "https://tokens.example:8443/token",
        },
      })
      // A clone whose page has not been built has none to reach anything.
      assert.include([undefined, "'self' https://tokens.example:8443"], reaches)
      assert.strictEqual(asked(), 1)
    }),
  )

  it.live.each([
    { what: "is another issuer", instead: { issuer: "https://other.example" } },
    {
      what: "sends the browser elsewhere by plain http",
      instead: { authorization_endpoint: "http://192.0.2.1/authorize" },
    },
    { what: "takes the code by plain http", instead: { token_endpoint: "http://192.0.2.1/token" } },
    { what: "sends the browser to a script", instead: { authorization_endpoint: "javascript:alert(1)" } },
    { what: "says too much", instead: { more: "x".repeat(300_000) } },
    { what: "fails", instead: (response: ServerResponse) => void response.writeHead(500).end("{}") },
    {
      what: "redirects",
      instead: (response: ServerResponse) => void response.writeHead(307, { location: "https://other.example/" }).end(),
    },
  ])("takes nothing of a provider that $what", ({ instead }) =>
    Effect.gen(function* () {
      const { issuer } = yield* providerThat(instead)
      const { reaches, view } = yield* told({ ...options, issuer })
      assert.deepStrictEqual(view, { hasLocks: false, hasClients: true })
      assert.include([undefined, "'self'"], reaches)
    }),
  )

  it.live("takes plain http on another machine where that is allowed", () =>
    Effect.gen(function* () {
      const { issuer } = yield* providerThat({ token_endpoint: "http://192.0.2.1/token" })
      const { view } = yield* told({ ...options, issuer, isInsecure: true })
      assert.nestedPropertyVal(view, "signIn.tokenEndpoint", "http://192.0.2.1/token")
    }),
  )

  it.live("goes without the provider while that is away, and without one where none is named", () =>
    Effect.gen(function* () {
      const without = { hasLocks: false, hasClients: true }
      assert.deepStrictEqual((yield* told({ ...options, issuer: "http://127.0.0.1:9" })).view, without)
      const { reaches, view } = yield* told(undefined)
      assert.deepStrictEqual(view, without)
      assert.include([undefined, "'self'"], reaches)
    }),
  )
})

const configured = (env: Readonly<Record<string, string>>) =>
  Effect.result(Effect.provide(SignIn.config, ConfigProvider.layer(ConfigProvider.fromEnv({ env }))))

describe("the settings of signing in", () => {
  it.effect("are of the first issuer, and its first audience", () =>
    Effect.gen(function* () {
      const read = yield* configured({
        NIMBUS_AUTH_ISSUER: "https://login.example, partners=https://partners.example",
        NIMBUS_AUTH_AUDIENCE: "nimbus,other",
        NIMBUS_ADMIN_OIDC_CLIENT_ID: "page",
      })
      assert.deepStrictEqual(read._tag === "Success" && read.success, {
        ...options,
        issuer: "https://login.example",
        isInsecure: false,
      })
    }),
  )

  it.effect("are none without a client, and wrong without an issuer", () =>
    Effect.gen(function* () {
      const none = yield* configured({ NIMBUS_AUTH_ISSUER: "https://login.example" })
      assert.isTrue(none._tag === "Success" && none.success === undefined)
      const wrong = yield* configured({ NIMBUS_ADMIN_OIDC_CLIENT_ID: "page" })
      assert.include(String(wrong._tag === "Failure" && wrong.failure), "must be set with NIMBUS_AUTH_ISSUER")
    }),
  )
})
