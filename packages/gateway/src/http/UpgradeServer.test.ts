import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpServer } from "effect/http"
import { Limits } from "../Limits.ts"
import * as HttpFront from "./HttpFront.ts"

const front = HttpFront.layerWith({ host: "127.0.0.1", port: 0 }).pipe(
  Layer.provide(Limits.layerWith({})),
  Layer.provideMerge(FetchHttpClient.layer),
)

layer(front, { excludeTestServices: true })("UpgradeServer", (it) => {
  it.effect("answers 503 while no application is there", () =>
    HttpServer.addressFormattedWith((address) =>
      Effect.map(HttpClient.get(`${address}/healthz`), ({ status }) => assert.strictEqual(status, 503)),
    ),
  )
})
