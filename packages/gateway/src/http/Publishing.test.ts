import { assert, layer } from "@effect/vitest"
import { TaskRecords } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Effect, Layer, Result, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const gatewayOn = (parts: typeof MemoryParts.layer) =>
  Gateway.layerWith({ host: "127.0.0.1", port: 0 }).pipe(
    Layer.provideMerge(parts),
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

layer(gatewayOn(MemoryParts.layerWith({ partitions: 1 })), { excludeTestServices: true })(
  "POST /v1/clients/:clientId/messages",
  (it) => {
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
  },
)

const publishedBy = (clientId: string) =>
  Effect.map(MemoryParts.logged(clientId, 2), (records) =>
    records.map(({ value }) => Result.getOrThrow(TaskRecords.decodeTaskWrite(value))),
  )

layer(gatewayOn(MemoryParts.layer), { excludeTestServices: true })("POST /v1/clients/:clientId/cancels", (it) => {
  it.effect(
    "puts a cancel, and several of them, into the log under the key of that client, and answers their seqs",
    () =>
      Effect.gen(function* () {
        const one = yield* request("/v1/clients/c1/cancels", `{"id":"e1"}`)
        const more = yield* request("/v1/clients/c1/cancels", `[{"id":"e2"},{"id":"e1"}]`)
        assert.deepStrictEqual(one, { status: 200, json: { receipts: [{ id: "e1", seq: 0 }] } })
        const [second, third] = [
          { id: "e2", seq: 1 },
          { id: "e1", seq: 2 },
        ]
        assert.deepStrictEqual(more, { status: 200, json: { receipts: [second, third] } })
        const [first, next] = yield* publishedBy("c1")
        assert.deepStrictEqual<unknown>(first, { task: "e1", do: "cancel", by: "client" })
        assert.deepStrictEqual<unknown>(next, { task: "e2", do: "cancel", by: "client" })
      }),
  )

  for (const [what, body] of [
    ["without an id", `{}`],
    ["of a seq", `{"id":7}`],
    ["of an id that is too long", `{"id":"${"x".repeat(129)}"}`],
    ["in text", `"e1"`],
    ["among some with an empty id", `[{"id":"e1"},{"id":""}]`],
  ] as const) {
    it.effect(`refuses one ${what} with 400 and BAD_REQUEST`, () =>
      Effect.gen(function* () {
        const { json, status } = yield* request("/v1/clients/c1/cancels", body)
        assert.strictEqual(status, 400)
        assert.strictEqual(Object(json).code, "BAD_REQUEST")
      }),
    )
  }
})
