/**
 * What browsers are made to send to a server with locks by pages of other sites, as visitors whose cookie lets them do
 * everything: in a real Chromium, which sends that cookie along. Each is refused, and an honest client is unharmed.
 *
 * That the cookie does come along, and counts, shows where the same is done by a page that may.
 */
import { assert, layer } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Layer } from "effect"
import type { Browser, Page } from "playwright-core"
import { vi } from "vitest"
import { adminToken, locked, tokenOf } from "./testing/LockedClients.ts"
import {
  ask,
  type Cookie,
  form,
  forms,
  gullibleBrowser,
  json,
  pageAt,
  plain,
  refusedBy,
  socket,
} from "./testing/OtherSites.ts"
import { freePort, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"
import type { Place } from "./testing/locks/Attempt.ts"
import { harmless, isKnown, Stage } from "./testing/locks/AttackedServer.ts"
import { streams } from "./testing/locks/Strangers.ts"

// On a machine that is busy with other tests a browser may take long.
vi.setConfig({ testTimeout: 180_000 })

class Chromium extends Context.Service<Chromium, Browser>()("test/Chromium") {
  static readonly layer = Layer.effect(Chromium, gullibleBrowser)
}

/** A site that may, and one that may not. */
const app = "http://app.example:8080"
const evil = "http://evil.example:8080"
const server = Stage.layerWith({ NIMBUS_ORIGINS: app, NIMBUS_HOSTS: "nimbus.example" })

const everything = ["connect:{sub}", "read", "ack", "send:*", "cancel", "publish:*", "room:join:*", "admin:owner"]

/** Of whoever has signed in: sent with all that any page asks, or with what pages of the same site do. */
const cookieAt = (domain: string, sub: string, sameSite: "None" | "Strict"): Cookie => ({
  name: "nimbus_session",
  value: tokenOf(sub, { nimbus: everything }),
  domain,
  path: "/",
  httpOnly: true,
  secure: sameSite === "None",
  sameSite,
})

const visit = (origin: string, cookie: Cookie, use: (page: Page) => Promise<void>) =>
  Effect.flatMap(Chromium, (browser) => Effect.promise(() => pageAt(browser, origin, use, [cookie])))

/** The server refuses it, and nothing comes of it. */
const refusedAs = (code: string, attack: (place: Place) => Effect.Effect<void, unknown, Chromium>) =>
  harmless((place) =>
    Effect.gen(function* () {
      const refused = Effect.promise(() => refusedBy(place.http, code, { authorization: `Bearer ${adminToken}` }))
      const before = yield* refused
      yield* attack(place)
      yield* eventually(
        `${code} is counted`,
        Effect.map(refused, (now) => now > before),
      )
      assert.isFalse(yield* isKnown(place, "victim"))
    }),
  )

const victim = cookieAt("127.0.0.1", "victim", "None")
const withCookie = { credentials: "include" }
const posts = [
  "v1/clients/victim/messages",
  "v1/clients/victim/cancels",
  "v1/tickets",
  "v1/admin/clients/alice/kick",
  "v1/admin/blocks",
]

const stage = Layer.mergeAll(server, Chromium.layer)

layer(stage, { excludeTestServices: true, timeout: 180_000 })("a server with locks, and browsers", (it) => {
  it.effect.each(streams)("a WebSocket that another site opens at %s is refused, with the visitor's cookie", (path) =>
    refusedAs("ORIGIN_NOT_ALLOWED", ({ http }) =>
      visit(evil, victim, async (page) => {
        for (const query of ["", "?clientId=victim", "?clientId=alice"]) {
          assert.strictEqual(await socket(page, `ws://127.0.0.1:${http}${path}${query}`), "closed")
        }
      }),
    ),
  )

  it.effect.each([
    ["JSON, for which the browser asks first", json, "unreadable"],
    ["text, for which it does not", plain, 0],
  ] as const)("what another site posts as %s is refused, with the visitor's cookie", ([, init, outcome]) =>
    refusedAs("ORIGIN_NOT_ALLOWED", ({ http }) =>
      visit(evil, victim, async (page) => {
        for (const path of posts) {
          assert.strictEqual(await ask(page, `http://127.0.0.1:${http}/${path}`, { ...init, ...withCookie }), outcome)
        }
      }),
    ),
  )

  it.effect.each(forms)("a form of another site, as %s, is refused, with the visitor's cookie", (type) =>
    refusedAs("ORIGIN_NOT_ALLOWED", ({ http }) =>
      visit(evil, victim, async (page) => {
        const url = `http://127.0.0.1:${http}/v1/clients/victim/messages`
        const [answer] = await Promise.all([page.waitForResponse(url), page.evaluate(form(url, type))])
        assert.strictEqual(answer.status(), 403)
        assert.include((await answer.request().allHeaders())["cookie"], "nimbus_session=")
      }),
    ),
  )

  it.effect("another site reads nothing as the visitor, and joins no room", () =>
    refusedAs("ORIGIN_NOT_ALLOWED", ({ http }) =>
      visit(evil, victim, async (page) => {
        for (const path of ["v1/admin/status", "v1/admin/clients", "socket.io/?EIO=4&transport=polling", "metrics"]) {
          assert.strictEqual(await ask(page, `http://127.0.0.1:${http}/${path}`, withCookie), "unreadable")
        }
      }),
    ),
  )

  it.effect(
    "another port of this server's own name is another site, though its cookie is for the same site alone",
    () =>
      refusedAs("ORIGIN_NOT_ALLOWED", ({ http }) =>
        visit("http://nimbus.example:8080", cookieAt("nimbus.example", "victim", "Strict"), async (page) => {
          const at = `nimbus.example:${http}`
          assert.strictEqual(await socket(page, `ws://${at}/v1/stream`), "closed")
          for (const path of posts) {
            const [answer] = await Promise.all([
              page.waitForResponse(`http://${at}/${path}`),
              ask(page, `http://${at}/${path}`, { ...plain, ...withCookie }),
            ])
            assert.strictEqual(answer.status(), 403)
          }
        }),
      ),
  )

  it.effect("a site whose name is made to lead here is refused", () =>
    refusedAs("HOST_NOT_ALLOWED", ({ http }) =>
      visit(`http://evil.example:${http}`, victim, async (page) => {
        const at = `evil.example:${http}`
        assert.strictEqual(await socket(page, `ws://${at}/v1/stream?clientId=victim`), "closed")
        for (const path of ["v1/admin/status", "v1/clients/victim/results", "socket.io/?EIO=4&transport=polling", ""]) {
          assert.strictEqual(await ask(page, `http://${at}/${path}`, withCookie), 403)
        }
        for (const path of posts) {
          assert.strictEqual(await ask(page, `http://${at}/${path}`, { ...json, ...withCookie }), 403)
        }
      }),
    ),
  )

  it.effect("a site whose name leads to a server that goes by any name is nobody there", () =>
    Effect.gen(function* () {
      const http = yield* freePort
      const env = { ...withoutArchive, ...locked, NIMBUS_HTTP_PORT: `${http}`, NIMBUS_HOST: "0.0.0.0" }
      yield* startServer({ cwd: yield* temporaryDirectory, env })
      const at = `evil.example:${http}`
      yield* visit(`http://${at}`, victim, async (page) => {
        assert.strictEqual(await socket(page, `ws://${at}/v1/stream?clientId=victim`), "error")
        for (const path of posts) {
          assert.strictEqual(await ask(page, `http://${at}/${path}`, { ...json, ...withCookie }), 401)
        }
        assert.strictEqual(await ask(page, `http://${at}/v1/admin/status`, withCookie), 401)
      })
      assert.isFalse(yield* isKnown({ http, grpc: 0 }, "victim"))
    }).pipe(Effect.scoped),
  )

  it.effect("the visitor's cookie counts for a site that is named, and for this server's own pages", () =>
    harmless((place) =>
      Effect.gen(function* () {
        yield* visit(app, cookieAt("127.0.0.1", "visitor", "None"), async (page) => {
          assert.strictEqual(await socket(page, `ws://127.0.0.1:${place.http}/v1/stream`), "welcome")
        })
        assert.isTrue(yield* isKnown(place, "visitor"))
        const home = `http://nimbus.example:${place.http}`
        yield* visit(home, cookieAt("nimbus.example", "owner", "Strict"), async (page) => {
          assert.strictEqual(await socket(page, `${home.replace("http", "ws")}/v1/stream`), "welcome")
          assert.strictEqual(await ask(page, `${home}/v1/clients/owner/messages`, json), 200)
          assert.strictEqual(await ask(page, `${home}/v1/tickets`, { ...json, body: "{}" }), 200)
        })
        assert.isTrue(yield* isKnown(place, "owner"))
      }),
    ),
  )
})
