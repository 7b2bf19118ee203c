import { assert, layer } from "@effect/vitest"
import { ClientId } from "@nimbus/domain/protocol"
import { NimbusApi } from "@nimbus/domain/http"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect, Layer, Option } from "effect"
import { FetchHttpClient, HttpClient, HttpServer } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import type { Access } from "../admin/Authorization.ts"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const gateway = (admin: Option.Option<Access>) =>
  Gateway.layerWith({ host: "127.0.0.1", port: 0, admin }).pipe(
    Layer.provideMerge(MemoryParts.layer),
    Layer.provideMerge(FetchHttpClient.layer),
  )

const get = (path: string) => HttpServer.addressFormattedWith((address) => HttpClient.get(`${address}${path}`))

layer(gateway(Option.some({ _tag: "Loopback" })), { excludeTestServices: true })("the documents of a gateway", (it) => {
  it.effect.each([
    ["/v1/openapi.json", "/v1/clients/{clientId}/messages"],
    ["/v1/admin/openapi.json", "/v1/admin/clients/{clientId}/replay"],
  ] as const)("%s is OpenAPI 3.1, as a validator of others sees it, and has %s", ([path, operation]) =>
    Effect.gen(function* () {
      const response = yield* get(path)
      assert.strictEqual(response.headers["content-type"], "application/json")
      const document = yield* response.json
      const { errors, valid } = yield* Effect.promise(() => new Validator().validate(Object(document)))
      assert.isTrue(valid, JSON.stringify(errors))
      assert.property(Object(document).paths, operation)
      assert.strictEqual(Object(document).openapi, "3.1.0")
      const broken = { ...Object(document), paths: { "/x": { get: { responses: { "200": {} } } } } }
      assert.isFalse((yield* Effect.promise(() => new Validator().validate(broken))).valid)
    }),
  )

  it.effect("/v1/frames.schema.json is JSON Schema, draft 2020-12", () =>
    Effect.gen(function* () {
      const response = yield* get("/v1/frames.schema.json")
      assert.strictEqual(response.headers["content-type"], "application/schema+json")
      const schema = Object(yield* response.json)
      assert.isTrue(new Ajv2020().validateSchema(schema))
      assert.isFalse(new Ajv2020().validateSchema({ ...schema, anyOf: 7 }))
    }),
  )

  it.effect("a typed client comes from the declaration, and gets what was refused by its code", () =>
    HttpServer.addressFormattedWith((baseUrl) =>
      Effect.gen(function* () {
        const client = yield* HttpApiClient.make(NimbusApi, { baseUrl })
        const params = { clientId: ClientId.make("c1") }
        const { receipts } = yield* client.sendMessages({ params, payload: { name: "news", data: 1 } })
        assert.strictEqual(receipts.length, 1)
        const refused = yield* Effect.flip(client.results({ params, query: { limit: 7 } }))
        assert.strictEqual(typeof refused === "object" && "code" in refused ? refused.code : refused, "NO_ARCHIVE")
      }),
    ),
  )
})

layer(gateway(Option.none()), { excludeTestServices: true })("without the admin API", (it) => {
  it.effect("its document is not there", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* get("/v1/admin/openapi.json")).status, 404)
      assert.strictEqual((yield* get("/v1/openapi.json")).status, 200)
    }),
  )
})
