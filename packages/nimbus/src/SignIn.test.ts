/** How operators sign in on the page, in a real Chromium, by a real identity provider or by a token of the settings. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Page } from "playwright-core"
import { vi } from "vitest"
import { Chromium, panel, Stage } from "./testing/PageStage.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"
import * as Provider from "./testing/Provider.ts"
import { desktop, visit } from "./testing/Visitor.ts"

// On a machine that is busy with other tests a click may take seconds.
vi.setConfig({ testTimeout: 120_000 })

const token = "a token of the tests"

/** A server with locks, whose page signs in by a provider. */
const locked = Layer.effect(
  Stage,
  Effect.gen(function* () {
    const [port, providerPort] = [yield* freePort, yield* freePort]
    const url = `http://127.0.0.1:${port}`
    const issuer = yield* Provider.start({
      port: providerPort,
      redirectUri: `${url}/sign-in`,
      capabilities: new Map([
        ["vera", ["admin:viewer"]],
        ["otto", ["admin:operator", "room:join:*", "room:publish:*", "room:history:*", "connect:{sub}", "read", "ack"]],
      ]),
    })
    const env = {
      ...withoutArchive,
      NIMBUS_HTTP_PORT: `${port}`,
      NIMBUS_AUTH_ISSUER: issuer,
      NIMBUS_AUTH_AUDIENCE: Provider.audience,
      NIMBUS_ADMIN_OIDC_CLIENT_ID: Provider.clientId,
      NIMBUS_ADMIN_TOKEN: token,
    }
    yield* startServer({ cwd: yield* temporaryDirectory, env })
    return { browser: yield* Chromium, url }
  }),
)

/** What Chromium says of the refusals that are tested, and of a client that nobody knows. */
const refusals = /status of (401|403|404)/

const at = (path: string, use: (page: Page, url: string) => Promise<void>) =>
  Effect.flatMap(Stage, ({ browser, url }) =>
    visit(browser, `${url}${path}`, (page) => use(page, url), { ...desktop, tolerate: refusals }),
  )

const signIn = async (page: Page, account: string) => {
  await page.getByRole("button", { name: /^Sign in by 127\.0\.0\.1:/ }).click()
  await page.getByLabel("Account").fill(account)
  await page.getByRole("button", { name: "Continue" }).click()
}

const isLive = (page: Page) => page.getByRole("banner").getByText("live", { exact: true }).waitFor()

layer(Chromium.layer, { excludeTestServices: true, timeout: 120_000 })((it) => {
  it.layer(locked, { timeout: 120_000 })("the page of a server with locks", (it) => {
    it.effect("signs in by the provider, keeps nothing of the way there, and comes back to where one was", () =>
      at("/clients/somebody", async (page, url) => {
        await signIn(page, "vera")
        await isLive(page)
        await page.waitForURL(`${url}/clients/somebody`)
        const kept = await page.evaluate("JSON.stringify(Object.keys(sessionStorage))")
        assert.strictEqual(kept, '["nimbus-admin-token"]')
        await page.reload()
        await isLive(page)
        await page.getByRole("button", { name: "Sign out" }).click()
        await page.getByRole("button", { name: /^Sign in by/ }).waitFor()
        assert.strictEqual(await page.evaluate("sessionStorage.length"), 0)
      }),
    )

    it.effect("lets a viewer look, and says which capability is missing for more", () =>
      at("/", async (page) => {
        await signIn(page, "vera")
        await isLive(page)
        await page.getByRole("button", { name: "Kill event-consumer" }).click()
        await page.getByText("the capability admin:operator is missing").waitFor()
        assert.strictEqual(await panel(page, "Try it").count(), 0)
      }),
    )

    it.effect("lets an operator act, and be in the rooms of the chat that it may be in", () =>
      at("/", async (page) => {
        await signIn(page, "otto")
        await isLive(page)
        await page.getByRole("button", { name: "Kill event-consumer" }).click()
        await page.getByRole("button", { name: "Restart event-consumer" }).click()
        await page.getByRole("button", { name: "Kill event-consumer" }).waitFor()
        await page.getByRole("link", { name: "Chat" }).click()
        await panel(page, "Room lobby").getByText("live", { exact: true }).waitFor()
      }),
    )

    it.effect("says to somebody without a role what is missing, and asks for another token", () =>
      at("/", async (page) => {
        await signIn(page, "nobody")
        await page.getByText("You may not see this: the capability admin:viewer is missing.").waitFor()
        await page.getByLabel("Token", { exact: true }).fill(token)
        await page.getByRole("button", { name: "Go on" }).click()
        await isLive(page)
      }),
    )

    it.effect("takes no code that this tab has not asked for", () =>
      at("/sign-in?code=stolen&state=forged", async (page) => {
        await page.getByText("You are not signed in: This tab has not begun to sign in.").waitFor()
      }),
    )

    it.effect("takes no code for another state than that of the tab", () =>
      at("/", async (page, url) => {
        await page.getByRole("button", { name: /^Sign in by/ }).click()
        await page.getByLabel("Account").waitFor()
        await page.goto(`${url}/sign-in?code=stolen&state=forged`)
        await page.getByText(/^You are not signed in: /).waitFor()
        assert.strictEqual(await page.evaluate("sessionStorage.length"), 0)
      }),
    )

    it.effect("may reach the gateway and the provider, and nothing else", () =>
      Effect.gen(function* () {
        const { url } = yield* Stage
        const policy = yield* Effect.promise(async () => {
          const response = await fetch(url)
          await response.text()
          return response.headers.get("content-security-policy") ?? ""
        })
        assert.match(policy, /; connect-src 'self' http:\/\/127\.0\.0\.1:\d+;/)
        assert.notMatch(policy, /unsafe|\*/)
      }),
    )
  })

  it.layer(Stage.layerWith({ NIMBUS_HOST: "0.0.0.0", NIMBUS_INSECURE: "true", NIMBUS_ADMIN_TOKEN: token }), {
    timeout: 120_000,
  })("the page of a server that is open to everybody", (it) => {
    it.effect("warns of it", () =>
      at("/", async (page) => {
        await page.getByLabel("Token", { exact: true }).fill(token)
        await page.getByRole("button", { name: "Go on" }).click()
        await page.getByRole("alert").getByText("Warning: there are no locks").waitFor()
      }),
    )
  })
})
