/**
 * Pages of other sites that a browser has open, against `nimbus start`: in a real Chromium whose own guard of loopback
 * addresses is switched off, so that what they send arrives. Each must be refused, and the page of the server must work.
 *
 * `evil.example` leads to this machine, by the resolver of that browser. What a site serves there, before its name leads
 * here, the test answers in the browser.
 */
import { assert, layer } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Layer } from "effect"
import type { Browser, Page } from "playwright-core"
import { vi } from "vitest"
import { browserWith } from "./testing/Browser.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

// On a machine that is busy with other tests a browser may take long.
vi.setConfig({ testTimeout: 120_000 })

const guards = "LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessForNavigations"
const flags = ["--host-resolver-rules=MAP *.example 127.0.0.1", `--disable-features=${guards}`]

class Stage extends Context.Service<Stage, { readonly browser: Browser; readonly port: number }>()("test/Stage") {
  static readonly layer = Layer.effect(
    Stage,
    Effect.gen(function* () {
      const port = yield* freePort
      yield* startServer({ cwd: yield* temporaryDirectory, env: { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}` } })
      return { browser: yield* browserWith(flags), port }
    }),
  )
}

/** A page of this origin, whose site serves nothing but the page. */
const pageAt = (origin: string, use: (page: Page, port: number) => Promise<void>) =>
  Effect.flatMap(Stage, ({ browser, port }) =>
    Effect.promise(async () => {
      const context = await browser.newContext()
      try {
        const page = await context.newPage()
        const home = `${origin.replace("PORT", `${port}`)}/site`
        await page.route(home, (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }))
        await page.goto(home)
        await use(page, port)
      } finally {
        await context.close()
      }
    }),
  )

/** How many requests were refused so, as the server counts them. */
const refused = (code: string) =>
  Effect.flatMap(Stage, ({ port }) =>
    Effect.promise(async () => {
      const text = await fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text())
      return Number(new RegExp(`nimbus_gateway_refused_total\\{code="${code}"[^}]*\\} (\\d+)`).exec(text)?.[1] ?? 0)
    }),
  )

/** That the server has refused more by this code than before. */
const isRefused = Effect.fnUntraced(function* <A, E, R>(code: string, attack: Effect.Effect<A, E, R>) {
  const before = yield* refused(code)
  yield* attack
  yield* eventually(
    `${code} is counted`,
    Effect.map(refused(code), (now) => now > before),
  )
})

/** What the server knows of a client. */
/** Whether anything is known of it: a connection, an event, a result. */
const isKnown = async (port: number, clientId: string) => {
  const { status } = await fetch(`http://127.0.0.1:${port}/v1/admin/clients/${clientId}`)
  assert.include([200, 404], status)
  return status === 200
}

const socket = (page: Page, url: string) =>
  page.evaluate(`new Promise((resolve) => {
    const socket = new WebSocket("${url}")
    socket.onmessage = ({ data }) => resolve(JSON.parse(data).type)
    socket.onclose = () => resolve("closed")
  })`)

/** What a page can read of an answer: its status, or that it may read nothing. */
const ask = (page: Page, url: string, init: object = {}) =>
  page.evaluate(`fetch("${url}", ${JSON.stringify(init)}).then(({ status }) => status, () => "unreadable")`)

const message = JSON.stringify({ name: "news", data: { number: 1 } })
const json = { method: "POST", headers: { "content-type": "application/json" }, body: message }
const plain = { method: "POST", mode: "no-cors", body: message }

/** A form whose only field, by its name and value, reads as JSON. */
const form = (url: string, type: string) => `
  const form = Object.assign(document.createElement("form"), { method: "POST", action: "${url}", enctype: "${type}" })
  const field = Object.assign(document.createElement("input"), { name: '{"name":"news","data":"', value: '"}' })
  form.append(field)
  document.body.append(form)
  form.submit()`

const elsewhere = "http://evil.example:8080"
/** By a name that leads to the server. */
const rebound = "http://evil.example:PORT"

layer(Stage.layer, { excludeTestServices: true, timeout: 120_000 })("what a browser brings to nimbus start", (it) => {
  it.effect.each(["v1/stream", "approach2/events", "approach3/events"])(
    "a WebSocket that another site opens at %s is refused",
    (path) =>
      isRefused(
        "ORIGIN_NOT_ALLOWED",
        pageAt(elsewhere, async (page, port) => {
          assert.strictEqual(await socket(page, `ws://127.0.0.1:${port}/${path}?clientId=victim`), "closed")
        }),
      ),
  )

  it.effect.each([
    ["as JSON, for which the browser asks first", json, "unreadable"],
    ["as text, for which it does not", plain, 0],
  ] as const)("what another site posts %s is refused", ([, init, outcome]) =>
    isRefused(
      "ORIGIN_NOT_ALLOWED",
      pageAt(elsewhere, async (page, port) => {
        for (const path of ["v1/clients/victim/messages", "v1/admin/clients/victim/kick"]) {
          assert.strictEqual(await ask(page, `http://127.0.0.1:${port}/${path}`, init), outcome)
        }
      }),
    ),
  )

  it.effect.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])(
    "a form of another site, as %s, is refused, and its answer says so",
    (type) =>
      isRefused(
        "ORIGIN_NOT_ALLOWED",
        pageAt(elsewhere, async (page, port) => {
          const url = `http://127.0.0.1:${port}/v1/clients/victim/messages`
          const [answer] = await Promise.all([page.waitForResponse(url), page.evaluate(form(url, type))])
          assert.strictEqual(answer.status(), 403)
        }),
      ),
  )

  it.effect("a poll of another site is refused, also one that names no origin", () =>
    isRefused(
      "ORIGIN_NOT_ALLOWED",
      pageAt(elsewhere, async (page, port) => {
        const url = `http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`
        assert.strictEqual(await ask(page, url), "unreadable")
        const [answer] = await Promise.all([page.waitForResponse(url), ask(page, url, { mode: "no-cors" })])
        assert.strictEqual(answer.status(), 403)
      }),
    ),
  )

  it.effect("a site whose name is made to lead here is refused, though it is of the same origin", () =>
    isRefused(
      "HOST_NOT_ALLOWED",
      pageAt(rebound, async (page, port) => {
        const at = `evil.example:${port}`
        assert.strictEqual(await socket(page, `ws://${at}/v1/stream?clientId=victim`), "closed")
        for (const path of ["v1/admin/status", "v1/clients/victim/results", "socket.io/?EIO=4&transport=polling", ""]) {
          assert.strictEqual(await ask(page, `http://${at}/${path}`), 403)
        }
        assert.strictEqual(await ask(page, `http://${at}/v1/clients/victim/messages`, json), 403)
      }),
    ),
  )

  it.effect("none of them came to anything: nobody was connected as the victim, and nothing was sent to it", () =>
    Effect.flatMap(Stage, ({ port }) => Effect.promise(async () => assert.isFalse(await isKnown(port, "victim")))),
  )

  it.effect.each(["http://127.0.0.1:PORT", "http://localhost:PORT", "http://page.localhost:PORT"])(
    "a page of the server's own origin works, by %s",
    (origin) =>
      pageAt(origin, async (page, port) => {
        const home = origin.replace("PORT", `${port}`)
        assert.strictEqual(await socket(page, `${home.replace("http", "ws")}/v1/stream?clientId=own`), "welcome")
        assert.strictEqual(await ask(page, `${home}/v1/clients/own/messages`, json), 200)
        assert.isTrue(await isKnown(port, "own"))
        assert.strictEqual(await ask(page, `${home}/socket.io/?EIO=4&transport=polling`), 200)
        // Without a token the admin API takes no name that somebody else might have a say in.
        assert.strictEqual(await ask(page, `${home}/v1/admin/status`), origin.includes("page.") ? 401 : 200)
      }),
  )
})
