/** The tests that everything on the page can be read and clicked: nothing is cut off, at 1,280 px and on phones. */
import { assert, type Vitest } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Page } from "playwright-core"
import { isShown, on, sendToSeen, type Stage, until } from "./PageStage.ts"
import { cutOff, screens } from "./Screens.ts"
import { phone } from "./Visitor.ts"

/** Takes down every text that is drawn on a canvas of the page, with where it stands on it. */
const noteTexts = `(() => {
  window.drawn = []
  const fillText = CanvasRenderingContext2D.prototype.fillText
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const at = this.getTransform().transformPoint({ x, y })
    const { actualBoundingBoxLeft, actualBoundingBoxRight, actualBoundingBoxAscent, actualBoundingBoxDescent } =
      this.measureText(text)
    window.drawn.push({
      text,
      left: at.x - actualBoundingBoxLeft,
      right: this.canvas.width - at.x - actualBoundingBoxRight,
      top: at.y - actualBoundingBoxAscent,
      bottom: this.canvas.height - at.y - actualBoundingBoxDescent,
    })
    return fillText.apply(this, arguments)
  }
})()`

const Drawn = Schema.Array(
  Schema.Struct({
    text: Schema.String,
    left: Schema.Finite,
    right: Schema.Finite,
    top: Schema.Finite,
    bottom: Schema.Finite,
  }),
)

const drawnOn = async (page: Page) => Schema.decodeUnknownSync(Drawn)(await page.evaluate("window.drawn"))

/** The last five minutes of a gateway that has much to do: as wide as labels get. */
const busy = (now: number) =>
  Array.from({ length: 300 }, (_, i) => ({
    at: now - (300 - i) * 1_000,
    accepted_per_s: 30_000,
    delivered_per_s: 300_000,
    replayed_per_s: 0,
    topics: { events_per_s: 30_000, results_per_s: 30_000, dlq_per_s: 0 },
    latency: { p50_ms: 3_750, p99_ms: 12_500 },
  }))

const views = [
  { path: "/chat", shows: "Room lobby" },
  { path: "/clients/seen", shows: "message" },
  { path: "/journey/seen/0", shows: "The event" },
]

const widthOf = (page: Page) => page.evaluate("document.documentElement.scrollWidth")

/** One visit for all screens of a kind: it changes the size of the window. */
const kinds = [
  { kind: "a desktop", sizes: screens.filter(([, { isMobile }]) => isMobile !== true) },
  { kind: "phones", sizes: screens.filter(([, { isMobile }]) => isMobile === true) },
]

export const pageFits = (it: Vitest.MethodsNonLive<Stage>): void => {
  it.effect.each(kinds.flatMap(({ kind, sizes }) => views.map(({ path, shows }) => ({ kind, path, shows, sizes }))))(
    "fits $kind at $path",
    ({ path, shows, sizes }) =>
      Effect.andThen(
        sendToSeen,
        on(
          path,
          async (page) => {
            await page.getByRole("heading", { level: 2 }).first().waitFor()
            await page.getByText(shows, { exact: true }).first().waitFor()
            await isShown(page, path)
            for (const [screen, { viewport }] of sizes) {
              assert(viewport)
              await page.setViewportSize(viewport)
              assert.deepStrictEqual(await page.evaluate(cutOff), [], screen)
              assert.strictEqual(await widthOf(page), viewport.width, screen)
            }
          },
          sizes[0]?.[1],
        ),
      ),
  )

  it.effect("fits a phone at /: nothing is wider than the screen", () =>
    on(
      "/",
      async (page) => {
        await isShown(page, "/")
        assert.strictEqual(await widthOf(page), 360)
      },
      phone,
    ),
  )

  it.effect.each(screens)("fits %s with the labels of its charts, however wide they are", ([, options]) =>
    on(
      "/healthz",
      async (page) => {
        await page.addInitScript(noteTexts)
        await page.route("**/v1/admin/history", (route) => route.fulfill({ json: busy(Date.now()) }))
        await page.goto(new URL("/", page.url()).href)
        const shown = ["300,000/s", "10 s"]
        await until("the charts are drawn", async () => {
          const texts = new Set((await drawnOn(page)).map(({ text }) => text))
          return shown.every((text) => texts.has(text))
        })
        const cut = (await drawnOn(page)).filter(
          ({ bottom, left, right, top }) => Math.min(bottom, left, right, top) < 0,
        )
        assert.deepStrictEqual(cut, [])
      },
      options,
    ),
  )
}
