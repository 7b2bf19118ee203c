import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import { RegistryUnavailable } from "@nimbus/domain/errors"
import { Epoch, PodId } from "@nimbus/domain/protocol"
import { EventLog, Registry, Topics } from "@nimbus/domain/services"
import { StatusManager } from "./StatusManager.ts"
import { append, client, inTestEnvironment, pod, result, settle } from "./testing/TestEnvironment.ts"

const manager = Effect.map(Layer.build(StatusManager.layerWith({ refresh_every_ms: 1_000 })), (context) =>
  Context.get(context, StatusManager),
)

const refreshed = Effect.andThen(TestClock.adjust("1 second"), settle)

describe("StatusManager", () => {
  it.effect("counts clients by status, those of a dead pod as OFFLINE", () =>
    Effect.gen(function* () {
      const registry = yield* Registry
      const dead = PodId.make("dead")
      yield* registry.lease(pod, 60_000)
      for (const name of ["a", "b", "c"]) yield* registry.connect(client(name), pod, Epoch.make(5))
      yield* registry.connect(client("d"), dead, Epoch.make(5))
      yield* registry.write([{ clientId: client("a"), epoch: Epoch.make(5), pod, status: "LIVE" }])
      const { snapshot } = yield* manager
      yield* refreshed
      assert.deepStrictEqual((yield* snapshot).clients, { OFFLINE: 1, REPLAYING: 2, LIVE: 1 })
      yield* TestClock.adjust("2 minutes")
      yield* settle
      assert.deepStrictEqual((yield* snapshot).clients, { OFFLINE: 4, REPLAYING: 0, LIVE: 0 })
    }).pipe(inTestEnvironment()),
  )

  it.effect("measures what each topic's consumer has not committed", () =>
    Effect.gen(function* () {
      const { dlq, events, results, tasks } = yield* Topics
      yield* append(events, result("a", 0), result("a", 1), result("a", 2))
      yield* append(results, result("a", 0))
      yield* commit(events, "nimbus-event-consumer", 2)
      yield* commit(dlq, "nimbus-replay-consumer", 0)
      yield* append(tasks, result("a", 0), result("a", 1))
      yield* commit(tasks, "nimbus-task-worker", 1)
      const { snapshot } = yield* manager
      yield* refreshed
      assert.deepStrictEqual((yield* snapshot).lag, { events: 1, results: 1, dlq: 0, tasks: 1 })
      yield* append(dlq, result("a", 0))
      yield* refreshed
      assert.deepStrictEqual((yield* snapshot).lag, { events: 1, results: 1, dlq: 1, tasks: 1 })
      yield* commit(results, "nimbus-result-consumer", 1)
      yield* refreshed
      assert.deepStrictEqual((yield* snapshot).lag, { events: 1, results: 0, dlq: 1, tasks: 1 })
      const gauges = (yield* Metric.snapshot).filter(({ id }) => id === "nimbus_lag_records")
      assert.lengthOf(gauges, 4)
    }).pipe(inTestEnvironment()),
  )

  it.effect("keeps what it had while the registry does not answer, and goes on measuring lag", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      const { snapshot } = yield* manager
      yield* settle
      yield* append(events, result("a", 0))
      yield* refreshed
      const { clients, clients_at_ms, lag } = yield* snapshot
      assert.deepStrictEqual(clients, { OFFLINE: 0, REPLAYING: 0, LIVE: 0 })
      assert.isUndefined(clients_at_ms)
      assert.strictEqual(lag.events, 1)
    }).pipe(
      Effect.provide(
        Layer.effect(
          Registry,
          Effect.map(Registry, (registry) => ({ ...registry, livePods: Effect.fail(registryDown) })),
        ),
      ),
      inTestEnvironment(),
    ),
  )
})

const registryDown = new RegistryUnavailable({ operation: "livePods", cause: "told to fail" })

/** As a member of the group. */
const commit = Effect.fnUntraced(function* (topic: string, group: string, next: number) {
  const log = yield* EventLog
  yield* Effect.scoped(
    Effect.gen(function* () {
      const pull = yield* Stream.toPull(log.subscribe(topic, group))
      const [partition] = yield* pull
      yield* partition.commit(next)
    }),
  )
})
