/** Somebody who looks at the page of a gateway with a real browser, and does not put up with errors in its console. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"

export interface VisitOptions extends BrowserContextOptions {
  /** Errors that belong to what is tested. */
  readonly tolerate?: RegExp
}

/** What Chromium says of a connection that the page gives up while it is still being made, as it may at any time. */
const givenUp = /WebSocket is closed before the connection is established/

/** Long enough for a machine that is busy with other tests. */
const patience_ms = 45_000

export const desktop: VisitOptions = { viewport: { width: 1360, height: 900 } }
/** A small phone. */
export const phone: VisitOptions = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }

/** Opens the page at `url`, in a browser profile of its own, for as long as `use` takes. */
export const visit = (
  browser: Browser,
  url: string,
  use: (page: Page) => Promise<void>,
  { tolerate, ...options }: VisitOptions = desktop,
): Effect.Effect<void> =>
  Effect.promise(async () => {
    const context = await browser.newContext({ locale: "en-GB", ...options })
    context.setDefaultTimeout(patience_ms)
    const page = await context.newPage()
    const errors: Array<string> = []
    page.on("console", (message) => {
      const isComplaint = message.type() === "error" || message.type() === "warning"
      if (isComplaint && !givenUp.test(message.text())) errors.push(message.text())
    })
    page.on("pageerror", (error) => errors.push(String(error)))
    try {
      await page.goto(url)
      await use(page)
      assert.deepStrictEqual(
        errors.filter((error) => tolerate === undefined || !tolerate.test(error)),
        [],
      )
    } catch (error) {
      const shown = await page
        .getByRole("main")
        .innerText({ timeout: 1_000 })
        .catch(() => "nothing")
      throw new Error(`with the console saying ${JSON.stringify(errors)} and the page showing\n${shown}`, {
        cause: error,
      })
    } finally {
      await context.close()
    }
  })
