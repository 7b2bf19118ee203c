import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import * as ClientScript from "./ClientScript.ts"

const code = "export const connect = () => {}\n"

/** What was built, with the module or without it; removed with the scope. */
const serving = Effect.fnUntraced(function* (isBuilt: boolean) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-client-js-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true })),
  )
  if (isBuilt) writeFileSync(join(directory, "client.js"), code)
  const routes = ClientScript.layerAt(directory)
  yield* Layer.build(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }))
})

const get = (headers: Readonly<Record<string, string>> = {}) =>
  HttpClient.execute(HttpClientRequest.get("/client.js").pipe(HttpClientRequest.setHeaders(headers)))

describe("ClientScript", () => {
  it.effect("is a module of JavaScript, gzipped for who takes that", () =>
    Effect.gen(function* () {
      yield* serving(true)
      const plain = yield* get({ "accept-encoding": "identity" })
      assert.strictEqual(plain.headers["content-type"], "text/javascript; charset=utf-8")
      assert.notProperty(plain.headers, "content-encoding")
      assert.strictEqual(yield* plain.text, code)
      const gzipped = yield* get({ "accept-encoding": "gzip, br" })
      assert.strictEqual(gzipped.headers["content-encoding"], "gzip")
      assert.strictEqual(yield* gzipped.text, code)
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  it.effect("is asked for again each time, and answered 304 to who has it", () =>
    Effect.gen(function* () {
      yield* serving(true)
      const { headers } = yield* get()
      assert.strictEqual(headers["cache-control"], "no-cache")
      const again = yield* get({ "if-none-match": headers["etag"] ?? "" })
      assert.strictEqual(again.status, 304)
      assert.strictEqual(yield* again.text, "")
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  it.effect("says what to run where it has not been built", () =>
    Effect.gen(function* () {
      yield* serving(false)
      const response = yield* get()
      assert.strictEqual(response.status, 503)
      assert.include(yield* response.text, "npm run setup")
    }).pipe(Effect.scoped, Effect.provide(NodeHttpServer.layerTest)),
  )

  it.live("is at no path of another case, as nothing is", () =>
    Effect.gen(function* () {
      const gateway = yield* Layer.build(
        Gateway.layerWith({ host: "127.0.0.1", port: 0 }).pipe(Layer.provideMerge(MemoryParts.layer)),
      )
      const status = (path: string, method = "GET") =>
        HttpServer.addressFormattedWith((address) =>
          Effect.promise(async () => (await fetch(new URL(path, address), { method })).status),
        ).pipe(Effect.provide(gateway))
      assert.notStrictEqual(yield* status("/client.js"), 404)
      for (const path of ["/Client.js", "/V1/stream", "/HEALTHZ"]) {
        assert.deepStrictEqual([yield* status(path), yield* status(path, "POST")], [404, 404], path)
      }
      // By another method that it takes, and by one that it does not.
      assert.deepStrictEqual([yield* status("/v1/stream", "HEAD"), yield* status("/v1/stream", "POST")], [426, 405])
    }),
  )

  it.live("is there without the admin API, for the pages that may use the gateway and for no others", () =>
    Effect.gen(function* () {
      const named = "https://app.example"
      const gateway = yield* Layer.build(
        Gateway.layerWith({ host: "127.0.0.1", port: 0, origins: [named] }).pipe(Layer.provideMerge(MemoryParts.layer)),
      )
      const ask = (origin: string) =>
        HttpServer.addressFormattedWith((address) =>
          Effect.promise(async () => {
            const { headers, status } = await fetch(new URL("/client.js", address), { headers: { origin } })
            return { status, readableBy: headers.get("access-control-allow-origin"), vary: headers.get("vary") }
          }),
        ).pipe(Effect.provide(gateway))
      const answer = yield* ask(named)
      // 503: this clone's has not been built.
      assert.include([200, 503], answer.status)
      assert.strictEqual(answer.readableBy, named)
      assert.include(answer.vary ?? "", "origin")
      assert.strictEqual((yield* ask("https://other.example")).status, 403)
    }),
  )
})
