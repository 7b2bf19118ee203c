/** The web page of `nimbus start`, in a real Chromium: what a newcomer does by clicks, and what an operator looks for. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Page } from "playwright-core"
import { vi } from "vitest"
import { pageFits } from "./testing/pageFits.ts"
import { Chromium, isShown, on, panel, Stage, startSamples, until } from "./testing/PageStage.ts"
import { desktop, phone, visit } from "./testing/Visitor.ts"

// On a machine that is busy with other tests a click may take seconds.
vi.setConfig({ testTimeout: 120_000 })

const say = async (page: Page, who: string, text: string) => {
  await page.getByLabel("Your name").fill(who)
  await page.getByLabel("Message").fill(text)
  await page.getByRole("button", { name: "Say" }).click()
  await page.getByRole("log").getByText(text).waitFor()
}

const enter = async (page: Page, room: string) => {
  await page.getByLabel("Room", { exact: true }).fill(room)
  await page.getByRole("button", { name: "Enter" }).click()
  await page.getByRole("heading", { name: `Room ${room}` }).waitFor()
}

const Receipts = Schema.Struct({ receipts: Schema.Array(Schema.Struct({ seq: Schema.Int })) })

/** Messages for a client, and the seqs that they have. */
const post = (url: string, clientId: string, messages: ReadonlyArray<object>) =>
  Effect.promise(async () => {
    const headers = { "content-type": "application/json" }
    const body = JSON.stringify(messages)
    const response = await fetch(`${url}/v1/clients/${clientId}/messages`, { method: "POST", headers, body })
    return Schema.decodeUnknownSync(Receipts)(await response.json()).receipts.map(({ seq }) => seq)
  })

const Listed = Schema.Struct({ clients: Schema.Array(Schema.Struct({ clientId: Schema.String })) })

/** A client that connects, and goes without a word. */
const comeAndGo = (url: string, clientId: string) =>
  Effect.promise(async () => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/stream?clientId=${clientId}`)
    await new Promise((resolve) => socket.addEventListener("message", resolve, { once: true }))
    socket.close()
  })

/** A task of a client that takes half an hour, and its items. The client stays for as long as the scope lives. */
const longTask = Effect.fnUntraced(function* (url: string, clientId: string, id: string) {
  const items: Array<{ readonly of?: string; readonly end?: string }> = []
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`${url.replace("http", "ws")}/v1/stream?clientId=${clientId}`)),
    (socket) => Effect.sync(() => socket.close()),
  )
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(String(data))
    if (frame.type === "results") items.push(...frame.items)
  })
  yield* Effect.promise(() => new Promise((resolve) => socket.addEventListener("open", resolve, { once: true })))
  const data = { text: "word ".repeat(800), every_ms: 1_000 }
  socket.send(JSON.stringify({ type: "event", id, name: "stream", data }))
  return items
})

/** Every view. */
const viewPaths = ["/", "/chat", "/clients/seen", "/journey/seen/0"]

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

layer(Chromium.layer, { excludeTestServices: true, timeout: 120_000 })((it) => {
  it.layer(Stage.layer, { timeout: 120_000 })("the page of nimbus start", (it) => {
    it.effect(
      "tells the story by clicks: a client is cut off, its messages queue, it is back, replays and is LIVE",
      () =>
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
            panel(page, "Flow")
              .locator(".way", { hasText: "to 1 REPLAYING client" })
              .locator(".way-note")
              .getByText(/^\d,\d{3}\/s$/)
              .waitFor(),
          ])
          await page.getByRole("button", { name: "Restart event-consumer" }).click()
          await Promise.all([story.getByText("LIVE").waitFor(), row.getByText("LIVE").waitFor()])
          await story.getByText(/^30,\d\d\d results, 0 missing, 0 repeated$/).waitFor()
        }),
    )

    it.effect("says in one sentence what Nimbus does", () =>
      on("/", async (page) => {
        const sentence = await page.getByRole("main").getByRole("paragraph").first().innerText()
        assert.match(sentence, /^Nimbus takes events .+ exactly once, in order, [^.]+\.$/)
      }),
    )

    it.effect(
      "takes its sample clients with it when it is reloaded or closed, with their mail, and no other client",
      () =>
        Effect.gen(function* () {
          const { browser, url } = yield* Stage
          yield* comeAndGo(url, "demo-of-somebody")
          const listed = async (search: string): Promise<ReadonlyArray<string>> => {
            const response = await fetch(`${url}/v1/admin/clients?search=${search}`)
            return Schema.decodeUnknownSync(Listed)(await response.json()).clients.map(({ clientId }) => clientId)
          }
          const leave = async (page: Page, go: () => Promise<unknown>) => {
            const clientId = await startSamples(page, 3)
            const family = clientId.replace(/\d+$/, "")
            await page.getByRole("button", { name: "Cut it off" }).click()
            await page.locator(".story").getByText("OFFLINE").waitFor()
            await Effect.runPromise(post(url, clientId, [{ name: "news", data: { number: 1 } }]))
            await until("all are listed", async () => (await listed(family)).length === 3)
            await go()
            await until("none is listed", async () => (await listed(family)).length === 0)
            const mailbox = await fetch(`${url}/v1/admin/clients/${clientId}/mailbox`)
            assert.strictEqual(Object(await mailbox.json()).results, 0)
          }
          yield* visit(browser, url, async (page) => {
            await leave(page, () => page.reload())
            await leave(page, () => page.getByRole("button", { name: "Stop all" }).click())
            const other = await page.context().newPage()
            await other.goto(url)
            await leave(other, () => other.close({ runBeforeUnload: true }))
            assert.deepStrictEqual(await listed("demo-of-somebody"), ["demo-of-somebody"])
          })
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
        await page.getByRole("button", { name: "Stop all" }).click()
        const lags = async () => [
          ...(await flow.locator(".place-note").getByText(/^lag/).allTextContents()),
          ...(await panel(page, "Topics").locator("summary").getByText(/^lag/).allTextContents()),
        ]
        await until("nothing is behind", async () => (await lags()).join() === Array(7).fill("lag 0").join())
      }),
    )

    it.effect("shows a task that runs, where and since when, and cancels it", () =>
      Effect.gen(function* () {
        const { browser, url } = yield* Stage
        const items = yield* longTask(url, "asker", "t1")
        yield* visit(browser, url, async (page) => {
          const tasks = panel(page, "Tasks")
          const row = tasks.getByRole("row", { name: "asker" })
          await row.getByRole("cell", { name: /^\d+ s$/ }).waitFor()
          await tasks.getByText("1 running, 0 waiting").waitFor()
          const [name, , attempt, , id] = await row.getByRole("cell").allInnerTexts()
          assert.deepStrictEqual([name, attempt, id], ["stream", "1", "t1"])
          assert.deepStrictEqual(await objections(page), [])
        })
        yield* visit(
          browser,
          url,
          async (page) => {
            await panel(page, "Tasks").getByRole("row", { name: "asker" }).waitFor()
            assert.strictEqual(await page.evaluate("document.documentElement.scrollWidth"), 360)
          },
          phone,
        )
        yield* visit(browser, url, async (page) => {
          const tasks = panel(page, "Tasks")
          const row = tasks.getByRole("row", { name: "asker" })
          await until("a part has come", async () => items.some(({ of }) => of === "t1"))
          await row.getByRole("button", { name: "Cancel stream of asker, t1" }).click()
          await row.waitFor({ state: "detached" })
          await tasks.getByText("No task runs or waits.").waitFor()
          await until("its client has the end", async () => items.some(({ end }) => end === "cancelled"))
        })
      }),
    )

    it.effect(
      "streams an answer to a client that is cut off, from a worker that is killed: each word is there once",
      () =>
        on("/", async (page) => {
          await startSamples(page, 1)
          const story = page.locator(".story")
          await page.getByRole("button", { name: "Streaming answer" }).click()
          const answer = page.getByLabel("The streamed answer")
          await until("it has begun", async () => (await answer.innerText()).startsWith("This text comes"))
          await page.getByRole("button", { name: "Cut it off" }).click()
          await story.getByText("OFFLINE").waitFor()
          const before = await answer.innerText()
          await page.getByRole("button", { name: "Kill task-worker" }).click()
          await page.getByRole("button", { name: "Restart task-worker" }).click()
          await page.getByRole("button", { name: "Bring it back" }).click()
          await until("it goes on", async () => (await answer.innerText()).length > before.length)
          await page.getByText("Done: the text is complete, each word once.").waitFor()
          await story.getByText(/, 0 missing, 0 repeated$/).waitFor()
          assert.deepStrictEqual(await objections(page), [])

          await page.getByRole("button", { name: "Streaming answer" }).click()
          await until("it has begun again", async () => (await answer.innerText()).startsWith("This text"))
          await page.getByRole("button", { name: "Cancel it" }).click()
          await page.getByText("Cancelled.", { exact: true }).waitFor()
        }),
    )

    it.effect("shows that the events of a client wait behind a slow handler, and what it answers", () =>
      on("/", async (page) => {
        await startSamples(page, 1)
        await page.getByRole("button", { name: "Slow handler" }).click()
        await page.getByText("The handler takes 5 s, and the numbers wait …").waitFor()
        await page.getByText(/^Answered after [5-9]\.\d s, and the numbers behind it too\.$/).waitFor()
        await page.getByText(/, 0 missing, 0 repeated$/).waitFor()
      }),
    )

    it.effect("gives who was cut off from a room what the others said meanwhile, in order and once", () =>
      Effect.gen(function* () {
        const { browser, url } = yield* Stage
        const log = (page: Page) => page.getByRole("log")
        yield* visit(browser, `${url}/chat`, async (page) => {
          await enter(page, "cut")
          await say(page, "Ada", "one")
          await Effect.runPromise(
            visit(browser, `${url}/chat`, async (other) => {
              await enter(other, "cut")
              await log(other).getByText("one").waitFor()
              await page.getByRole("button", { name: "Cut me off" }).click()
              await page.getByText("cut off", { exact: true }).waitFor()
              assert.isTrue(await page.getByRole("button", { name: "Say" }).isDisabled())
              for (const text of ["two", "three", "four"]) await say(other, "Ben", text)
              assert.strictEqual(await log(page).getByText("two").count(), 0)
              await page.getByRole("button", { name: "Bring me back" }).click()
              await page.getByRole("main").getByText("live", { exact: true }).waitFor()
              await log(page).getByText("four").waitFor()
              await say(page, "Ada", "five")
              for (const shown of [page, other]) {
                await log(shown).getByText("five").waitFor()
                assert.deepStrictEqual(await log(shown).locator("p").allInnerTexts(), [
                  "one",
                  "two",
                  "three",
                  "four",
                  "five",
                ])
              }
            }),
          )
        })
      }),
    )

    it.effect("carries what is said in a room from one page to another, and its history to who comes later", () =>
      Effect.gen(function* () {
        const { browser, url } = yield* Stage
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
          await enter(page, "elsewhere")
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
        const payload = panel(page, "Its payload")
        assert.match(
          await payload.getByRole("region", { name: "What the client sent" }).innerText(),
          /^{\n {2}"number": \d+\n}$/,
        )
        assert.match(
          await payload.getByRole("region", { name: "What the client gets" }).innerText(),
          /\n {2}"result": \d+\n}$/,
        )
        await page.getByRole("heading", { level: 1 }).getByRole("link", { name: clientId }).click()
        await panel(page, "Where it stands").getByText("LIVE").waitFor()
        await panel(page, "Mailbox").getByText("acknowledged up to").waitFor()
        const newest = panel(page, "Newest events").getByRole("row")
        await until("its newest events are listed", async () => (await newest.count()) > 1)
        await page.getByRole("button", { name: "Kick" }).click()
        await page.getByText("Its connection was closed.").waitFor()
      }),
    )

    it.effect("says that there is no such client or record, and that an address names nothing", () =>
      on(
        "/journey/nobody/987654321",
        async (page) => {
          await page.getByRole("alert").getByText("the log ends before seq 987654321").waitFor()
          await page.goto(new URL("/clients/nobody", page.url()).href)
          await page.getByRole("alert").getByText("nothing is known of a client nobody").waitFor()
          assert.strictEqual(await page.getByRole("button", { name: "Kick" }).count(), 0)
          for (const path of ["/clients/nobody/more", "/nothing", "/journey/seen/x"]) {
            const response = await page.goto(new URL(path, page.url()).href)
            assert.strictEqual(response?.status(), 404, path)
            await page.getByRole("heading", { name: "Nothing is here" }).waitFor()
            await page.getByText(`no page at ${path}`).waitFor()
          }
          await page.getByRole("link", { name: "To the overview" }).click()
          await panel(page, "Flow").waitFor()
        },
        { ...desktop, tolerate: /404/ },
      ),
    )

    it.effect("shows what a record carries as text, whatever it is, and no more than the bound", () =>
      Effect.gen(function* () {
        const { url } = yield* Stage
        const seqs = yield* post(url, "carried", [
          { name: "news", data: { html: "<img src=x onerror=alert(1)>", exact: 1 } },
          { name: "news", data: "x".repeat(50_000) },
        ])
        yield* on(`/journey/carried/${seqs[0]}`, async (page) => {
          const sent = page.getByRole("region", { name: "What a service sent" })
          assert.include(await sent.innerText(), `"html": "<img src=x onerror=alert(1)>",\n`)
          await page.goto(new URL(`/journey/carried/${seqs[1]}`, page.url()).href)
          await page.getByText("The first 16 KiB of 48.8 KiB are shown.").first().waitFor()
          assert.strictEqual((await sent.innerText()).length, 16 * 1024)
        })
      }),
    )

    it.effect.each(viewPaths)("has nothing that axe objects to at %s, light and dark", (path) =>
      on(path, async (page) => {
        await isShown(page, path)
        for (const colorScheme of ["light", "dark"] as const) {
          await page.emulateMedia({ colorScheme })
          assert.deepStrictEqual(await objections(page), [], colorScheme)
        }
      }),
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

    pageFits(it)
  })

  it.layer(Stage.layerWith({ NIMBUS_ADMIN_TOKEN: "a long enough token" }), { timeout: 120_000 })(
    "the page of a gateway with an admin token",
    (it) => {
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
    },
  )
})
