/** The web page of `nimbus start`, in a real Chromium: what a newcomer does by clicks, and what an operator looks for. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { assert, describe, it, layer } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Layer, Schema, Scope } from "effect"
import type { Browser, Page } from "playwright-core"
import { vi } from "vitest"
import { browser } from "./testing/Browser.ts"
import { freePort, startServer, temporaryDirectory } from "./testing/Processes.ts"
import { desktop, phone, visit, type VisitOptions } from "./testing/Visitor.ts"

// On a machine that is busy with other tests a click may take seconds.
vi.setConfig({ testTimeout: 120_000 })

class Stage extends Context.Service<Stage, { readonly browser: Browser; readonly url: string }>()("test/Stage") {
  static readonly layer = Layer.effect(
    Stage,
    Effect.gen(function* () {
      const port = yield* freePort
      yield* startServer({ cwd: yield* temporaryDirectory, env: { NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: "0" } })
      const url = `http://127.0.0.1:${port}`
      yield* firstMessage(url)
      return { browser: yield* browser, url }
    }),
  )
}

/** A message for the client `seen`, the first record of its partition, whose seq is 0. */
const firstMessage = (url: string) =>
  Effect.promise(async () => {
    const body = JSON.stringify({ name: "news", data: { number: 1 } })
    const headers = { "content-type": "application/json" }
    const response = await fetch(`${url}/v1/clients/seen/messages`, { method: "POST", headers, body })
    assert.strictEqual(response.status, 200, await response.text())
  })

const on = (path: string, use: (page: Page) => Promise<void>, options: VisitOptions = desktop) =>
  Effect.flatMap(Stage, ({ browser, url }) => visit(browser, `${url}${path}`, use, options))

const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true })

/** Starts sample clients, and gives the id of the first once all are LIVE. */
const startSamples = async (page: Page, count: number): Promise<string> => {
  await page.getByLabel("Sample clients", { exact: true }).first().fill(String(count))
  await page.getByRole("button", { name: "Start", exact: true }).click()
  const table = page.getByRole("region", { name: "Sample clients" })
  await table
    .getByText("LIVE")
    .nth(count - 1)
    .waitFor()
  return table.getByRole("rowheader").first().innerText()
}

/** Every view. */
const viewPaths = ["/", "/chat", "/clients/seen", "/journey/seen/0"]

/** Waits until a view has all that it shows. */
const isShown = async (page: Page, path: string) => {
  if (path === "/") await startSamples(page, 2)
  else if (path === "/chat") await page.getByRole("log").waitFor()
  else if (path.startsWith("/clients")) await panel(page, "Mailbox").waitFor()
  else await panel(page, "Its hops").waitFor()
}

layer(Stage.layer, { excludeTestServices: true, timeout: 120_000 })("the page of nimbus start", (it) => {
  it.effect("tells the story by clicks: a client is cut off, its mail piles up, it is back, replays and is LIVE", () =>
    on("/", async (page) => {
      const clientId = await startSamples(page, 3)
      const story = page.locator(".story")
      const row = panel(page, "Clients").getByRole("row", { name: clientId })
      await row.getByText("LIVE").waitFor()

      await page.getByRole("button", { name: "Cut it off" }).click()
      await Promise.all([story.getByText("OFFLINE").waitFor(), row.getByText("OFFLINE").waitFor()])
      await page.getByRole("button", { name: "Send it 30,000 messages" }).click()
      await row.getByText(/^30,0\d\d waiting$/).waitFor()

      // Its barrier does not come through without this one: it replays for as long as the test looks.
      await page.getByRole("button", { name: "Kill event-consumer" }).click()
      await page.getByRole("button", { name: "Bring it back" }).click()
      await Promise.all([
        story.getByText("REPLAYING").waitFor(),
        row.getByText("REPLAYING").waitFor(),
        row.getByRole("progressbar", { name: `Replay of ${clientId}` }).waitFor(),
        row.getByText(/to go, .+ left/).waitFor(),
      ])
      await page.getByRole("button", { name: "Restart event-consumer" }).click()
      await Promise.all([story.getByText("LIVE").waitFor(), row.getByText("LIVE").waitFor()])
      await story.getByText(/^30,\d\d\d results, 0 missing, 0 repeated$/).waitFor()
    }),
  )

  it.effect("finds a client by a part of its id, and those of one status", () =>
    on("/", async (page) => {
      const clientId = await startSamples(page, 2)
      const clients = panel(page, "Clients")
      await page.getByRole("button", { name: `Cut off ${clientId}` }).click()
      await clients.getByRole("searchbox", { name: "Search clients by id" }).fill(clientId.slice(2))
      await clients.getByRole("row", { name: clientId }).getByText("OFFLINE").waitFor()
      await until("no other is listed", async () => (await clients.getByRole("row").count()) === 2)
      await clients.getByRole("radio", { name: /^LIVE/ }).check()
      await clients.getByText("No client like that.").waitFor()
    }),
  )

  it.effect("kills a consumer of the pipeline, shows where the flow stops, and starts it again", () =>
    on("/", async (page) => {
      const clientId = await startSamples(page, 1)
      const flow = panel(page, "Flow")
      await page.getByRole("button", { name: "Kill event-consumer" }).click()
      await flow.locator("tspan").getByText("stopped").waitFor()
      await page.getByRole("button", { name: "Restart event-consumer" }).click()
      await flow.locator("tspan").getByText("stopped").waitFor({ state: "detached" })
      const row = page.getByRole("region", { name: "Sample clients" }).getByRole("row", { name: clientId })
      const results = async () => Number(await row.getByRole("cell").nth(1).innerText())
      const before = await results()
      await until("new results", async () => (await results()) > before)
      await page.getByText(/, 0 missing, 0 repeated$/).waitFor()
    }),
  )

  it.effect("carries what is said in a room from one page to another, and its history to who comes later", () =>
    Effect.gen(function* () {
      const { browser, url } = yield* Stage
      const say = async (page: Page, who: string, text: string) => {
        await page.getByLabel("Your name").fill(who)
        await page.getByLabel("Message").fill(text)
        await page.getByRole("button", { name: "Say" }).click()
        await page.getByRole("log").getByText(text).waitFor()
      }
      yield* visit(browser, `${url}/chat`, async (page) => {
        await say(page, "Ada", "first")
        await Effect.runPromise(
          visit(browser, `${url}/chat`, async (other) => {
            await other.getByRole("log").getByText("first").waitFor()
            await say(other, "Ben", "second")
            await page.getByRole("log").getByText("second").waitFor()
            assert.match(await page.getByRole("log").innerText(), /Ada[^]*first[^]*Ben[^]*second/)
          }),
        )
        await page.getByLabel("Room", { exact: true }).fill("elsewhere")
        await page.getByRole("button", { name: "Enter" }).click()
        await page.getByRole("heading", { name: "Room elsewhere" }).waitFor()
        await page.getByText("Nothing yet.").waitFor()
      })
    }),
  )

  it.effect("shows where a client stands, and the journey of its events hop by hop", () =>
    on("/", async (page) => {
      const clientId = await startSamples(page, 1)
      await page.getByRole("link", { name: `Journey of ${clientId}` }).click()
      const hops = panel(page, "Its hops")
      for (const hop of ["Accepted", "Logged", "Handled", "Sent"]) {
        await hops.getByRole("heading", { name: hop }).waitFor()
      }
      const told = /Logged[^]*by log[^]*topic nimbus-events-v1[^]*Handled[^]*by event-consumer/
      await until("who did what is told", async () => told.test(await hops.innerText()))
      await page.getByRole("heading", { level: 1 }).getByRole("link", { name: clientId }).click()
      await panel(page, "Where it stands").getByText("LIVE").waitFor()
      await panel(page, "Mailbox").getByText("acknowledged up to").waitFor()
      const newest = panel(page, "Newest events").getByRole("row")
      await until("its newest events are listed", async () => (await newest.count()) > 1)
      await page.getByRole("button", { name: "Kick" }).click()
      await page.getByText("Its connection was closed.").waitFor()
    }),
  )

  it.effect("says that there is no such record, and that an address names nothing", () =>
    on(
      "/journey/nobody/987654321",
      async (page) => {
        await page.getByRole("alert").waitFor()
        await page.goto(new URL("/clients/nobody/more", page.url()).href)
        await page.goto(new URL("/clients/nobody", page.url()).href)
        await page.getByText("not known to the registry").waitFor()
      },
      { ...desktop, tolerate: /404/ },
    ),
  )

  it.effect.each(viewPaths)("fits a phone at %s: nothing is wider than the screen", (path) =>
    on(
      path,
      async (page) => {
        await isShown(page, path)
        assert.strictEqual(await page.evaluate("document.documentElement.scrollWidth"), 360)
      },
      phone,
    ),
  )

  it.effect.each(viewPaths.flatMap((path) => (["light", "dark"] as const).map((scheme) => ({ path, scheme }))))(
    "has nothing that axe objects to at $path, $scheme",
    ({ path, scheme }) =>
      on(
        path,
        async (page) => {
          await isShown(page, path)
          assert.deepStrictEqual(await objections(page), [])
        },
        { ...desktop, colorScheme: scheme },
      ),
  )

  it.effect("is shown where the browser names a language that there is not", () =>
    on("/healthz", async (page) => {
      await page.addInitScript("Object.defineProperty(Navigator.prototype, 'language', { get: () => 'en-US@posix' })")
      await page.goto(new URL("/", page.url()).href)
      await page.getByRole("heading", { name: "Clients" }).waitFor()
    }),
  )

  it.effect("is used by keyboard alone", () =>
    on("/", async (page) => {
      await page.getByRole("link", { name: "Chat" }).waitFor()
      await page.keyboard.press("Tab")
      assert.strictEqual(await focused(page), "Skip to content")
      await page.getByLabel("Sample clients", { exact: true }).focus()
      await page.keyboard.press("Enter")
      await page.getByRole("button", { name: "Cut it off" }).focus()
      await page.keyboard.press("Space")
      await page.locator(".story").getByText("OFFLINE").waitFor()
      await page.getByRole("link", { name: "Chat" }).focus()
      await page.keyboard.press("Enter")
      await page.getByRole("heading", { name: "Chat", exact: true }).waitFor()
      // The view takes the focus once it has been drawn.
      await page.locator("main:focus").waitFor()
    }),
  )
})

const until = (what: string, isSo: () => Promise<boolean>) => Effect.runPromise(eventually(what, Effect.promise(isSo)))

const focused = (page: Page) => page.evaluate("document.activeElement.textContent")

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

const Found = Schema.Struct({
  violations: Schema.Array(
    Schema.Struct({
      id: Schema.String,
      nodes: Schema.Array(Schema.Struct({ html: Schema.String, failureSummary: Schema.optional(Schema.String) })),
    }),
  ),
})

/** What axe finds wrong, each with the element. */
const objections = async (page: Page): Promise<ReadonlyArray<string>> => {
  await page.evaluate(axe)
  const found = Schema.decodeUnknownSync(Found)(await page.evaluate("axe.run()"))
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ failureSummary, html }) => `${id}: ${html} ${failureSummary}`),
  )
}

/** What Chromium says of a gateway that is not there, goes just now, or listens and does not serve yet. */
const gatewayAway = /ERR_|Connection closed before receiving a handshake response|\b503\b/

describe("the page", () => {
  it.live("says that the connection is lost, and goes on once the gateway is back", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const place = { cwd: yield* temporaryDirectory, env: { NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: "0" } }
      const server = yield* startServer(place)
      const scope = yield* Effect.scope
      const kill = Effect.andThen(server.kill("SIGKILL"), server.ended)
      const startAgain = Effect.provideService(startServer(place), Scope.Scope, scope)
      const watching = async (page: Page) => {
        const link = page.getByRole("banner").getByRole("status")
        await link.getByText("live", { exact: true }).waitFor()
        const clientId = await startSamples(page, 1)
        await Effect.runPromise(kill)
        await link.getByText("connection lost, trying again").waitFor()
        await Effect.runPromise(startAgain)
        await link.getByText("live", { exact: true }).waitFor()
        await panel(page, "Clients").getByRole("row", { name: clientId }).getByText("LIVE").waitFor()
        await page.getByText(/, 0 missing, 0 repeated$/).waitFor()
      }
      yield* visit(yield* browser, `http://127.0.0.1:${port}`, watching, { ...desktop, tolerate: gatewayAway })
    }),
  )
})

layer(
  Layer.effect(
    Stage,
    Effect.gen(function* () {
      const port = yield* freePort
      const env = { NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: "0", NIMBUS_ADMIN_TOKEN: "a long enough token" }
      yield* startServer({ cwd: yield* temporaryDirectory, env })
      return { browser: yield* browser, url: `http://127.0.0.1:${port}` }
    }),
  ),
  { excludeTestServices: true, timeout: 120_000 },
)("the page of a gateway with an admin token", (it) => {
  it.effect("asks for it, refuses a wrong one, and keeps the right one for as long as the tab lives", () =>
    on(
      "/",
      async (page) => {
        const enter = async (token: string) => {
          await page.getByLabel("Token", { exact: true }).fill(token)
          await page.getByRole("button", { name: "Go on" }).click()
        }
        await page.getByRole("heading", { name: "This gateway asks for its admin token" }).waitFor()
        assert.deepStrictEqual(await objections(page), [])
        await enter("a wrong one")
        await page.getByText("The token was refused.").waitFor()
        await enter("a long enough token")
        await panel(page, "Flow").locator("text").getByText("0 connected").waitFor()
        await page.reload()
        await panel(page, "Flow").locator("text").getByText("0 connected").waitFor()
      },
      { ...desktop, tolerate: /401/ },
    ),
  )
})
