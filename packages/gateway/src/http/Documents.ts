/**
 * What describes this gateway's transports to programs: the HTTP API and the admin API as OpenAPI, and the frames of the
 * WebSocket as JSON Schema. Each is generated when it is first asked for, and kept as bytes.
 */
import { adminOpenApiDocument, endpoints, framesJsonSchema, openApiDocument } from "@nimbus/domain/http"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"

const json = "application/json"

const document = (path: `/${string}`, contentType: string, generate: () => object) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const response = yield* Effect.cached(
        Effect.sync(() => HttpServerResponse.uint8Array(Buffer.from(JSON.stringify(generate())), { contentType })),
      )
      yield* router.add("GET", path, response)
    }),
  )

export const layer = Layer.merge(
  document(endpoints.openApi.path, json, openApiDocument),
  document(endpoints.framesSchema.path, "application/schema+json", framesJsonSchema),
)

/** Where the admin API is on. It needs no token: it is the same for every installation. */
export const adminLayer = document("/v1/admin/openapi.json", json, adminOpenApiDocument)
