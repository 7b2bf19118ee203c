import { once } from "node:events"
import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Option } from "effect"
import { HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import type { Access } from "./Authorization.ts"
import * as SignIn from "./SignIn.ts"

/** A provider that says where it is; gives its issuer, and how often it was asked. */
const provider = Effect.gen(function* () {
  const seen = { asked: 0 }
  const server = createServer((_, response) => {
    seen.asked++
    const { issuer } = provider
    response.end(
      JSON.stringify({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: "https://tokens.example:8443/token",
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
      assert.deepStrictEqual(read._tag === "Success" && read.success, { ...options, issuer: "https://login.example" })
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
