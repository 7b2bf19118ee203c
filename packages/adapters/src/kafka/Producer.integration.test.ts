import { assert, describe, it } from "@effect/vitest"
import type { LogRecord } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Layer, Stream } from "effect"
import { inject } from "vitest"
import type { KafkaLimits } from "../Limits.ts"
import { apis, type BrokerProxy, makeBrokerProxy } from "./testing/BrokerProxy.ts"
import { layerWith } from "./EventLog.ts"
import { codes } from "./Failures.ts"

const { kafka } = inject("services")
const broker = kafka?.brokers ?? ""
const run = Math.random().toString(36).slice(2, 8)

const logOf = (topic: string, proxy?: BrokerProxy, limits?: Partial<KafkaLimits>) =>
  layerWith({
    brokers: [broker],
    topics: [`${run}-${topic}`],
    partitions: 2,
    limits: { retry_min_ms: 5, retry_max_ms: 50, ...limits },
    socketFactory: proxy?.socketFactory,
  }).pipe(Layer.provide(Topics.layerDefault))

const encoder = new TextEncoder()
const record = (text: string): LogRecord => ({ key: "k", value: encoder.encode(text) })
const texts = (count: number, name = "") => Array.from({ length: count }, (_, i) => `${name}${i}`)

/** What stands in a partition now, by a way that has no proxy in it. */
const stored = (topic: string, partition = 0) =>
  EventLog.use((log) =>
    Effect.gen(function* () {
      const end = yield* log.end(`${run}-${topic}`, partition)
      if (end === 0) return []
      const chunks = log.tail(`${run}-${topic}`, partition, "earliest")
      const read = yield* Stream.runCollect(Stream.takeUntil(chunks, ({ next }) => next >= end))
      return read.flatMap(({ records }) => records.map(({ value }) => new TextDecoder().decode(value)))
    }),
  ).pipe(Effect.provide(logOf(topic), { local: true }))

/** A proxy, and a log on the other side of it. */
const withProxy = <A, E>(
  topic: string,
  limits: Partial<KafkaLimits>,
  use: (log: EventLog["Service"], proxy: BrokerProxy, topic: string) => Effect.Effect<A, E>,
) =>
  Effect.gen(function* () {
    const proxy = yield* makeBrokerProxy(broker)
    return yield* EventLog.use((log) => use(log, proxy, `${run}-${topic}`)).pipe(
      Effect.provide(logOf(topic, proxy, limits), { local: true }),
    )
  }).pipe(Effect.scoped)

describe.skipIf(kafka === undefined)("Producer on Kafka", () => {
  it.live("writes once, and in order, what it had to send again because the answer was lost", () =>
    Effect.gen(function* () {
      const expected = texts(300)
      yield* withProxy("lost", {}, (log, proxy, topic) =>
        Effect.gen(function* () {
          proxy.onAnswer = (api) => (api === apis.produce && proxy.count(apis.produce) % 3 === 1 ? "cut" : "pass")
          yield* Effect.forEach(expected, (text) => Effect.forkChild(log.publish(topic, 0, [record(text)]))).pipe(
            Effect.flatMap(Fiber.joinAll),
          )
          // And one after the other, so that there are many requests.
          for (const text of texts(20, "later")) yield* log.publish(topic, 0, [record(text)])
          assert.isAbove(proxy.count(apis.produce), 20)
        }),
      )
      assert.deepStrictEqual(yield* stored("lost"), [...expected, ...texts(20, "later")])
    }),
  )

  it.live("writes what it had to send again because the request was lost, before anything later", () =>
    Effect.gen(function* () {
      yield* withProxy("request", {}, (log, proxy, topic) =>
        Effect.gen(function* () {
          proxy.onRequest = (api) => (api === apis.produce && proxy.count(apis.produce) % 2 === 1 ? "cut" : "pass")
          const all = texts(50)
          const offsets = yield* Effect.forEach(all, (text) => log.publish(topic, 0, [record(text)]), {
            concurrency: 10,
          })
          assert.deepStrictEqual(
            offsets,
            all.map((_, i) => i),
          )
        }),
      )
      assert.deepStrictEqual(yield* stored("request"), texts(50))
    }),
  )

  it.live("goes on with another producer id after a disputed sequence number, the same batch first", () =>
    Effect.gen(function* () {
      yield* withProxy("dispute", {}, (log, proxy, topic) =>
        Effect.gen(function* () {
          yield* log.publish(topic, 0, texts(2, "a").map(record))
          // The broker has written it when it seems to complain, so it is there twice: the price.
          let isDisputed = false
          proxy.onAnswer = (api, answer) => {
            if (api === apis.produce) isDisputed ||= falsify(answer, topic, 0, codes.outOfOrderSequence)
            return "pass"
          }
          const [disputed, later, other] = yield* Effect.all(
            [
              log.publish(topic, 0, texts(2, "b").map(record)),
              log.publish(topic, 0, texts(2, "c").map(record)),
              log.publish(topic, 1, texts(2, "d").map(record)),
            ],
            { concurrency: "unbounded" },
          )
          assert.isBelow(disputed, later)
          assert.strictEqual(other, 0)
        }),
      )
      const all = yield* stored("dispute")
      assert.deepStrictEqual(all, ["a0", "a1", "b0", "b1", "c0", "c1", "b0", "b1", "c0", "c1"])
      assert.deepStrictEqual(yield* stored("dispute", 1), ["d0", "d1"])
    }),
  )

  it.live("does not let Kafka take a batch for the repeat of one that was given up", () =>
    Effect.gen(function* () {
      yield* withProxy("given-up", { delivery_timeout_ms: 2_000 }, (log, proxy, topic) =>
        Effect.gen(function* () {
          yield* log.publish(topic, 0, [record("first")])
          // It is written, but nobody hears of that until it is given up.
          proxy.onAnswer = (api) => (api === apis.produce ? "cut" : "pass")
          const failure = yield* Effect.flip(log.publish(topic, 0, [record("given up")]))
          assert.strictEqual(failure._tag, "LogUnavailable")
          proxy.onAnswer = () => "pass"
          yield* log.publish(topic, 0, [record("later")])
        }),
      )
      const all = yield* stored("given-up")
      assert.deepStrictEqual(
        all.filter((text) => text !== "given up"),
        ["first", "later"],
      )
    }),
  )

  it.live("makes one request for what is published at the same time, whatever the partition", () =>
    withProxy("together", {}, (log, proxy, topic) =>
      Effect.gen(function* () {
        yield* log.publish(topic, 0, [record("first")])
        const before = proxy.count(apis.produce)
        yield* Effect.forEach(texts(1_000), (text, i) => log.publish(topic, i % 2, [record(text)]), {
          concurrency: "unbounded",
        })
        assert.isAtMost(proxy.count(apis.produce) - before, 20)
      }),
    ),
  )

  it.live("takes no more than the bound while Kafka is away, and writes what it took when it is back", () =>
    Effect.gen(function* () {
      yield* withProxy("bound", { publish_queue_bytes: 1_000 }, (log, proxy, topic) =>
        Effect.gen(function* () {
          yield* log.publish(topic, 0, [record("first")])
          proxy.close()
          const taken = yield* Effect.forkChild(log.publish(topic, 0, [record("x".repeat(900))]), {
            startImmediately: true,
          })
          const refused = yield* Effect.flip(log.publish(topic, 0, [record("x".repeat(200))]))
          assert.strictEqual(refused._tag, "LogUnavailable")
          proxy.open()
          assert.strictEqual(yield* Fiber.join(taken), 1)
        }),
      )
      assert.lengthOf(yield* stored("bound"), 2)
    }),
  )

  it.live("fails what is larger than the topic takes, and goes on", () =>
    Effect.gen(function* () {
      yield* withProxy("large", { message_bytes: 2_000 }, (log, _, topic) =>
        Effect.gen(function* () {
          const large = Effect.flip(log.publish(topic, 0, [record("x".repeat(3_000))]))
          const [failure, offset] = yield* Effect.all([large, log.publish(topic, 1, [record("small")])], {
            concurrency: 2,
          })
          assert.propertyVal(failure, "reason", "too-large")
          assert.strictEqual(offset, 0)
          assert.strictEqual(yield* log.publish(topic, 0, [record("small")]), 0)
        }),
      )
    }),
  )

  it.live("writes what waits when the log is closed, and takes nothing more", () =>
    Effect.gen(function* () {
      const publishing = yield* withProxy("closing", {}, (log, _, topic) =>
        Effect.gen(function* () {
          const fibers = yield* Effect.forEach(texts(50), (text) =>
            Effect.forkDetach(log.publish(topic, 0, [record(text)]), { startImmediately: true }),
          )
          return { fibers, late: log.publish(topic, 0, [record("late")]) }
        }),
      )
      yield* Fiber.joinAll(publishing.fibers)
      assert.strictEqual((yield* Effect.flip(publishing.late))._tag, "LogUnavailable")
      assert.deepStrictEqual(yield* stored("closing"), texts(50))
    }),
  )

  it.live("leaves no connection behind", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(broker)
      yield* EventLog.use((log) => log.publish(`${run}-closed`, 0, [record("x")])).pipe(
        Effect.provide(logOf("closed", proxy), { local: true }),
      )
      yield* eventually(
        "all connections are closed",
        Effect.sync(() => proxy.connections === 0),
      )
    }).pipe(Effect.scoped),
  )
})

/** Changes the error that the answer to a produce request for one topic has for a partition, if it is there. */
const falsify = (answer: Buffer, topic: string, partition: number, code: number): boolean => {
  const count = 4 + 4 + 2 + Buffer.byteLength(topic)
  const first = count + 4
  const one = 4 + 2 + 8 + 8 + 8
  for (let i = 0; i < answer.readInt32BE(count); i++) {
    const at = first + i * one
    if (answer.readInt32BE(at) !== partition) continue
    answer.writeInt16BE(code, at + 4)
    return true
  }
  return false
}
