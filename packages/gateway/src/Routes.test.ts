import { assert, layer } from "@effect/vitest"
import { Publisher } from "@nimbus/domain/services"
import { AdminApi } from "@nimbus/domain/admin"
import { NimbusApi } from "@nimbus/domain/http"
import { Effect, Layer, Option } from "effect"
import { HttpRouter } from "effect/http"
import { HttpApi, type HttpApiGroup } from "effect/http-api"
import { Access } from "./access/Access.ts"
import { Subjects } from "./subjects/Subjects.ts"
import { Operators } from "./admin/Operators.ts"
import { SignIn } from "./admin/SignIn.ts"
import { Limits } from "./Limits.ts"
import { Gateway } from "./index.ts"
import { ReadBudget } from "./http/ReadBudget.ts"
import * as Routes from "./Routes.ts"
import * as MemoryParts from "./testing/MemoryParts.ts"

const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0 }).pipe(Layer.provideMerge(MemoryParts.layer))

/** What a router is given of routes, as `GET /path`. */
const served = Effect.gen(function* () {
  const routes: Array<string> = []
  const recorder = Layer.effect(
    HttpRouter.HttpRouter,
    Effect.map(HttpRouter.HttpRouter, (router) => ({
      ...router,
      add: (method, path, handler, options) => {
        routes.push(`${method} ${path}`)
        return router.add(method, path, handler, options)
      },
      addAll: (several) => {
        for (const { method, path } of several) routes.push(`${method} ${path}`)
        return router.addAll(several)
      },
    })),
  )
  const routed = Routes.layerWith({ metrics: "all", admin: true, page: true }).pipe(
    Layer.provide([recorder, ReadBudget.layer, Operators.layerWith(Option.some({ _tag: "Loopback" }))]),
    Layer.provide([
      Limits.layerWith({}),
      Publisher.layer,
      Access.layer,
      Subjects.layer.pipe(Layer.provide([Access.layer, Limits.layerWith({})])),
      SignIn.layerWith(undefined),
    ]),
  )
  yield* Effect.scoped(HttpRouter.toHttpEffect(routed))
  return routes.sort()
})

const declared = <Id extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<Id, Groups>,
): ReadonlyArray<string> => {
  const routes: Array<string> = []
  HttpApi.reflect(api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => void routes.push(`${endpoint.method} ${endpoint.path}`),
  })
  return routes
}

/** For people and their pages, and the description of the admin API itself. */
const others = [
  "GET /*",
  "GET /",
  "GET /assets/:name",
  "GET /chat",
  "GET /clients/:clientId",
  "GET /journey/:clientId/:seq",
  "GET /sign-in",
  "GET /v1/admin/openapi.json",
  "GET /v1/admin/page",
]

layer(gateway)("the routes of a gateway", (it) => {
  it.effect("are those that the two declarations have, and the page", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* served, [...declared(NimbusApi), ...declared(AdminApi), ...others].sort())
    }),
  )
})
