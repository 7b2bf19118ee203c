/** The page of a gateway in a real Chromium, and what the tests of it share. */
import { assert } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Layer } from "effect"
import type { Browser, Page } from "playwright-core"
import { browser } from "./Browser.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./Processes.ts"
import { desktop, visit, type VisitOptions } from "./Visitor.ts"

/** One browser for all servers whose pages a file tests: each visit has a profile of its own. */
export class Chromium extends Context.Service<Chromium, Browser>()("test/Chromium") {
  static readonly layer = Layer.effect(Chromium, browser)
}

export class Stage extends Context.Service<Stage, { readonly browser: Browser; readonly url: string }>()("test/Stage") {
  /** A server without an archive, with these settings besides. */
  static readonly layerWith = (settings: Readonly<Record<string, string>>) =>
    Layer.effect(
      Stage,
      Effect.gen(function* () {
        const port = yield* freePort
        const env = { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}`, ...settings }
        yield* startServer({ cwd: yield* temporaryDirectory, env })
        return { browser: yield* Chromium, url: `http://127.0.0.1:${port}` }
      }),
    )

  /** With a message for `seen` in its log, the first record of its partition, whose seq is 0. */
  static readonly layer = Layer.tap(Stage.layerWith({}), (context) => Effect.provideContext(sendToSeen, context))
}

/** A message for the client `seen`: the newest record of its partition, whatever sample clients have sent. */
export const sendToSeen = Effect.flatMap(Stage, ({ url }) =>
  Effect.promise(async () => {
    const body = JSON.stringify({ name: "news", data: { number: 1 } })
    const headers = { "content-type": "application/json" }
    const response = await fetch(`${url}/v1/clients/seen/messages`, { method: "POST", headers, body })
    assert.strictEqual(response.status, 200, await response.text())
  }),
)

export const on = (path: string, use: (page: Page) => Promise<void>, options: VisitOptions = desktop) =>
  Effect.flatMap(Stage, ({ browser, url }) => visit(browser, `${url}${path}`, use, options))

export const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true })

/** Starts sample clients, and gives the id of the first once all are LIVE. */
export const startSamples = async (page: Page, count: number): Promise<string> => {
  await page.getByLabel("Sample clients", { exact: true }).first().fill(String(count))
  await page.getByRole("button", { name: "Start", exact: true }).click()
  const table = page.getByRole("region", { name: "Sample clients" })
  await table
    .getByText("LIVE")
    .nth(count - 1)
    .waitFor()
  return table.getByRole("rowheader").first().innerText()
}

export const until = (what: string, isSo: () => Promise<boolean>) =>
  Effect.runPromise(eventually(what, Effect.promise(isSo)))

/** Waits until a view has all that it shows. */
export const isShown = async (page: Page, path: string) => {
  if (path === "/") await startSamples(page, 2)
  else if (path === "/chat") await page.getByRole("log").waitFor()
  else if (path.startsWith("/clients")) await panel(page, "Mailbox").waitFor()
  else await panel(page, "Its hops").waitFor()
}
