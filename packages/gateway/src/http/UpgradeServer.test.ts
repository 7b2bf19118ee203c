import { connect } from "node:net"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { Limits } from "../Limits.ts"
import * as HttpFront from "./HttpFront.ts"

const front = HttpFront.layerWith({ host: "127.0.0.1", port: 0, hosts: ["gateway"] }).pipe(
  Layer.provide(Limits.layerWith({})),
  Layer.provideMerge(FetchHttpClient.layer),
)

/** Says this, leaves once so many answers are there, and is done when the server has closed too. */
const answered = (port: number, bytes: string, answers: number) =>
  Effect.callback<void>((resume) => {
    let text = ""
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write(bytes))
    socket.on("data", (data) => {
      text += data.toString("latin1")
      if (text.match(/HTTP\/1\.1 200 /g)?.length === answers) socket.end()
    })
    // What an error comes to shows in the close.
    socket.on("error", () => {})
    socket.once("close", () => resume(Effect.void))
    return Effect.sync(() => socket.destroy())
  })

const request = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\nHost: gateway\r\n${headers}\r\n`

const done = HttpServerResponse.text("done")
const app = HttpRouter.serve(
  Layer.mergeAll(
    HttpRouter.add("GET", "/slow", Effect.delay(Effect.succeed(done), "50 millis")),
    HttpRouter.add("GET", "/fast", done),
  ),
  { disableLogger: true, disableListenLog: true },
)

layer(app.pipe(Layer.provideMerge(front)), { excludeTestServices: true })("UpgradeServer with an application", (it) => {
  it.effect("answers an upgrade where there is no door as a request, also behind one that is not answered yet", () =>
    HttpServer.addressFormattedWith((address) => {
      const both = request("/slow") + request("/fast", "Upgrade: h2c\r\nConnection: Upgrade\r\n")
      return Effect.timeout(answered(Number(new URL(address).port), both, 2), "30 seconds")
    }),
  )
})

layer(front, { excludeTestServices: true })("UpgradeServer", (it) => {
  it.effect("is alive, and not ready, while no application is there", () =>
    HttpServer.addressFormattedWith((address) =>
      Effect.gen(function* () {
        const statusOf = (path: string) => Effect.map(HttpClient.get(`${address}${path}`), ({ status }) => status)
        assert.strictEqual(yield* statusOf("/healthz"), 200)
        assert.strictEqual(yield* statusOf("/readyz"), 503)
        assert.strictEqual(yield* statusOf("/v1/stream"), 503)
      }),
    ),
  )
})
