/**
 * The transports of NimbusWS on Kafka and Redis, with two gateways and the pipeline: a client that goes from one to the
 * other gets each result once, in order, a newer connection elsewhere ends the older one, and a task that was begun for a
 * client at one gateway is cancelled at the other.
 */
import { assert, describe, layer } from "@effect/vitest"
import { KafkaEventLog } from "@nimbus/adapters/kafka"
import {
  RedisAckChannel,
  RedisClientOffsets,
  RedisConnection,
  RedisMailbox,
  RedisPodChannel,
  RedisRegistry,
} from "@nimbus/adapters/redis"
import { autoAckLimits } from "@nimbus/domain/limits"
import { ClientId, start } from "@nimbus/domain/protocol"
import { Handlers, Mailbox, Publisher, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Gateway } from "@nimbus/gateway"
import { PlainClient } from "@nimbus/gateway/testing"
import { Pipeline } from "@nimbus/pipeline"
import { Context, Effect, Layer, Schema } from "effect"
import { inject } from "vitest"
import * as Nimbus from "./Nimbus.ts"
import { comeBack, converse } from "./testing/nimbusWsStory.ts"

const { kafka, redis } = inject("services")
const run = Math.random().toString(36).slice(2, 8)
const topics = Layer.succeed(Topics, {
  events: `${run}-events`,
  results: `${run}-results`,
  dlq: `${run}-dlq`,
  quarantine: `${run}-quarantine`,
  tasks: `${run}-tasks`,
  journey: `${run}-journey`,
  chats: `${run}-chats`,
})

const [host = "", port = ""] = (redis?.address ?? "").split(":")
const connection = RedisConnection.layerWith({
  nodes: [{ host, port: Number(port) }],
  tls: false,
  db: 0,
  prefix: run,
})

const services = () =>
  Layer.mergeAll(
    KafkaEventLog.layerWith({ brokers: [kafka?.brokers ?? ""], partitions: 2 }),
    RedisRegistry.layer,
    RedisPodChannel.layerWith({}),
    RedisAckChannel.layer,
    RedisClientOffsets.layer,
    RedisMailbox.layer,
  ).pipe(Layer.provideMerge(Layer.fresh(connection)), Layer.provideMerge(topics))

/** What a client is sent counts as read soon: this is not about how long it takes. */
const soon = { ...autoAckLimits, quiet_ms: 100, look_ms: 20 }

const gateway = () =>
  Layer.fresh(Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { sweep_ms: 2_000, auto_ack: soon } })).pipe(
    Layer.provide(Layer.fresh(services())),
  )

/** Where each gateway is. */
class Urls extends Context.Service<Urls, readonly [string, string]>()("test/Urls") {
  static readonly layer = Layer.effect(
    Urls,
    Effect.gen(function* () {
      const [a, b] = yield* Effect.all([Layer.build(gateway()), Layer.build(gateway())])
      return [yield* Effect.provideContext(Nimbus.url, a), yield* Effect.provideContext(Nimbus.url, b)] as const
    }),
  )
}

const nimbus = Layer.mergeAll(Pipeline.layer(), Publisher.layer, Urls.layer).pipe(
  Layer.provideMerge(Layer.fresh(services())),
  Layer.provide(Handlers.layer(Handlers.samples)),
)

const publish = Effect.fnUntraced(function* (clientId: ClientId, first: number, last: number) {
  const count = last - first + 1
  const { sendAll } = yield* Publisher
  yield* sendAll(Array.from({ length: count }, (_, i) => ({ clientId, name: "note", data: first + i })))
})

const connect = (approach: string, gateway: 0 | 1, clientId: ClientId) =>
  Effect.flatMap(Urls, (urls) =>
    PlainClient.connect(`${urls[gateway]}/${approach}/events?clientId=${clientId}&frames=all`),
  )

const has = (client: PlainClient.PlainClient, count: number) =>
  eventually(
    `${count} results`,
    Effect.sync(() => client.results().length >= count),
    60_000,
  )

/** A connection that takes `count` results, acknowledges them, and is cut off. */
const session = (approach: string, gateway: 0 | 1, clientId: ClientId, count: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const client = yield* connect(approach, gateway, clientId)
      yield* has(client, count)
      yield* eventually(
        "everything is acknowledged",
        Effect.map(
          Effect.flatMap(Mailbox, ({ stats }) => stats(clientId)),
          ({ acked }) => acked >= (client.results().at(-1)?.seq ?? start),
        ),
      )
      client.cut()
      return client.results().map(({ data }) => data)
    }),
  )

const isPart = Schema.is(
  Schema.Struct({ type: Schema.Literal("task_part"), data: Schema.Struct({ seq: Schema.Int, part: Schema.Int }) }),
)

const parts = ({ frames }: PlainClient.PlainClient) => frames.flatMap((frame) => (isPart(frame) ? [frame.data] : []))

const oneTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)

describe.skipIf(kafka === undefined || redis === undefined)("the transports of NimbusWS on Kafka and Redis", () => {
  layer(nimbus, { excludeTestServices: true, timeout: 120_000 })("with two gateways", (it) => {
    for (const order of [
      ["approach2", "approach2", "approach2"],
      ["approach2", "approach3", "approach2"],
      ["approach3", "approach2", "approach3"],
    ] as const) {
      it.effect(
        `a client gets each result once, from one gateway to the other: ${order.join(", ")}`,
        () =>
          Effect.gen(function* () {
            const clientId = ClientId.make(`c-${order.join("-")}`)
            const got: Array<unknown> = []
            for (const [i, approach] of order.entries()) {
              yield* publish(clientId, i * 300 + 1, i * 300 + 300)
              got.push(...(yield* session(approach, i % 2 === 0 ? 0 : 1, clientId, 300)))
            }
            assert.deepStrictEqual(got, oneTo(900))
          }),
        180_000,
      )
    }

    for (const approach of ["approach2", "approach3"] as const) {
      it.effect(
        `says what NimbusWS says at ${approach}, field by field, live and at the other gateway again`,
        () =>
          Effect.gen(function* () {
            const [first, second] = (yield* Urls).map((url) => `${url}/${approach}/events`) as [string, string]
            const clientId = `wscat-${approach}`
            yield* comeBack(second, clientId, yield* converse(first, clientId))
          }),
        180_000,
      )
    }

    for (const approach of ["approach2", "approach3"] as const) {
      it.effect(
        `a task that a client has opened by ${approach} at one gateway ends when it cancels it at the other`,
        () =>
          Effect.gen(function* () {
            const clientId = ClientId.make(`cancels-${approach}`)
            const first = yield* connect(approach, 0, clientId)
            const data = { text: "word ".repeat(800), every_ms: 100 }
            first.send({ type: "event", id: "e1", name: "stream", data })
            yield* first.first("task_part")
            const stranger = yield* connect(approach, 1, ClientId.make(`stranger-${approach}`))
            stranger.send({ type: "cancel", id: "e1" })
            yield* stranger.first("cancelling")
            const seen = parts(first).length
            yield* eventually(
              "it goes on",
              Effect.sync(() => parts(first).length > seen),
            )
            first.cut()
            const second = yield* connect(approach, 1, clientId)
            second.send({ type: "cancel", id: "e1" })
            const end = yield* second.first("processed_finished")
            assert.deepInclude(end, { id: "e1", name: "stream", data: null, end: "cancelled" })
            assert.deepInclude(end["payload"], { event_id: "e1", type: "event_processing_failed" })
            // Each part once, but for those that were not acknowledged before the cut, and the end behind all of them.
            const bySeq = new Map([...parts(first), ...parts(second)].map((part) => [part.seq, part.part]))
            assert.deepStrictEqual(
              [...bySeq.values()],
              Array.from({ length: Number(end["part"]) }, (_, i) => i),
            )
            assert.isAbove(Number(end["seq"]), Math.max(...bySeq.keys()))
            assert.deepStrictEqual(stranger.results(), [])
          }).pipe(Effect.scoped),
        180_000,
      )
    }

    it.effect(
      "a newer connection at another gateway ends the older one",
      () =>
        Effect.gen(function* () {
          const clientId = ClientId.make("moves")
          const older = yield* connect("approach2", 0, clientId)
          yield* older.first("welcome")
          const newer = yield* connect("approach2", 1, clientId)
          yield* newer.first("welcome")
          yield* publish(clientId, 1, 10)
          assert.strictEqual((yield* older.closed).code, 4500)
          yield* has(newer, 10)
          assert.deepStrictEqual(
            newer.results().map(({ data }) => data),
            oneTo(10),
          )
        }).pipe(Effect.scoped),
      180_000,
    )
  })
})
