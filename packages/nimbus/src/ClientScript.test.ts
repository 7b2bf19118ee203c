/** A page that was built by nobody: it imports the SDK from a running gateway, in a real Chromium. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { Browser, Page } from "playwright-core"
import { vi } from "vitest"
import { browser } from "./testing/Browser.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

// On a machine that is busy with other tests a browser may take long.
vi.setConfig({ testTimeout: 120_000 })

/** What a page needs: no build, no bundler, nothing global. */
const bare = (gateway: string, clientId: string) => `<!doctype html>
<title>A page of its own</title>
<p id="status"></p>
<pre id="results"></pre>
<script type="module">
  import { connect, Memory } from "${gateway}/client.js"

  const show = (id, text) => document.getElementById(id).append(text + "\\n")
  const client = await connect({
    url: "${gateway}",
    clientId: "${clientId}",
    memory: Memory.layerStorage(localStorage),
    onResult: (result) => show("results", JSON.stringify(result.data)),
    onStatus: (status) => show("status", status),
  })
  await client.send("sq", { number: 7 })
</script>`

const story = "Each of these words is to be seen once, however often the page that shows them is loaded again. "

/** A page that streams a task, or resumes the one that it had streamed before it was loaded again. */
const streaming = (gateway: string, clientId: string) => `<!doctype html>
<title>A page that may be loaded again</title>
<p id="text"></p>
<p id="end"></p>
<script type="module">
  import { connect, Memory } from "${gateway}/client.js"

  const show = (id, text) => (document.getElementById(id).textContent += text)
  const memory = Memory.layerStorage(localStorage)
  const client = await connect({ url: "${gateway}", clientId: "${clientId}", memory, onResult: (item) => show("end", item.id) })
  const [task] = client.tasks
  const parts = task
    ? client.resume(task.id)
    : client.stream("stream", { text: ${JSON.stringify(story)}, every_ms: 200 })
  for await (const part of parts) show("text", part)
  show("end", "the end, " + client.tasks.length + " task")
</script>`

/** Serves these pages, as any server of files would: gives its origin. */
const siteOf = (gateway: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const site = createServer((request, response) => {
        const clientId = (request.url ?? "").slice(1)
        const page = clientId === "streaming" ? streaming(gateway, clientId) : bare(gateway, clientId)
        response.setHeader("content-type", "text/html; charset=utf-8").end(page)
      })
      await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve))
      return site
    }),
    (site) => Effect.promise(() => new Promise((resolve) => site.close(resolve))),
  ).pipe(Effect.map((site) => `http://127.0.0.1:${(site.address() as AddressInfo).port}`))

interface Places {
  readonly browser: Browser
  readonly named: string
  readonly other: string
}

class Stage extends Context.Service<Stage, Places>()("test/ClientScriptStage") {
  static readonly layer = Layer.effect(
    Stage,
    Effect.gen(function* () {
      const port = yield* freePort
      const gateway = `http://127.0.0.1:${port}`
      const [named, other] = [yield* siteOf(gateway), yield* siteOf(gateway)]
      const env = { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}`, NIMBUS_ORIGINS: named }
      yield* startServer({ cwd: yield* temporaryDirectory, env })
      return { browser: yield* browser, named, other }
    }),
  )
}

const on = (url: (places: Places) => string, use: (page: Page, errors: ReadonlyArray<string>) => Promise<void>) =>
  Effect.flatMap(Stage, (places) =>
    Effect.promise(async () => {
      const context = await places.browser.newContext()
      try {
        const page = await context.newPage()
        const errors: Array<string> = []
        page.on("console", (message) => {
          if (message.type() === "error") errors.push(message.text())
        })
        page.on("pageerror", (error) => errors.push(error.message))
        await page.goto(url(places))
        await use(page, errors)
      } finally {
        await context.close()
      }
    }),
  )

layer(Stage.layer, { excludeTestServices: true, timeout: 120_000 })("/client.js", (it) => {
  it.effect("lets a page without a bundler send an event and show its result", () =>
    on(
      ({ named }) => `${named}/bare`,
      async (page, errors) => {
        await page.locator("#results").getByText(`{"number":7,"result":49}`).waitFor()
        await page.locator("#status").getByText("LIVE").waitFor()
        assert.deepStrictEqual(errors, [])
      },
    ),
  )

  it.effect("lets a page stream a task, and end it with each word once after it was loaded again in the middle", () =>
    on(
      ({ named }) => `${named}/streaming`,
      async (page, errors) => {
        const text = page.locator("#text")
        for (let loads = 0; loads < 2; loads++) {
          await text.getByText(loads === 0 ? "these words" : "however often").waitFor()
          assert.isBelow((await text.textContent())?.length ?? 0, story.length)
          await page.reload()
        }
        await page.locator("#end").getByText("the end").waitFor()
        assert.strictEqual(await text.textContent(), story)
        assert.strictEqual(await page.locator("#end").textContent(), "the end, 1 task")
        assert.deepStrictEqual(errors, [])
      },
    ),
  )

  it.effect("is refused to a page of an origin that is not named", () =>
    on(
      ({ other }) => `${other}/stranger`,
      async (page, errors) => {
        await page.waitForLoadState("networkidle")
        assert.isTrue(
          errors.some((error) => /CORS|blocked|403/i.test(error)),
          errors.join("\n"),
        )
        assert.strictEqual(await page.locator("#status").innerText(), "")
      },
    ),
  )
})
