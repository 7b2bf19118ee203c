import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import type { Access } from "./Authorization.ts"
import * as Page from "./Page.ts"

/** A directory with these files, served; removed with the scope. */
const serving = Effect.fnUntraced(function* (files: Readonly<Record<string, string>>) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-page-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true })),
  )
  mkdirSync(join(directory, "assets"))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  yield* Layer.build(HttpRouter.serve(Page.layerAt(directory), { disableLogger: true, disableListenLog: true }))
})

const page = { "index.html": "<!doctype html><title>Nimbus</title>", "assets/index-a1.js": "export {}" }

describe("Page", () => {
  it.effect.each(["/", "/chat", "/clients/c1", "/journey/c1/7"])("serves the page at %s", (path) =>
    Effect.gen(function* () {
      yield* serving(page)
      const response = yield* HttpClient.get(path)
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], "text/html; charset=utf-8")
      assert.strictEqual(yield* response.text, page["index.html"])
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  it.effect("lets a browser load and reach nothing but this gateway", () =>
    Effect.gen(function* () {
      yield* serving(page)
      const { headers } = yield* HttpClient.get("/")
      const policy = headers["content-security-policy"] ?? ""
      assert.include(policy, "default-src 'none'")
      assert.include(policy, "script-src 'self'")
      assert.notMatch(policy, /unsafe|https?:|\*/)
      assert.strictEqual(headers["x-content-type-options"], "nosniff")
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  it.effect("answers 304 to who has the page, and lets assets be kept for ever", () =>
    Effect.gen(function* () {
      yield* serving(page)
      const first = yield* HttpClient.get("/")
      assert.strictEqual(first.headers["cache-control"], "no-cache")
      const again = yield* HttpClient.execute(
        HttpClientRequest.get("/").pipe(HttpClientRequest.setHeader("if-none-match", first.headers["etag"] ?? "")),
      )
      assert.strictEqual(again.status, 304)
      assert.strictEqual(yield* again.text, "")
      const asset = yield* HttpClient.get("/assets/index-a1.js")
      assert.strictEqual(asset.headers["content-type"], "text/javascript; charset=utf-8")
      assert.include(asset.headers["cache-control"] ?? "", "immutable")
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  it.effect.each(["/assets/other.js", "/assets/..%2findex.html", "/assets/"])("knows no file %s", (path) =>
    Effect.gen(function* () {
      yield* serving(page)
      assert.strictEqual((yield* HttpClient.get(path)).status, 404)
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  const visiting = (path: string, headers: Readonly<Record<string, string>> = { accept: "text/html,*/*;q=0.8" }) =>
    HttpClient.execute(HttpClientRequest.get(path).pipe(HttpClientRequest.setHeaders(headers)))

  it.effect.each(["/nothing", "/clients", "/clients/c1/more", "/journey/c1/x", "/journey/c1/1e3", "/v1/nothing"])(
    "answers a browser that goes to %s with 404 and the page, which says that nothing is there",
    (path) =>
      Effect.gen(function* () {
        yield* serving(page)
        const response = yield* visiting(path)
        assert.strictEqual(response.status, 404)
        assert.strictEqual(yield* response.text, page["index.html"])
        assert.include(response.headers["content-security-policy"] ?? "", "default-src 'none'")
        assert.strictEqual(response.headers["cache-control"], "no-store")
      }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  it.live("leaves what programs ask for to the gateway: 404 as JSON, and 405 with the methods that there are", () =>
    Effect.gen(function* () {
      const gateway = yield* Layer.build(
        Gateway.layerWith({ host: "127.0.0.1", port: 0, admin: Option.some<Access>({ _tag: "Loopback" }) }).pipe(
          Layer.provideMerge(MemoryParts.layer),
        ),
      )
      const ask = (path: string, init: RequestInit = {}) =>
        HttpServer.addressFormattedWith((address) =>
          Effect.promise(async () => {
            const response = await fetch(new URL(path, address), init)
            return [response.status, Object(JSON.parse(await response.text())).code]
          }),
        ).pipe(Effect.provide(gateway))
      assert.deepStrictEqual(yield* ask("/nothing"), [404, "NOT_FOUND"])
      assert.deepStrictEqual(yield* ask("/v1/admin/clients/nobody"), [404, "NOT_FOUND"])
      assert.deepStrictEqual(yield* ask("/healthz", { method: "DELETE" }), [405, "METHOD_NOT_ALLOWED"])
      assert.deepStrictEqual(yield* ask("/nothing", { method: "POST" }), [404, "NOT_FOUND"])
      const head = (path: string) =>
        HttpServer.addressFormattedWith((address) =>
          Effect.promise(async () => (await fetch(new URL(path, address), { method: "HEAD" })).status),
        ).pipe(Effect.provide(gateway))
      for (const path of ["/", "/healthz", "/metrics"]) assert.strictEqual(yield* head(path), 200, path)
      assert.strictEqual(yield* head("/nothing"), 404)
    }),
  )

  it.effect("says what to run where the page has not been built", () =>
    Effect.gen(function* () {
      yield* serving({})
      const response = yield* HttpClient.get("/")
      assert.strictEqual(response.status, 503)
      assert.include(yield* response.text, "npm run setup")
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  it.live.each([
    { admin: Option.none<Access>(), there: false },
    { admin: Option.some<Access>({ _tag: "Loopback" }), there: true },
    { admin: Option.some<Access>({ _tag: "Token", token: Redacted.make("0123456789abcdef") }), there: true },
  ])("is there where there is an admin API, and without asking for its token: $there", ({ admin, there }) =>
    Effect.gen(function* () {
      const gateway = yield* Layer.build(
        Gateway.layerWith({ host: "127.0.0.1", port: 0, admin }).pipe(Layer.provideMerge(MemoryParts.layer)),
      )
      const status = yield* HttpServer.addressFormattedWith((address) =>
        Effect.promise(() => fetch(address).then(async (response) => (await response.text(), response.status))),
      ).pipe(Effect.provide(gateway))
      // 503: this clone's page has not been built, which the page says.
      assert.include(there ? [200, 503] : [404], status)
    }),
  )
})
