/** A Redis as operators have it: full, evicting, a replica, with other databases than are asked for. */
import { assert, describe, it } from "@effect/vitest"
import { ClientId, Epoch, EventId, encodeResult, Incarnation, PodId, Seq, start } from "@nimbus/domain/protocol"
import { Alarms, Mailbox, makeAlarms, Registry } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Layer, Logger } from "effect"
import { Redis } from "ioredis"
import { inject } from "vitest"
import { startServices } from "../../../../scripts/services/Services.ts"
import { redisLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as RedisMailbox from "./Mailbox.ts"
import * as RedisMailboxStore from "./MailboxStore.ts"
import * as RedisRegistry from "./Registry.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")

const limits = { ...redisLimits, watch_every_ms: 30, watch_pause_ms: 10 }

/** A Redis for this test alone, a connection to tell it things, and what is seen of it. */
const ownRedis = Effect.gen(function* () {
  const services = yield* Effect.acquireRelease(
    Effect.promise(() => startServices(["redis"])),
    (services) => Effect.promise(() => services.stop()),
  )
  const { address } = services.get("redis")
  const tell = yield* Effect.acquireRelease(
    Effect.sync(() => new Redis(Number(address.split(":")[1])).on("error", () => {})),
    (client) => Effect.sync(() => client.disconnect()),
  )
  const set = (name: string, value: string) => Effect.promise(() => tell.config("SET", name, value))
  return { address, set, tell, settings: settingsOf(address) }
})

const watched = <A, E>(
  test: (seen: { readonly lines: ReadonlyArray<string>; readonly alarms: Alarms }) => Effect.Effect<A, E>,
) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const alarms = makeAlarms({ alarm_again_ms: 60_000 })
    return test({ lines, alarms }).pipe(
      Effect.provideService(Alarms, alarms),
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])),
    )
  })

const isTold = (lines: ReadonlyArray<string>, text: string) =>
  eventually(
    text,
    Effect.sync(() => lines.some((line) => line.includes(text))),
    60_000,
  )

const connected = (settings: ReturnType<typeof settingsOf>) => RedisConnection.layerWith(settings, limits)

const [known, stranger] = [ClientId.make("known"), ClientId.make("stranger")]
const pod = PodId.make("p")
const log = { incarnation: Incarnation.make("log"), partitions: 1, ends: [10] }
const value = encodeResult({ seq: Seq.make(1), id: EventId.make("e"), name: "sq", data: "x".repeat(1_000) })
const put = { expected: undefined, next: 1, records: [{ clientId: known, seq: Seq.make(1), value, timestamp: 0 }] }

/** No room for a byte more. */
const fill = Effect.fnUntraced(function* (set: (name: string, value: string) => Effect.Effect<unknown>) {
  yield* set("maxmemory", "1")
})

describe.skipIf(redis === undefined)("a full Redis", () => {
  it.live("is an alarm and not ready, serves the clients that it knows, and is over when there is room", () =>
    watched(({ alarms, lines }) =>
      Effect.gen(function* () {
        const { address, set, settings } = yield* ownRedis
        const services = Layer.merge(RedisRegistry.layer, RedisMailbox.layer).pipe(Layer.provide(connected(settings)))
        yield* Effect.gen(function* () {
          const registry = yield* Registry
          const mailbox = yield* Mailbox
          yield* mailbox.claim(log)
          yield* registry.lease(pod, 60_000)
          const epoch = yield* registry.connect(known, pod, Epoch.make(1))
          yield* mailbox.put(0, put)
          yield* fill(set)
          yield* isTold(lines, `Redis at ${address} is full`)
          assert.lengthOf(yield* alarms.blocking, 1)
          // Known: connects, is written, reads, acknowledges. Its pod keeps its lease, and another gets one.
          assert.isAbove(yield* registry.connect(known, pod, Epoch.make(1)), epoch)
          const live = { clientId: known, epoch: Epoch.make(epoch + 1), pod, status: "LIVE" } as const
          const unknown = { ...live, clientId: stranger }
          assert.deepStrictEqual(yield* registry.write([live, unknown]), [true, true])
          yield* registry.renew(pod, 60_000)
          yield* registry.lease(PodId.make("q"), 60_000)
          const page = yield* mailbox.page(known, start, { results: 10, bytes: 10_000 })
          assert.lengthOf(page.records, 1)
          yield* mailbox.ack([{ clientId: known, seq: Seq.make(1) }])
          // Unknown: turned away, and leaves nothing behind.
          assert.propertyVal(
            yield* Effect.flip(registry.connect(stranger, pod, Epoch.make(1))),
            "code",
            "REGISTRY_UNAVAILABLE",
          )
          assert.deepStrictEqual(yield* registry.statuses([stranger]), [undefined])
          yield* set("maxmemory", "0")
          yield* isTold(lines, `over: Redis at ${address} is full`)
          assert.deepStrictEqual(yield* alarms.blocking, [])
          yield* registry.connect(stranger, pod, Epoch.make(1))
        }).pipe(Effect.provide(services))
      }).pipe(Effect.scoped),
    ),
  )

  it.live("keeps nobody from starting who was there before", () =>
    watched(({ lines }) =>
      Effect.gen(function* () {
        const { set, settings } = yield* ownRedis
        const start = Effect.gen(function* () {
          yield* (yield* Mailbox).claim(log)
          yield* (yield* Registry).lease(PodId.make(crypto.randomUUID()), 60_000)
        }).pipe(
          Effect.provide(
            Layer.mergeAll(RedisRegistry.layer, RedisMailbox.layer, RedisMailboxStore.layer("redis")).pipe(
              Layer.provide(connected(settings)),
            ),
            { local: true },
          ),
        )
        yield* start
        yield* fill(set)
        yield* start
        assert.isFalse(lines.some((line) => line.startsWith("waiting for")))
      }).pipe(Effect.scoped),
    ),
  )
})

describe.skipIf(redis === undefined)("a Redis that an operator changes", () => {
  it.live("says so where it would evict from now on, and goes on", () =>
    watched(({ alarms, lines }) =>
      Effect.gen(function* () {
        const { address, set, settings } = yield* ownRedis
        yield* Effect.gen(function* () {
          yield* RedisConnection
          yield* set("maxmemory-policy", "allkeys-lru")
          yield* isTold(lines, `Redis at ${address} has maxmemory-policy allkeys-lru`)
          assert.deepStrictEqual(yield* alarms.blocking, [])
          yield* set("maxmemory-policy", "noeviction")
          yield* isTold(lines, `over: Redis at ${address} has maxmemory-policy`)
        }).pipe(Effect.provide(connected(settings)))
      }).pipe(Effect.scoped),
    ),
  )

  it.live("is waited for at start while it is a replica, and not ready when it becomes one", () =>
    watched(({ alarms, lines }) =>
      Effect.gen(function* () {
        const { settings, tell } = yield* ownRedis
        const master = yield* ownRedis
        const [host, port] = master.address.split(":")
        const follow = Effect.promise(() => tell.replicaof(host ?? "", Number(port)))
        const lead = Effect.promise(() => tell.replicaof("NO", "ONE"))
        yield* follow
        const starting = yield* Effect.forkScoped(Layer.build(connected(settings)))
        yield* isTold(lines, "READONLY")
        assert.isTrue(lines.some((line) => line.startsWith("waiting for Redis at")))
        yield* lead
        yield* Fiber.join(starting)
        yield* follow
        yield* isTold(lines, "takes no writes: READONLY")
        assert.lengthOf(yield* alarms.blocking, 1)
        yield* lead
        yield* eventually(
          "ready",
          Effect.map(alarms.blocking, (blocking) => blocking.length === 0),
          60_000,
        )
      }).pipe(Effect.scoped),
    ),
  )

  it.live("is refused where it has no such database", () =>
    Effect.gen(function* () {
      const { settings } = yield* ownRedis
      const error = yield* Effect.scoped(Effect.flip(Layer.build(connected({ ...settings, db: 99 }))))
      assert.propertyVal(error, "code", "REDIS_REFUSED")
      assert.include(error.message, "there is no database 99 (NIMBUS_REDIS_DB)")
    }).pipe(Effect.scoped),
  )

  it.live("is told to keep nothing over a restart", () =>
    watched(({ lines }) =>
      Effect.gen(function* () {
        const { address, settings } = yield* ownRedis
        yield* Layer.build(connected(settings))
        yield* isTold(lines, `Redis at ${address} has appendonly no`)
      }).pipe(Effect.scoped),
    ),
  )
})
