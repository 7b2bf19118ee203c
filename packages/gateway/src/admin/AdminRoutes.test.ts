import { request } from "node:http"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Option, Redacted } from "effect"
import { HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import type { Access } from "./Authorization.ts"

const gateway = (access: Option.Option<Access>) =>
  Gateway.layerWith({ host: "127.0.0.1", port: 0, hosts: ["nimbus.example"], admin: access }).pipe(
    Layer.provideMerge(MemoryParts.layer),
  )

interface Asked {
  readonly method?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** By Node's own client, which sends any Host and Origin that it is told to. */
const ask = (path: string, { body, headers, method = "GET" }: Asked = {}) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.callback<{ readonly status: number | undefined; readonly json: unknown }>((resume) => {
      const sent = request(`${address}/v1/admin${path}`, { method, headers: { ...headers } }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (some: string) => (text += some))
        response.on("end", () =>
          resume(Effect.succeed({ status: response.statusCode, json: text === "" ? undefined : JSON.parse(text) })),
        )
      })
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end(body)
    }),
  )

const statusAndCode = ({ json, status }: { readonly status: number | undefined; readonly json: unknown }) => [
  status,
  Object(json).code,
]

const token = "0123456789abcdef"
const withToken = Option.some<Access>({ _tag: "Token", token: Redacted.make(token) })

layer(gateway(withToken), { excludeTestServices: true })("the admin API with a token", (it) => {
  it.effect("answers whoever has it, by any Host that the server is asked by", () =>
    Effect.gen(function* () {
      const { json, status } = yield* ask("/status", {
        headers: { authorization: `Bearer ${token}`, host: "nimbus.example" },
      })
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(Object(json).clients, { OFFLINE: 0, REPLAYING: 0, LIVE: 0 })
    }),
  )

  it.effect.each([{}, { authorization: "Bearer 0123456789abcdeg" }, { authorization: "Bearer 0" }])(
    "refuses %o with 401 and UNAUTHORIZED",
    (headers) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(statusAndCode(yield* ask("/status", { headers })), [401, "UNAUTHORIZED"])
        const kick = yield* ask("/clients/c1/kick", { method: "POST", headers })
        assert.deepStrictEqual(statusAndCode(kick), [401, "UNAUTHORIZED"])
      }),
  )

  it.effect.each([
    "/clients?status=AWAY",
    "/clients?limit=0",
    "/clients?limit=1001",
    "/clients/a%20b",
    "/quarantine/0/x",
  ])("refuses %s with 400 and BAD_REQUEST, and says so to nobody else", (path) =>
    Effect.gen(function* () {
      const refused = yield* ask(path, { headers: { authorization: `Bearer ${token}` } })
      assert.deepStrictEqual(statusAndCode(refused), [400, "BAD_REQUEST"])
      assert.isNotEmpty(Object(refused.json).message)
      assert.deepStrictEqual(statusAndCode(yield* ask(path)), [401, "UNAUTHORIZED"])
    }),
  )
})

layer(gateway(Option.some({ _tag: "Loopback" })), { excludeTestServices: true })(
  "the admin API of a loopback address, without a token",
  (it) => {
    it.effect.each([
      {},
      { host: "localhost:3000" },
      { host: "[::1]:3000" },
      { host: "localhost:3000", origin: "http://localhost:3000" },
    ])("answers %o", (headers) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* ask("/status", { headers })).status, 200)
      }),
    )

    it.effect.each([
      // The server is asked by this name, but not from here alone.
      { host: "nimbus.example" },
      { host: "localhost:3000", "x-forwarded-for": "203.0.113.7" },
    ])("refuses %o with 401 and UNAUTHORIZED", (headers) =>
      Effect.gen(function* () {
        const refused = yield* ask("/clients/c1/kick", { method: "POST", headers })
        assert.deepStrictEqual(statusAndCode(refused), [401, "UNAUTHORIZED"])
      }),
    )
  },
)

layer(gateway(Option.none()), { excludeTestServices: true })("without a token, elsewhere", (it) => {
  it.effect("there is no admin API", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* ask("/status")).status, 404)
    }),
  )
})
