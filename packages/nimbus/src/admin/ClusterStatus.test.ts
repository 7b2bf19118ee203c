import { assert, describe, it } from "@effect/vitest"
import { RegistryUnavailable } from "@nimbus/domain/errors"
import { ClientId, Epoch, PodId } from "@nimbus/domain/protocol"
import { EventLog, EventLogMemory, Registry, RegistryMemory, Topics } from "@nimbus/domain/services"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { freePort, nimbus, temporaryDirectory } from "../testing/Processes.ts"
import { type Parts, reached } from "./ClusterStatus.ts"

const log = EventLogMemory.layerMemory({ partitions: 3 }).pipe(Layer.provideMerge(Topics.layerDefault))
const registry = Layer.effect(
  Registry,
  Effect.gen(function* () {
    const { registry } = RegistryMemory.makeMemory()
    yield* registry.lease(PodId.make("gw-1"), 60_000)
    yield* registry.connect(ClientId.make("ada"), PodId.make("gw-1"), Epoch.make(1))
    return registry
  }),
)
/** Not even an interruption ends it. */
const never = Effect.uninterruptible(Effect.never)
const noLog = Layer.merge(Layer.effect(EventLog, never), Topics.layerDefault)
const noRegistry = Layer.effect(Registry, never)

const soon = <E, E2>(parts: Parts<E, E2>) =>
  Effect.gen(function* () {
    const asking = yield* Effect.forkChild(reached(parts))
    yield* TestClock.adjust("5 seconds")
    return yield* Fiber.join(asking)
  })

describe("the status of a cluster", () => {
  it.effect("is what a gateway tells of it where everything can be reached", () =>
    Effect.gen(function* () {
      const status = yield* soon({ log, registry })
      assert.deepStrictEqual(status.clients, { OFFLINE: 0, REPLAYING: 1, LIVE: 0 })
      assert.deepStrictEqual(status.lag, { events: 0, results: 0, dlq: 0 })
      assert.strictEqual(status.partitions, 3)
      assert.lengthOf(status.pods ?? [], 1)
      assert.deepStrictEqual(status.unreached, [])
    }),
  )

  it.effect("is there within 5 seconds without what can't be reached, and names that", () =>
    Effect.gen(function* () {
      const withoutLog = yield* soon({ log: noLog, registry })
      assert.deepStrictEqual(withoutLog.clients, { OFFLINE: 0, REPLAYING: 1, LIVE: 0 })
      assert.isUndefined(withoutLog.lag)
      assert.deepStrictEqual(withoutLog.unreached, [{ part: "log", reason: "no answer within 4 s" }])

      const withoutRegistry = yield* soon({ log, registry: noRegistry })
      assert.strictEqual(withoutRegistry.quarantined, 0)
      assert.isUndefined(withoutRegistry.clients)
      assert.deepStrictEqual(withoutRegistry.unreached, [{ part: "registry", reason: "no answer within 4 s" }])
    }),
  )

  it.effect("fails where nothing can be reached, with the reasons", () =>
    Effect.gen(function* () {
      const refused = Layer.effect(
        Registry,
        Effect.fail(new RegistryUnavailable({ operation: "connect", cause: "no" })),
      )
      const error = yield* Effect.flip(soon({ log: noLog, registry: refused }))
      assert.propertyVal(error, "code", "ADMIN_UNAVAILABLE")
      assert.match(String(error), /of the log no answer within 4 s; of the registry /)
    }),
  )

  it.live("is told by a command that ends, also where no service listens", () =>
    Effect.gen(function* () {
      const [kafka, redis] = [yield* freePort, yield* freePort]
      const command = yield* nimbus(["status", "--cluster"], {
        cwd: yield* temporaryDirectory,
        env: { NIMBUS_KAFKA_BROKERS: `127.0.0.1:${kafka}`, NIMBUS_REDIS_ADDRESS: `127.0.0.1:${redis}` },
      })
      assert.deepStrictEqual(yield* command.ended, { code: 1, signal: null }, command.stderr())
      assert.include(command.stderr(), `waiting for Kafka at 127.0.0.1:${kafka}`)
      assert.include(command.stderr(), `waiting for Redis at 127.0.0.1:${redis}`)
      assert.include(command.stderr(), "nothing can be reached")
      assert.strictEqual(command.stdout(), "")
    }),
  )
})
