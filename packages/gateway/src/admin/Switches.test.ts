import { assert, describe, it } from "@effect/vitest"
import { createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { ConfigProvider, Effect, Layer, Option } from "effect"
import { HttpServer } from "effect/http"
import { Health } from "../grpc/gen/grpc/health/v1/health_pb.js"
import { ServerReflection } from "../grpc/gen/grpc/reflection/v1/reflection_pb.js"
import { AdminPlace, Gateway, GrpcServer } from "../index.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import type { Access } from "./Authorization.ts"
import * as Switches from "./Switches.ts"

const here = { host: "127.0.0.1", port: 0 }

const people = new Map<string, Locks.Said>([
  ["viewing", { subject: "vera", capabilities: ["admin:viewer"] }],
  ["sending", { subject: "sam" }],
])

const serving = (options: Partial<Gateway.GatewayOptions>, locks: Layer.Layer<never> = Layer.empty) =>
  Layer.build(
    Gateway.layerWith({ ...here, admin: Option.some<Access>({ _tag: "Loopback" }), ...options }).pipe(
      Layer.provideMerge(MemoryParts.layer),
      Layer.provide(locks),
    ),
  )

const own = Effect.map(HttpServer.HttpServer, ({ address }) => HttpServer.formatAddress(address))

/** What each path is answered with. */
const statuses = (url: string, paths: ReadonlyArray<string>, token?: string) =>
  Effect.promise(async () => {
    const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` }
    const found: Record<string, number> = {}
    for (const path of paths) {
      const response = await fetch(`${url}${path}`, headers === undefined ? {} : { headers })
      await response.text()
      // The page of a clone that has not been built says so.
      found[path] = path === "/" && response.status === 503 ? 200 : response.status
    }
    return found
  })

const ofOperators = ["/metrics", "/v1/admin/status", "/v1/admin/openapi.json", "/"]
const paths = ["/healthz", "/readyz", ...ofOperators, "/v1/openapi.json", "/v1/clients/c1/results"]
const all = (of: ReadonlyArray<string>, status: number) => Object.fromEntries(of.map((path) => [path, status]))
const healthy = { "/healthz": 200, "/readyz": 200 }
const ofClients = { "/v1/openapi.json": 200, "/v1/clients/c1/results": 404 }

describe("what is for operators", () => {
  it.live("is at the gateway's address by default", () =>
    Effect.gen(function* () {
      const gateway = yield* serving({})
      const url = yield* Effect.provide(own, gateway)
      assert.deepStrictEqual(yield* statuses(url, paths), { ...healthy, ...all(ofOperators, 200), ...ofClients })
      assert.deepStrictEqual(yield* Effect.provide(AdminPlace, gateway), { url, hasPage: true })
    }),
  )

  it.live(
    "is off where it is switched off: the metrics, and the page with the admin API still there for commands",
    () =>
      Effect.gen(function* () {
        const gateway = yield* serving({ operations: { metrics: false, page: false } })
        const url = yield* Effect.provide(own, gateway)
        const found = yield* statuses(url, paths)
        assert.deepStrictEqual(found, {
          ...healthy,
          ...all(ofOperators, 200),
          "/metrics": 404,
          "/": 404,
          ...ofClients,
        })
        assert.deepStrictEqual(yield* Effect.provide(AdminPlace, gateway), { url, hasPage: false })
      }),
  )

  it.live("is at an address of its own, where clients are not, and no more at the gateway's", () =>
    Effect.gen(function* () {
      const gateway = yield* serving({ operations: { at: here } })
      const url = yield* Effect.provide(own, gateway)
      assert.deepStrictEqual(yield* statuses(url, paths), { ...healthy, ...all(ofOperators, 404), ...ofClients })
      const operators = yield* Effect.provide(AdminPlace, gateway)
      assert.notStrictEqual(operators.url, url)
      assert.deepStrictEqual(yield* statuses(operators.url ?? "", paths), {
        ...healthy,
        ...all(ofOperators, 200),
        ...all(Object.keys(ofClients), 404),
      })
      assert.deepStrictEqual(yield* statuses(operators.url ?? "", ["/v1/stream?clientId=c1", "/socket.io/"]), {
        "/v1/stream?clientId=c1": 404,
        "/socket.io/": 404,
      })
    }),
  )

  it.live("shows metrics to viewers where there are locks, and at its own address to whoever reaches it", () =>
    Effect.gen(function* () {
      const locks = Locks.layer(people)
      const url = yield* Effect.provide(own, yield* serving({}, locks))
      assert.deepStrictEqual(yield* statuses(url, ["/metrics", "/healthz", "/readyz"]), { ...healthy, "/metrics": 401 })
      assert.deepStrictEqual(yield* statuses(url, ["/metrics"], "sending"), { "/metrics": 403 })
      assert.deepStrictEqual(yield* statuses(url, ["/metrics"], "viewing"), { "/metrics": 200 })
      const apart = yield* Effect.provide(AdminPlace, yield* serving({ operations: { at: here } }, locks))
      assert.deepStrictEqual(yield* statuses(apart.url ?? "", ["/metrics", "/v1/admin/status"]), {
        "/metrics": 200,
        "/v1/admin/status": 401,
      })
    }),
  )

  it.live.each([true, false])("has the contract of gRPC for tools: %s", (reflects) =>
    Effect.gen(function* () {
      const { port } = yield* Effect.provide(GrpcServer, yield* serving({ grpc: { ...here, reflects } }))
      const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` })
      const asking = async function* () {
        yield { host: "", messageRequest: { case: "listServices" as const, value: "" } }
      }
      const answer = yield* Effect.promise(async () => {
        try {
          for await (const _ of createClient(ServerReflection, transport).serverReflectionInfo(asking())) return "told"
          return "nothing"
        } catch (error) {
          return String(error)
        }
      })
      if (reflects) assert.strictEqual(answer, "told")
      else assert.include(answer, "unimplemented")
      assert.isDefined(yield* Effect.promise(() => createClient(Health, transport).check({})))
    }),
  )
})

const configured = (env: Readonly<Record<string, string>>) =>
  Effect.provide(Switches.config, ConfigProvider.layer(ConfigProvider.fromEnv({ env })))

describe("the settings of what is for operators", () => {
  it.effect("have everything on, at the gateway's address", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* configured({}), { metrics: true, page: true, at: undefined })
    }),
  )

  it.effect("take a port of their own, which is this machine's unless an address is named", () =>
    Effect.gen(function* () {
      const env = { NIMBUS_METRICS: "false", NIMBUS_PAGE: "false", NIMBUS_OPERATIONS_PORT: "9090" }
      const at = { host: "127.0.0.1", port: 9090 }
      assert.deepStrictEqual(yield* configured(env), { metrics: false, page: false, at })
      const elsewhere = yield* configured({ ...env, NIMBUS_OPERATIONS_HOST: "10.0.0.1" })
      assert.deepStrictEqual(elsewhere.at, { host: "10.0.0.1", port: 9090 })
    }),
  )
})
