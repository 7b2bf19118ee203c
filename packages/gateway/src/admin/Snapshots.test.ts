import { assert, describe, it } from "@effect/vitest"
import { RegistryUnavailable } from "@nimbus/domain/errors"
import { ClientId, encode, Epoch, EventId, partitionOf, Seq, TaskRecords } from "@nimbus/domain/protocol"
import { EventLog, Registry, Topics } from "@nimbus/domain/services"
import type { Snapshot } from "@nimbus/domain/admin"
import { Effect, Layer, Metric, Stream } from "effect"
import { Access } from "../access/Access.ts"
import { Subjects } from "../subjects/Subjects.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { ReadBudget } from "../http/ReadBudget.ts"
import { Limits } from "../Limits.ts"
import { Pod } from "../Pod.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import * as ServiceOperations from "../operations/ServiceOperations.ts"
import { Snapshots } from "./Snapshots.ts"

const core = ServiceOperations.layer.pipe(
  Layer.provideMerge(
    Layer.merge(Delivery.layer.pipe(Layer.provide(Subjects.layer), Layer.provide(Access.layer)), ReadBudget.layer),
  ),
  Layer.provideMerge(Pod.layer),
  Layer.provideMerge(Limits.layerWith({})),
  Layer.provideMerge(MemoryParts.layer),
)

const snapshots = (limits: Parameters<typeof Snapshots.layerWith>[0] = {}) =>
  Snapshots.layerWith({ picture_ms: 5, watch_share: 1, ...limits }).pipe(Layer.provideMerge(core))

const test = <E, R>(effect: Effect.Effect<void, E, R>, layer = snapshots()) =>
  effect.pipe(Effect.scoped, Effect.provide(layer), Effect.provideService(Metric.MetricRegistry, new Map()))

/** The first snapshot of which this holds. */
const until = (which: Parameters<Snapshots["Service"]["watch"]>[0], holds: (snapshot: Snapshot) => boolean) =>
  Effect.gen(function* () {
    const stream = yield* (yield* Snapshots).watch(which)
    const found = yield* Stream.runHead(Stream.filter(stream, holds))
    return yield* Effect.fromOption(found)
  })

const arrive = Effect.fnUntraced(function* (...ids: ReadonlyArray<string>) {
  const registry = yield* Registry
  const { pod } = yield* Delivery
  for (const id of ids) yield* registry.connect(ClientId.make(id), pod, Epoch.make(1))
})

describe("Snapshots", () => {
  it.live("show who is where, and those clients that were asked for", () =>
    test(
      Effect.gen(function* () {
        const { pod } = yield* Delivery
        yield* arrive("ada", "bob", "adele")
        yield* (yield* Registry).write([{ clientId: ClientId.make("bob"), epoch: Epoch.make(1), pod, status: "LIVE" }])
        const all = yield* until({}, ({ clients, stale }) => clients.LIVE === 1 && stale.length === 0)
        assert.deepStrictEqual(all.clients, { OFFLINE: 0, REPLAYING: 2, LIVE: 1 })
        assert.deepStrictEqual(all.pods, [{ pod, clients: 3, isLive: true }])
        const some = yield* until({ search: "ad" }, () => true)
        assert.sameMembers(
          some.rows.map(({ clientId }) => `${clientId}`),
          ["ada", "adele"],
        )
        const live = yield* until({ status: "LIVE" }, () => true)
        assert.deepStrictEqual(
          live.rows.map(({ clientId, status, waiting }) => ({ clientId: `${clientId}`, status, waiting })),
          [{ clientId: "bob", status: "LIVE", waiting: 0 }],
        )
      }),
    ),
  )

  it.live("are as large with many clients as with few", () =>
    test(
      Effect.gen(function* () {
        yield* arrive(...Array.from({ length: 500 }, (_, i) => `c${i}`))
        const snapshot = yield* until({}, () => true)
        assert.strictEqual(snapshot.rows.length, 3)
        assert.isTrue(snapshot.rowsMore)
        assert.strictEqual(snapshot.clients.REPLAYING, 500)
      }),
      snapshots({ picture_rows: 3 }),
    ),
  )

  it.live("show what comes into the topics while somebody watches, and nobody looks there before", () =>
    test(
      Effect.gen(function* () {
        const log = yield* EventLog
        const { events } = yield* Topics
        const { history } = yield* Snapshots
        yield* Effect.repeat(history, { until: (pulses) => pulses.length > 2 })
        assert.isTrue((yield* history).every(({ topics }) => topics === undefined))
        const value = encode({ type: "event", id: EventId.make("e"), name: "sq", data: { number: 1 } })
        const write = log.publish(events, partitionOf("c1", log.partitions), [{ key: "c1", value }])
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(write, Effect.sleep(1))))
        const snapshot = yield* until({}, ({ pulse }) => (pulse.topics?.events_per_s ?? 0) > 0)
        assert.isAbove(snapshot.topics.find(({ kind }) => kind === "events")?.retained ?? 0, 0)
        assert.isAbove(snapshot.lag.events, 0)
      }),
    ),
  )

  it.live("show the first of the tasks that have not ended, and how many there are", () =>
    test(
      Effect.gen(function* () {
        const log = yield* EventLog
        const { tasks } = yield* Topics
        const values = [1, 2, 3].map((task) =>
          TaskRecords.encodeTask({
            task: Seq.make(task),
            is: "open",
            id: EventId.make(`e${task}`),
            name: "ask",
            data: null,
          }),
        )
        yield* log.publish(
          tasks,
          partitionOf("c1", log.partitions),
          values.map((value) => ({ key: "c1", value })),
        )
        const snapshot = yield* until({}, ({ tasks }) => tasks.waiting === 3)
        assert.deepStrictEqual(
          snapshot.tasks.tasks.map(({ id }) => `${id}`),
          ["e1", "e2"],
        )
        assert.isTrue(snapshot.tasks.more)
      }),
      snapshots({ picture_tasks: 2 }),
    ),
  )

  it.live("keep only the last minutes", () =>
    test(
      Effect.gen(function* () {
        const { history } = yield* Snapshots
        const full = yield* Effect.repeat(Effect.delay(history, 1), { until: (pulses) => pulses.length === 4 })
        const later = yield* Effect.repeat(Effect.delay(history, 1), {
          until: (pulses) => (pulses[0]?.at ?? 0) > (full.at(-1)?.at ?? Infinity),
        })
        assert.strictEqual(later.length, 4)
      }),
      snapshots({ pulses: 4 }),
    ),
  )

  it.live("are refused beyond as many watchers as may be, until one leaves", () =>
    test(
      Effect.gen(function* () {
        const { watch } = yield* Snapshots
        const first = Effect.flatMap(watch({}), (stream) => Stream.runDrain(Stream.take(stream, 1)))
        const asked = yield* watch({})
        yield* Stream.runForEach(Stream.take(asked, 1), () =>
          Effect.map(Effect.flip(first), ({ _tag, message }) => {
            assert.deepStrictEqual([_tag, message], ["NotPossible", "1 are watching already"])
          }),
        )
        yield* first
      }),
      snapshots({ watchers: 1 }),
    ),
  )

  it.live("name what can't be looked at now", () =>
    test(
      Effect.map(
        until({}, ({ topics }) => topics.length > 0),
        ({ clients, stale }) => {
          assert.deepStrictEqual(stale, ["clients"])
          assert.deepStrictEqual(clients, { OFFLINE: 0, REPLAYING: 0, LIVE: 0 })
        },
      ),
      Snapshots.layerWith({ picture_ms: 5 }).pipe(Layer.provide(away), Layer.provideMerge(core)),
    ),
  )
})

const away = Layer.effect(
  Registry,
  Effect.map(Registry, (registry) => ({
    ...registry,
    livePods: Effect.fail(new RegistryUnavailable({ operation: "livePods", cause: "told to fail" })),
  })),
)
