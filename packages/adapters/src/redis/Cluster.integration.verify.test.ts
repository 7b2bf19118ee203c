/** Everything on a Redis Cluster: three masters, over which keys and channels are spread, and a replica of the first. */
import { assert, describe, it } from "@effect/vitest"
import type { MailboxLimits } from "@nimbus/domain/limits"
import { ClientId, Epoch, Incarnation, PodId } from "@nimbus/domain/protocol"
import { Mailbox, PodChannel, Registry } from "@nimbus/domain/services"
import {
  ackChannelSuite,
  eventually,
  mailboxSuite,
  ownClock as time,
  podChannelSuite,
  registrySuite,
} from "@nimbus/domain/testing"
import { Effect, Fiber, Layer, type Scope, Stream } from "effect"
import { afterAll, beforeAll, inject } from "vitest"
import { type RedisCluster, startRedisCluster } from "../../../../scripts/services/RedisCluster.ts"
import type { Service } from "../../../../scripts/services/Service.ts"
import * as RedisAckChannel from "./AckChannel.ts"
import { RedisConnection } from "./Connection.ts"
import * as RedisMailbox from "./Mailbox.ts"
import * as RedisMailboxStore from "./MailboxStore.ts"
import * as RedisPodChannel from "./PodChannel.ts"
import * as RedisRegistry from "./Registry.ts"
import { settingsOf } from "./Settings.ts"

describe.skipIf(inject("services").redis === undefined)("on a Redis Cluster", () => {
  let started: RedisCluster | undefined
  beforeAll(async () => {
    started = await startRedisCluster(3)
  })
  afterAll(() => started?.stop())
  const cluster = (): RedisCluster => {
    if (started === undefined) throw new Error("the cluster was not started")
    return started
  }
  const node = (i: number): Service => {
    const found = cluster().nodes[i]
    if (found === undefined) throw new RangeError(`there is no node ${i}`)
    return found
  }
  const tell = (i: number, command: string) => Effect.promise(() => cluster().tell(node(i), command))

  const connectionTo = (prefix: string, address = () => cluster().address) =>
    Layer.suspend(() => RedisConnection.layerWith({ ...settingsOf(address()), prefix }))
  const all = (prefix: string) =>
    Layer.mergeAll(
      RedisRegistry.layer,
      RedisPodChannel.layerWith({}),
      RedisAckChannel.layer,
      RedisMailbox.layer,
      RedisMailboxStore.layer("redis"),
    ).pipe(Layer.provideMerge(connectionTo(prefix)))

  registrySuite("on a cluster", RedisRegistry.layer.pipe(Layer.provide(connectionTo("registry"))))
  podChannelSuite("on a cluster", RedisPodChannel.layerWith({}).pipe(Layer.provide(connectionTo("pods"))))
  ackChannelSuite("on a cluster", RedisAckChannel.layer.pipe(Layer.provide(connectionTo("acks"))))

  let stores = 0
  const mailbox = (limits: MailboxLimits) =>
    Layer.suspend(() => RedisMailbox.layerWith({ limits }).pipe(Layer.provide(connectionTo(`mailbox-${stores++}`))))
  mailboxSuite("on a cluster", mailbox, { runs: 20, time })

  it.live("uses every master for keys", () =>
    Effect.gen(function* () {
      const registry = yield* Registry
      for (const i of [0, 1, 2]) yield* tell(i, "FLUSHALL")
      const ids = Array.from({ length: 200 }, (_, i) => ClientId.make(`c${i}`))
      yield* registry.write(ids.map((clientId) => ({ clientId, epoch: Epoch.make(1), pod, status: "LIVE" as const })))
      assert.isTrue((yield* registry.pods(ids)).every((holder) => holder === pod))
      for (const i of [0, 1, 2]) assert.notStrictEqual(yield* tell(i, "DBSIZE"), ":0")
    }).pipe(Effect.provide(all("spread"))),
  )

  it.live("is known for a cluster by a single address too", () =>
    Effect.gen(function* () {
      const channel = yield* PodChannel
      for (const pod of pods) {
        yield* channel.subscribe(pod)
        assert.isTrue(yield* channel.publish(pod, mail))
      }
    }).pipe(
      Effect.scoped,
      Effect.provide(RedisPodChannel.layerWith({}).pipe(Layer.provide(connectionTo("single", () => node(1).address)))),
    ),
  )

  it.live("counts a publish that nobody receives, on whichever node its channel is", () =>
    Effect.gen(function* () {
      const channel = yield* PodChannel
      for (const pod of pods) {
        yield* channel.subscribe(pod)
        assert.isTrue(yield* channel.publish(pod, mail))
        assert.isFalse(yield* channel.publish(PodId.make(`not-${pod}`), mail))
      }
    }).pipe(Effect.scoped, Effect.provide(all("counts"))),
  )

  it.live("fails a command that was under way when the connection broke: it is not sent again", () =>
    Effect.gen(function* () {
      const { command } = yield* RedisConnection
      const waiting = yield* Effect.forkChild(Effect.flip(command("blpop", ["nothing", 0], () => {})))
      const isBlocked = Effect.map(
        Effect.forEach([0, 1, 2], (i) => tell(i, "INFO clients")),
        (infos) => infos.some((info) => info.includes("blocked_clients:1")),
      )
      yield* eventually("the command waits", isBlocked)
      for (const i of [0, 1, 2]) yield* tell(i, "CLIENT KILL TYPE normal")
      const error = yield* Fiber.join(waiting).pipe(Effect.timeout("30 seconds"))
      assert.propertyVal(error, "code", "REDIS_UNAVAILABLE")
    }).pipe(Effect.provide(connectionTo("once"))),
  )

  /** Makes one round of everything until all of it works, and what is published to each pod comes in. */
  const goesOn = (prefix: string, disturb: Effect.Effect<void, never, Scope.Scope>) =>
    Effect.gen(function* () {
      const channel = yield* PodChannel
      const registry = yield* Registry
      const mailbox = yield* Mailbox
      const heard = new Set<PodId>()
      for (const pod of pods) {
        const batches = yield* channel.subscribe(pod)
        yield* Effect.forkScoped(Stream.runForEach(batches, () => Effect.sync(() => heard.add(pod))))
      }
      yield* disturb
      heard.clear()
      const clients = Array.from({ length: 50 }, (_, i) => ClientId.make(`c${i}`))
      const isWell = Effect.gen(function* () {
        for (const pod of pods) yield* channel.publish(pod, mail)
        yield* registry.lease(PodId.make(crypto.randomUUID()), 1_000)
        for (const clientId of clients) yield* registry.connect(clientId, pod, Epoch.make(1))
        yield* mailbox.claim(log)
        return heard.size === pods.length
      }).pipe(Effect.catch(() => Effect.succeed(false)))
      yield* eventually("all nodes answer, and all channels are heard", isWell, 90_000)
    }).pipe(Effect.scoped, Effect.provide(all(prefix)))

  it.live("goes on, subscriptions too, when a node was killed and is back", () =>
    goesOn(
      "back",
      Effect.promise(async () => {
        await node(1).kill()
        await node(1).start()
      }),
    ),
  )

  it.live("goes on, subscriptions too, when a slot has moved to another node", () =>
    goesOn(
      "moved",
      Effect.gen(function* () {
        const [, slot] = /:(\d+)/.exec(yield* tell(0, "CLUSTER KEYSLOT moved:pod:pod-0")) ?? []
        const ids = yield* Effect.forEach([0, 1, 2], (i) => tell(i, "CLUSTER MYID"))
        const from = Math.floor(Number(slot) / Math.ceil(16_384 / 3))
        const to = (from + 1) % 3
        const [, id] = (ids[to] ?? "").split("\r\n")
        for (const i of [to, from, (to + 1) % 3]) {
          assert.strictEqual(yield* tell(i, `CLUSTER SETSLOT ${slot} NODE ${id}`), "+OK")
        }
      }),
    ),
  )

  // The last one, for the replica is a master then.
  it.live("goes on, subscriptions too, when a node hangs and its replica has taken over", () =>
    goesOn(
      "taken-over",
      Effect.acquireRelease(
        Effect.promise(async () => {
          signal(node(0), "SIGSTOP")
          await cluster().takeOver()
        }),
        () => Effect.sync(() => signal(node(0), "SIGCONT")),
      ),
    ),
  )
})

const signal = ({ group }: Service, name: "SIGSTOP" | "SIGCONT"): void => {
  if (group === undefined) throw new Error("the node does not run")
  process.kill(-group, name)
}

const pod = PodId.make("p1")
const pods = Array.from({ length: 12 }, (_, i) => PodId.make(`pod-${i}`))
const mail = [{ _tag: "Mail", clientId: ClientId.make("c1") }] as const
const log = { incarnation: Incarnation.make("log-1"), partitions: 12, ends: Array.from({ length: 12 }, () => 1) }
