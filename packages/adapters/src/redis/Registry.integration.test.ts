import { assert, describe, layer } from "@effect/vitest"
import { ClientId, Epoch, PodId, Status } from "@nimbus/domain/protocol"
import { Registry } from "@nimbus/domain/services"
import { registryIdleSuite, registrySuite } from "@nimbus/domain/testing"
import { Arbitrary, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { inject } from "vitest"
import { RedisConnection } from "./Connection.ts"
import * as RedisRegistry from "./Registry.ts"
import * as Reply from "./Reply.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")
/** A database of this file's own, for its tests empty it. */
const db = 2
const connectionTo = (prefix: string) => RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), db, prefix })
const registryIn = (prefix: string) => RedisRegistry.layer.pipe(Layer.provideMerge(connectionTo(prefix)))

/** Calls go by three connections in turn, as those of three processes do. */
const spread = Layer.effect(
  Registry,
  Effect.gen(function* () {
    const registries = yield* Effect.forEach([1, 2, 3], () =>
      Effect.flatMap(Layer.build(Layer.fresh(registryIn("spread"))), (context) => Effect.provide(Registry, context)),
    )
    let calls = 0
    const next = () => registries[calls++ % registries.length]!
    return Registry.of({
      connect: (...args) => Effect.suspend(() => next().connect(...args)),
      write: (...args) => Effect.suspend(() => next().write(...args)),
      pods: (...args) => Effect.suspend(() => next().pods(...args)),
      statuses: (...args) => Effect.suspend(() => next().statuses(...args)),
      forget: (...args) => Effect.suspend(() => next().forget(...args)),
      lease: (...args) => Effect.suspend(() => next().lease(...args)),
      renew: (...args) => Effect.suspend(() => next().renew(...args)),
      release: (...args) => Effect.suspend(() => next().release(...args)),
      livePods: Effect.suspend(() => next().livePods),
      entries: Stream.suspend(() => next().entries),
    })
  }),
)

/** Spills turn by the clock of Redis; a layer looks whether it is time by Effect's. */
const pass = Effect.andThen(
  TestClock.adjust(500),
  Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20))),
)
const forgetful = RedisRegistry.layerWith({ idle_ms: 1_000 }).pipe(Layer.provide(connectionTo("forgetful")))

const client = ClientId.make("a")
const pod = PodId.make("p")

describe.skipIf(redis === undefined)("RedisRegistry", () => {
  registrySuite("in Redis", registryIn("single"))
  registrySuite("in Redis, by racing connections", spread)
  registryIdleSuite("in Redis", forgetful, pass)

  layer(registryIn("registry"), { excludeTestServices: true })("beyond the suite", (it) => {
    const write = (status: Status.Status) => {
      const { _tag, ...session } = status
      return Effect.flatMap(Registry, (registry) => registry.write([{ clientId: client, ...session, status: _tag }]))
    }
    /** Where the client's entry is, found among all. */
    const stored = Effect.gen(function* () {
      const connection = yield* RedisConnection
      for (let bucket = 0; bucket < 16; bucket++) {
        const key = `{registry:${bucket}}:clients`
        const text = yield* connection.command("hget", [key, client], Reply.text)
        if (text !== undefined) return { key, text }
      }
      return yield* Effect.die(new Error("no entry"))
    })
    const wipe = Effect.flatMap(RedisConnection, (connection) => connection.command("flushdb", [], () => {}))

    it.effect.prop("an entry is stored as the pure machine encodes it", [Arbitrary.schema(Status.Status)], ([status]) =>
      Effect.gen(function* () {
        yield* wipe
        yield* write(status)
        assert.strictEqual((yield* stored).text, Status.encode(status))
        assert.deepStrictEqual(yield* Stream.runCollect((yield* Registry).entries), [{ clientId: client, status }])
      }),
    )

    it.effect("an entry that can't be read counts as lost, and the next write replaces it", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        const connection = yield* RedisConnection
        yield* wipe
        for (const broken of ["", "{", "[]", '{"epoch":"9"}', '{"_tag":"LIVE","epoch":-1,"pod":"p"}']) {
          yield* registry.connect(client, pod, Epoch.make(5))
          yield* connection.command("hset", [(yield* stored).key, client, broken], () => {})
          assert.deepStrictEqual(yield* Stream.runCollect(registry.entries), [], broken)
          assert.deepStrictEqual(yield* registry.pods([client]), [undefined])
          assert.strictEqual(yield* registry.connect(client, pod, Epoch.make(3)), 3, broken)
        }
      }),
    )

    it.effect("a connect is refused where no higher epoch is left", () =>
      Effect.gen(function* () {
        yield* wipe
        yield* write({ _tag: "LIVE", epoch: Epoch.make(Number.MAX_SAFE_INTEGER), pod })
        const refused = yield* Effect.flip((yield* Registry).connect(client, pod, Epoch.make(1)))
        assert.strictEqual(refused.code, "REGISTRY_UNAVAILABLE")
      }),
    )

    it.effect("after a wipe epochs go on growing, and a pod's next renewal brings its lease back", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        yield* wipe
        yield* registry.lease(pod, 60_000)
        yield* registry.connect(client, pod, Epoch.make(5))
        yield* wipe
        assert.deepStrictEqual(yield* registry.livePods, [])
        yield* registry.renew(pod, 60_000)
        assert.deepStrictEqual(yield* registry.livePods, [pod])
        assert.strictEqual(yield* registry.connect(client, pod, Epoch.make(6)), 6)
      }),
    )

    it.effect("reads more entries than one look gives, each once", () =>
      Effect.gen(function* () {
        yield* wipe
        const ids = Array.from({ length: 40_000 }, (_, i) => ClientId.make(`c${i}`))
        const registry = yield* Registry
        yield* registry.write(ids.map((clientId) => ({ clientId, epoch: Epoch.make(1), pod, status: "LIVE" })))
        const found = (yield* Stream.runCollect(registry.entries)).map(({ clientId }) => clientId)
        assert.sameMembers(found, ids)
      }),
    )
  })
})
