/** The page fits while clients are cut off, replay and are LIVE, on all screens at the same time. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Page } from "playwright-core"
import { vi } from "vitest"
import { Chromium, panel, Stage, startSamples } from "./testing/PageStage.ts"
import { cutOff, screens } from "./testing/Screens.ts"
import { visit, type VisitOptions } from "./testing/Visitor.ts"

// On a machine that is busy with other tests a click may take seconds.
vi.setConfig({ testTimeout: 120_000 })

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

layer(Stage.layer.pipe(Layer.provide(Chromium.layer)), { excludeTestServices: true, timeout: 120_000 })(
  "the page fits",
  (it) => {
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
  },
)
