/**
 * Pages of other sites that a browser has open, against `nimbus start`: each must be refused, and the page of the server
 * must work.
 */
import { assert, layer } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Layer } from "effect"
import type { Browser, Page } from "playwright-core"
import { vi } from "vitest"
import * as OtherSites from "./testing/OtherSites.ts"
import { ask, form, forms, gullibleBrowser, json, plain, socket } from "./testing/OtherSites.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

// On a machine that is busy with other tests a browser may take long.
vi.setConfig({ testTimeout: 120_000 })

class Stage extends Context.Service<Stage, { readonly browser: Browser; readonly port: number }>()("test/Stage") {
  static readonly layer = Layer.effect(
    Stage,
    Effect.gen(function* () {
      const port = yield* freePort
      yield* startServer({ cwd: yield* temporaryDirectory, env: { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}` } })
      return { browser: yield* gullibleBrowser, port }
    }),
  )
}

const pageAt = (origin: string, use: (page: Page, port: number) => Promise<void>) =>
  Effect.flatMap(Stage, ({ browser, port }) =>
    Effect.promise(() => OtherSites.pageAt(browser, origin.replace("PORT", `${port}`), (page) => use(page, port))),
  )

const refused = (code: string) =>
  Effect.flatMap(Stage, ({ port }) => Effect.promise(() => OtherSites.refusedBy(port, code)))

/** That the server has refused more by this code than before. */
const isRefused = Effect.fnUntraced(function* <A, E, R>(code: string, attack: Effect.Effect<A, E, R>) {
  const before = yield* refused(code)
  yield* attack
  yield* eventually(
    `${code} is counted`,
    Effect.map(refused(code), (now) => now > before),
  )
})

/** Whether anything is known of it: a connection, an event, a result. */
const isKnown = async (port: number, clientId: string) => {
  const { status } = await fetch(`http://127.0.0.1:${port}/v1/admin/clients/${clientId}`)
  assert.include([200, 404], status)
  return status === 200
}

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

  it.effect.each(forms)("a form of another site, as %s, is refused, and its answer says so", (type) =>
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
