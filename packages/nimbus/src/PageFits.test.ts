/** What stands on the page is there to be read and clicked: nothing is cut off, at 1,280 px and on a phone. */
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Page } from "playwright-core"
import { vi } from "vitest"
import { on, panel, Stage, startSamples, until } from "./testing/PageStage.ts"
import { phone, visit, type VisitOptions } from "./testing/Visitor.ts"

// On a machine that is busy with other tests a click may take seconds.
vi.setConfig({ testTimeout: 120_000 })

const screens: ReadonlyArray<readonly [name: string, options: VisitOptions]> = [
  ["1,280 px", { viewport: { width: 1280, height: 860 } }],
  ["a phone of 390 px", { ...phone, viewport: { width: 390, height: 844 } }],
  ["a phone of 360 px", phone],
]

/**
 * Elements with text of their own, and buttons, that are not whole within the screen and within all that cuts off around
 * them; what only screen readers see does not count. A region that scrolls down and not sideways hides nothing for good.
 */
const cutOff = `(() => {
  const found = []
  const clips = (style) => style.overflowX !== "visible"
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const hasText = [...element.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim() !== "")
    if (!hasText && element.tagName !== "BUTTON") continue
    if (element.closest(".hidden, .skip, desc") || element.getClientRects().length === 0) continue
    const { left, right } = element.getBoundingClientRect()
    const tell = (by) => found.push(element.tagName + " " + element.textContent.trim().slice(0, 40) + " by " + by)
    if (left < -0.5 || right > innerWidth + 0.5) tell("the screen")
    if (clips(getComputedStyle(element)) && element.scrollWidth > element.clientWidth) tell("itself")
    for (let around = element.parentElement; around; around = around.parentElement) {
      if (!clips(getComputedStyle(around))) continue
      const box = around.getBoundingClientRect()
      if (left < box.left - 0.5 || right > box.right + 0.5) tell(around.className.baseVal ?? around.className)
    }
  }
  return found
})()`

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

/** The overview on several screens at the same time. */
const onAll = (screens: ReadonlyArray<VisitOptions>, use: (pages: ReadonlyArray<Page>) => Promise<void>) =>
  Effect.flatMap(Stage, ({ browser, url }) => {
    const open = (rest: ReadonlyArray<VisitOptions>, pages: ReadonlyArray<Page>): Effect.Effect<void> => {
      const [options, ...more] = rest
      if (options === undefined) return Effect.promise(() => use(pages))
      return visit(browser, url, (page) => Effect.runPromise(open(more, [...pages, page])), options)
    }
    return open(screens, [])
  })

layer(Stage.layer, { excludeTestServices: true, timeout: 120_000 })("the page fits", (it) => {
  // First of all: later 30,000 messages may stand between the end of the log and the one event that is looked for.
  const views = [
    { path: "/chat", shows: "Room lobby" },
    { path: "/clients/seen", shows: "message" },
    { path: "/journey/seen/0", shows: "The event" },
  ]
  it.effect.each(screens.flatMap((screen) => views.map(({ path, shows }) => ({ path, screen, shows }))))(
    "$screen.0 at $path",
    ({ path, screen: [, options], shows }) =>
      on(
        path,
        async (page) => {
          await page.getByRole("heading", { level: 2 }).first().waitFor()
          await page.getByText(shows, { exact: true }).first().waitFor()
          assert.deepStrictEqual(await page.evaluate(cutOff), [])
        },
        options,
      ),
  )

  it.effect("every screen, while clients are cut off, replay and are LIVE", () =>
    onAll(
      screens.map(([, options]) => options),
      async (pages) => {
        const onEach = <A>(use: (page: Page, i: number) => Promise<A>): Promise<ReadonlyArray<A>> =>
          Promise.all(pages.map(use))
        const whole = async (when: string) => {
          const cut = await onEach((page) => page.evaluate(cutOff))
          for (const [i, [screen]] of screens.entries()) assert.deepStrictEqual(cut[i], [], `${screen}, ${when}`)
        }
        const ids = await onEach((page) => startSamples(page, 3))
        const rowOf = (page: Page, i: number) => panel(page, "Clients").getByRole("row", { name: ids[i] ?? "" })
        const story = (page: Page) => page.locator(".story")
        await whole("LIVE")
        await onEach((page) => page.getByRole("button", { name: "Cut it off" }).click())
        await onEach((page) => story(page).getByText("OFFLINE").waitFor())
        await onEach((page) => page.getByRole("button", { name: "Send it 30,000 messages" }).click())
        await onEach((page, i) =>
          rowOf(page, i)
            .getByText(/^30,0\d\d waiting$/)
            .waitFor(),
        )
        await whole("OFFLINE")
        // Their barriers do not come through without this one: they replay for as long as the test looks.
        await pages[0]?.getByRole("button", { name: "Kill event-consumer" }).click()
        await onEach((page) => page.getByRole("button", { name: "Bring it back" }).click())
        await onEach((page, i) =>
          rowOf(page, i)
            .getByText(/to go, .+ left/)
            .waitFor(),
        )
        await onEach((page) => panel(page, "Flow").locator("tspan").getByText("stopped").waitFor())
        await whole("REPLAYING")
        await pages[0]?.getByRole("button", { name: "Restart event-consumer" }).click()
        await onEach((page) => story(page).getByText("LIVE").waitFor())
        await onEach((page, i) => page.getByRole("button", { name: `Cut off ${ids[i]}` }).click())
        await onEach((page, i) => page.getByRole("button", { name: `Bring back ${ids[i]}` }).waitFor())
        await whole("OFFLINE again")
        await onEach(async (page) => {
          for (const topic of await page.locator("summary").all()) await topic.click()
        })
        await whole("with its topics open")
      },
    ),
  )

  it.effect.each(screens)("%s with the labels of its charts, however wide they are", ([, options]) =>
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
})
