import { assert, layer } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0 }).pipe(
  Layer.provideMerge(MemoryParts.layerWith({ partitions: 1 })),
  Layer.provideMerge(FetchHttpClient.layer),
)

const request = (path: string, body: string) =>
  HttpServer.addressFormattedWith((address) =>
    HttpClientRequest.post(`${address}${path}`).pipe(
      HttpClientRequest.bodyText(body, "application/json"),
      HttpClient.execute,
      Effect.flatMap((response) => Effect.map(response.json, (json) => ({ status: response.status, json }))),
    ),
  )

layer(gateway, { excludeTestServices: true })("POST /v1/clients/:clientId/messages", (it) => {
  it.effect("puts a message, and a batch of them, into the log in order, and answers their seqs", () =>
    Effect.gen(function* () {
      const one = yield* request("/v1/clients/c1/messages", `{"id":"m1","name":"news","data":{"n":1}}`)
      const batch = `[{"id":"m2","name":"news","data":2},{"id":"m3","name":"news","data":null}]`
      const more = yield* request("/v1/clients/c1/messages", batch)
      assert.deepStrictEqual(one, { status: 200, json: { receipts: [{ id: "m1", seq: 0 }] } })
      assert.deepStrictEqual(more.json, {
        receipts: [
          { id: "m2", seq: 1 },
          { id: "m3", seq: 2 },
        ],
      })
      const values = yield* (yield* EventLog).tail((yield* Topics).events, 0, "earliest").pipe(
        Stream.flatMap(({ records }) => Stream.fromIterable(records)),
        Stream.take(3),
        Stream.map(({ value }) => JSON.parse(Buffer.from(value).toString()).id),
        Stream.runCollect,
      )
      assert.deepStrictEqual(values, ["m1", "m2", "m3"])
    }),
  )

  for (const [what, path, body, code] of [
    ["an illegal client id", "/v1/clients/a%20b/messages", `{"name":"news","data":1}`, "BAD_REQUEST"],
    ["what is not JSON", "/v1/clients/c1/messages", "{", "BAD_REQUEST"],
    [
      "what is nested too deeply",
      "/v1/clients/c1/messages",
      `{"name":"n","data":${"[".repeat(9_000)}${"]".repeat(9_000)}}`,
      "BAD_REQUEST",
    ],
    [
      "a number that would change",
      "/v1/clients/c1/messages",
      `[{"name":"n","data":1},{"name":"n","data":{"a":[0.1234567890123456789]}}]`,
      "BAD_NUMBER",
    ],
    ["a message without a name", "/v1/clients/c1/messages", `{"data":1}`, "BAD_REQUEST"],
    [
      "a batch beyond its bound",
      "/v1/clients/c1/messages",
      `[${`{"name":"n","data":1},`.repeat(4096)}{"name":"n","data":1}]`,
      "BAD_BATCH",
    ],
  ] as const) {
    it.effect(`refuses ${what} with 400 and ${code}`, () =>
      Effect.gen(function* () {
        const { json, status } = yield* request(path, body)
        assert.strictEqual(status, 400)
        assert.strictEqual(Object(json).code, code)
        assert.isNotEmpty(Object(json).message)
      }),
    )
  }
})
