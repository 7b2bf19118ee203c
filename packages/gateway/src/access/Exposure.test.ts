import { assert, describe, it } from "@effect/vitest"
import { Alarms, makeAlarms } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const locks = Locks.layer(new Map())

/** The code with which it does not start, or what `/readyz` says. */
const outcome = (options: Partial<Gateway.GatewayOptions>, authenticator: Layer.Layer<never> = Layer.empty) => {
  const alarms = makeAlarms({ alarm_again_ms: 60_000 })
  const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0, ...options }).pipe(
    Layer.provideMerge(MemoryParts.layer),
    Layer.provide([Layer.succeed(Alarms, alarms), authenticator]),
  )
  return Effect.gen(function* () {
    const said = yield* Effect.gen(function* () {
      const url = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
      return yield* Effect.promise(async () => (await fetch(`${url}/readyz`)).text())
    }).pipe(
      Effect.provide(gateway, { local: true }),
      Effect.scoped,
      Effect.catch((error) => Effect.succeed("code" in error ? error.code : error._tag)),
    )
    assert.deepStrictEqual(yield* alarms.warnings, [], "over with the gateway")
    return said
  })
}

const warning = (host: string) =>
  `ready\nwarning: there are no locks, and this gateway listens on ${host}: everybody who reaches it may do everything (NIMBUS_INSECURE)\n`

describe("a gateway without locks", () => {
  it.live.each(["127.0.0.1", "localhost", "127.0.0.2"])("listens on %s without a word", (host) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome({ host, grpc: { host, port: 0 }, insecure: true }), "ready\n")
    }),
  )

  it.live.each(["0.0.0.0", "::", "192.0.2.1", "localhost.example", "1270.0.0.1"])("does not start on %s", (host) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome({ host }), "NO_LOCKS")
    }),
  )

  it.live("does not start where its gRPC port alone is open to others", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome({ grpc: { host: "0.0.0.0", port: 0 } }), "NO_LOCKS")
    }),
  )

  it.live("starts on any address where NIMBUS_INSECURE says so, and /readyz warns of it", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome({ host: "0.0.0.0", insecure: true }), warning("0.0.0.0"))
    }),
  )
})

describe("a gateway with locks", () => {
  it.live.each([true, false])("starts on any address without a word, whether NIMBUS_INSECURE is %s", (insecure) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome({ host: "0.0.0.0", insecure }, locks), "ready\n")
    }),
  )
})
