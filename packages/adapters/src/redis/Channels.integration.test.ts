import { assert, describe, layer } from "@effect/vitest"
import { ClientId, PodId, type PodMessage } from "@nimbus/domain/protocol"
import { type Member, Members, PodChannel, Registry } from "@nimbus/domain/services"
import { ackChannelSuite, eventually, podChannelSuite } from "@nimbus/domain/testing"
import { Effect, Exit, Layer, Option, Scope, Stream } from "effect"
import { inject } from "vitest"
import * as RedisAckChannel from "./AckChannel.ts"
import { RedisConnection } from "./Connection.ts"
import * as RedisMailboxStore from "./MailboxStore.ts"
import * as RedisMembers from "./Members.ts"
import * as RedisPodChannel from "./PodChannel.ts"
import * as RedisRegistry from "./Registry.ts"
import * as Reply from "./Reply.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")
/** A database of this file's own, for its tests empty it. */
const db = 1
const connectionTo = (prefix: string) => RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), db, prefix })

describe.skipIf(redis === undefined)("channels in Redis", () => {
  podChannelSuite("in Redis", RedisPodChannel.layerWith({}).pipe(Layer.provide(connectionTo("channels"))))
  ackChannelSuite("in Redis", RedisAckChannel.layer.pipe(Layer.provide(connectionTo("channels"))))

  layer(RedisRegistry.layer.pipe(Layer.provideMerge(connectionTo("named"))), { excludeTestServices: true })(
    "a pod channel with a name",
    (it) => {
      const a_minute_ms = 60_000
      const mail: ReadonlyArray<PodMessage> = [{ _tag: "Mail", clientId: ClientId.make("c1") }]
      const wipe = Effect.flatMap(RedisConnection, (connection) => connection.command("flushdb", [], () => {}))

      /** The channel as a process has it that is told this name, or none. */
      const processOf = (channel?: string) =>
        Effect.provide(PodChannel, RedisPodChannel.layerWith({ channel }), { local: true })

      /** A gateway: its lease, and its channel for as long as the scope lives. */
      const gateway = Effect.fnUntraced(function* (pod: PodId, channel: string) {
        yield* (yield* Registry).lease(pod, a_minute_ms)
        return yield* (yield* processOf(channel)).subscribe(pod)
      })
      const receives = (batches: Stream.Stream<ReadonlyArray<PodMessage>, unknown>) =>
        Effect.map(Stream.runHead(batches), Option.getOrThrow).pipe(Effect.timeout("30 seconds"))

      it.effect("is found by every process that publishes to the pod", () =>
        Effect.gen(function* () {
          yield* wipe
          const pod = PodId.make("p1")
          const batches = yield* gateway(pod, "events")
          for (const publisher of [yield* processOf(), yield* processOf("elsewhere")]) {
            assert.isTrue(yield* publisher.publish(pod, mail))
            assert.deepStrictEqual(yield* receives(batches), mail)
          }
        }),
      )

      it.effect("is refused while another live pod has it, and free once that is gone", () =>
        Effect.gen(function* () {
          yield* wipe
          const first = yield* Scope.make()
          const crashed = PodId.make("p1")
          yield* Scope.provide(gateway(crashed, "events"), first)
          const refused = yield* Effect.flip(gateway(PodId.make("p2"), "events"))
          assert.propertyVal(refused, "code", "POD_TAKEN")

          yield* (yield* Registry).release(crashed)
          const batches = yield* gateway(PodId.make("p3"), "events")
          const publisher = yield* processOf()
          assert.isTrue(yield* publisher.publish(PodId.make("p3"), mail))
          assert.deepStrictEqual(yield* receives(batches), mail)

          // What the first gives back now is not its own any more.
          yield* Scope.close(first, Exit.void)
          assert.propertyVal(yield* Effect.flip(gateway(PodId.make("p4"), "events")), "code", "POD_TAKEN")
        }),
      )

      it.effect("is given back with its scope", () =>
        Effect.gen(function* () {
          yield* wipe
          const first = yield* Scope.make()
          yield* Scope.provide(gateway(PodId.make("p1"), "events"), first)
          yield* Scope.close(first, Exit.void)
          yield* gateway(PodId.make("p2"), "events")
        }),
      )

      it.effect(
        "is noted again in a Redis that has lost it, and found again",
        () =>
          Effect.gen(function* () {
            yield* wipe
            const pod = PodId.make("p1")
            yield* gateway(pod, "events")
            yield* wipe
            const publisher = yield* processOf()
            assert.isFalse(yield* publisher.publish(pod, mail))
            yield* eventually("a publish is received", publisher.publish(pod, mail), 60_000)
          }),
        120_000,
      )
    },
  )

  layer(connectionTo("store"), { excludeTestServices: true })("the note of the mailbox store", (it) => {
    const start = (store: "redis" | "postgres") =>
      Effect.scoped(Layer.build(Layer.fresh(RedisMailboxStore.layer(store))))

    it.effect("is what the first process says, and another is refused, also after the first has stopped", () =>
      Effect.gen(function* () {
        yield* start("postgres")
        yield* start("postgres")
        const refused = yield* Effect.flip(start("redis"))
        assert.propertyVal(refused, "code", "OTHER_MAILBOX_STORE")
        assert.strictEqual(
          refused.message,
          "mailboxes are kept in postgres, but NIMBUS_MAILBOX is redis (the key {store}:mailboxes says so)",
        )
        const connection = yield* RedisConnection
        yield* connection.command("del", ["{store}:mailboxes"], () => {})
        yield* start("redis")
      }),
    )

    const noted = "{store}:mailboxes"
    const set = (note: string) =>
      Effect.flatMap(RedisConnection, (redis) => redis.command("set", [noted, note], () => {}))

    it.effect("of the protocol before is taken over once nobody runs who made it, and he is refused from then on", () =>
      Effect.gen(function* () {
        const member: Member = { id: PodId.make("old"), host: "h", address: "10.0.0.1:3001", role: "result-consumer" }
        const { members, registry } = yield* Effect.all({ members: Members, registry: Registry })
        yield* set("redis")
        yield* members.announce(member, 60_000)
        yield* registry.lease(PodId.make("old-gateway"), 60_000)
        const refused = yield* Effect.flip(start("redis"))
        assert.propertyVal(refused, "code", "OTHER_PROTOCOL")
        assert.strictEqual(
          refused.message,
          "protocol 1 is in use, and this process speaks 2, and these run: result-consumer at 10.0.0.1:3001, old-gateway " +
            "(the key {store}:mailboxes says so)",
        )
        yield* members.withdraw(member)
        assert.propertyVal(yield* Effect.flip(start("redis")), "code", "OTHER_PROTOCOL")
        yield* registry.release(PodId.make("old-gateway"))
        yield* start("redis")
        const redis = yield* RedisConnection
        // What the protocol before compares with the name of its store.
        assert.strictEqual(yield* redis.command("get", [noted], Reply.text), "redis, protocol 2")
        yield* start("redis")
      }).pipe(Effect.provide(Layer.merge(RedisMembers.layer, RedisRegistry.layer))),
    )

    it.effect("of a later protocol is refused, and so is another store of the one before", () =>
      Effect.gen(function* () {
        yield* set("redis, protocol 3")
        const later = yield* Effect.flip(start("redis"))
        assert.strictEqual(
          later.message,
          "protocol 3 is in use, and this process speaks 2 (the key {store}:mailboxes says so)",
        )
        yield* set("postgres")
        assert.propertyVal(yield* Effect.flip(start("redis")), "code", "OTHER_MAILBOX_STORE")
      }),
    )
  })
})
