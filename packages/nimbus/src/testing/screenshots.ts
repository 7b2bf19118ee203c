/**
 * `npm run screenshots`: the pictures of the page in docs/images, of a server and a browser of their own, which tell the
 * demo's story meanwhile.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { browser } from "./Browser.ts"
import { freePort, startServer, temporaryDirectory } from "./Processes.ts"
import { phone } from "./Visitor.ts"

const images = join(import.meta.dirname, "../../../../docs/images")
const size = { width: 1280, height: 860 }
const results_enough = 40
/** Long enough for a machine that has other things to do. */
const patience_ms = 90_000

/** Somebody who looks with a browser like this. */
const visitor = async (browser: Browser, options: BrowserContextOptions): Promise<Page> => {
  const context = await browser.newContext({ locale: "en-GB", ...options })
  context.setDefaultTimeout(patience_ms)
  return context.newPage()
}

const takeAll = async (browser: Browser, url: string): Promise<void> => {
  const light = await visitor(browser, { viewport: size, colorScheme: "light" })
  await light.goto(url)
  await light.getByRole("button", { name: "Start", exact: true }).click()
  const story = light.locator(".story")
  await has(light, results_enough)
  await story.getByRole("button", { name: "Cut it off" }).click()
  await story.getByRole("button", { name: /messages/ }).click()
  const clients = light.getByRole("region", { name: "List of clients" })
  await clients.getByText(/^\d{1,2},\d{3} waiting/).waitFor()
  await save(light, "page-offline")
  await clients.getByText(/^30,\d{3} waiting/).waitFor()
  await story.getByRole("button", { name: "Bring it back" }).click()
  await clients.getByText(/s left/).waitFor()
  await save(light, "page-replaying")

  const dark = await visitor(browser, { viewport: size, colorScheme: "dark" })
  await dark.goto(url)
  await dark.getByText(/to go/).waitFor()
  await save(dark, "page-dark")
  await story.getByText("LIVE").waitFor()

  const small = await visitor(browser, { ...phone, deviceScaleFactor: 2 })
  await small.goto(url)
  await small
    .locator(".flow-drawing")
    .getByText(/^[1-9]\d*\/s$/)
    .first()
    .waitFor()
  await save(small, "page-phone")

  await light
    .getByRole("link", { name: /^Journey of/ })
    .last()
    .click()
  await light.getByRole("heading", { name: "Acknowledged" }).waitFor()
  await save(light, "page-journey")

  await dark.goto(`${url}/chat`)
  await say(dark, "Ada", "The release is out.")
  await light.goto(`${url}/chat`)
  await say(light, "Ben", "Seen it. Nobody has missed a result.")
  await dark.getByRole("log").getByText("Seen it").waitFor()
  await save(dark, "page-chat")
}

/** Waits until the sample clients have so many results among them. */
const has = async (page: Page, results: number): Promise<void> => {
  for (const cell of await page.locator(".demo td.number").all()) {
    await cell.getByText(new RegExp(`^(${results / 5}|\\d{2,})$`)).waitFor()
  }
}

const say = async (page: Page, who: string, text: string): Promise<void> => {
  await page.getByLabel("Your name").fill(who)
  await page.getByLabel("Message").fill(text)
  await page.getByRole("button", { name: "Say" }).click()
  await page.getByRole("log").getByText(text).waitFor()
}

const save = (page: Page, name: string): Promise<unknown> => page.screenshot({ path: join(images, `${name}.png`) })

mkdirSync(images, { recursive: true })
await Effect.gen(function* () {
  const port = yield* freePort
  yield* startServer({ cwd: yield* temporaryDirectory, env: { NIMBUS_HTTP_PORT: `${port}`, NIMBUS_PORT: "0" } })
  const shown = yield* browser
  yield* Effect.promise(() => takeAll(shown, `http://127.0.0.1:${port}`))
}).pipe(Effect.scoped, Effect.runPromise)
