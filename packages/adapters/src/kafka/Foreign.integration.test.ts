/** What other producers may put into a topic: it is read, or said to be unreadable, and reading goes on. */
import { zstdCompressSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import type { StoredRecord } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Layer, Metric, Stream } from "effect"
import { CompressionTypes } from "kafkajs"
import { inject } from "vitest"
import type { KafkaLimits } from "../Limits.ts"
import { layerWith } from "./EventLog.ts"
import { apis, type BrokerProxy, makeBrokerProxy } from "./testing/BrokerProxy.ts"
import { codecs, foreignProducer, produce } from "./testing/Foreign.ts"
import { createTopics, setTopic } from "./testing/Operator.ts"

const { kafka } = inject("services")
const broker = kafka?.brokers ?? ""
const run = Math.random().toString(36).slice(2, 8)

const open = (topic: string, limits: Partial<KafkaLimits> = {}, proxy?: BrokerProxy, partitions = 1) =>
  Effect.map(
    Layer.build(
      Layer.fresh(
        layerWith({
          brokers: [broker],
          topics: [topic],
          partitions,
          limits: { retry_min_ms: 5, retry_max_ms: 50, ...limits },
          socketFactory: proxy?.socketFactory,
        }).pipe(Layer.provide(Topics.layerDefault)),
      ),
    ),
    (context) => EventLog.pipe(Effect.provide(context)),
  ).pipe(Effect.flatten)

const text = ({ unreadable, value }: StoredRecord) => unreadable ?? new TextDecoder().decode(value)

const bytes = (value: string) => ({ key: "k", value: new TextEncoder().encode(value) })

/** All of partition 0 up to the end, as it is now. */
const all = Effect.fnUntraced(function* (log: EventLog["Service"], topic: string) {
  const end = yield* log.end(topic, 0)
  const chunks = yield* log.tail(topic, 0, "earliest").pipe(
    Stream.takeUntil(({ next }) => next >= end),
    Stream.runCollect,
    Effect.timeout("20 seconds"),
  )
  return chunks.flatMap(({ records }) => records)
})

describe.skipIf(kafka === undefined)("What other producers write", () => {
  it.live("is read whatever codec they compress it with, and so is what follows", () =>
    Effect.gen(function* () {
      const topic = `${run}-codecs`
      const log = yield* open(topic)
      const producer = yield* foreignProducer(broker)
      const long = "long ".repeat(60_000)
      for (const [name, { type }] of Object.entries(codecs)) {
        yield* produce(producer, topic, [{ value: name }, { key: "k", value: `${name} ${long}` }], type)
      }
      yield* produce(producer, topic, [{ value: "plain" }])
      const names = Object.keys(codecs)
      assert.deepStrictEqual(
        (yield* all(log, topic)).map((record) => text(record)),
        [...names.flatMap((name) => [name, `${name} ${long}`]), "plain"],
      )
    }).pipe(Effect.scoped),
  )

  for (const name of Object.keys(codecs)) {
    it.live(`is read where the topic has compression.type=${name}: the broker compresses what we write too`, () =>
      Effect.gen(function* () {
        const topic = `${run}-type-${name}`
        yield* createTopics([broker], [topic], { "compression.type": name })
        const log = yield* open(topic)
        // More than one block of each codec.
        const values = Array.from({ length: 2_000 }, (_, i) => `${i} ${"nimbus".repeat(20)} ${Math.random()}`)
        yield* log.publish(
          topic,
          0,
          values.map((value) => bytes(value)),
        )
        assert.deepStrictEqual(
          (yield* all(log, topic)).map((record) => text(record)),
          values,
        )
      }).pipe(Effect.scoped),
    )
  }

  it.live(
    "is not there if its transaction was aborted; the ends of transactions take up offsets, also the last ones",
    () =>
      Effect.gen(function* () {
        const topic = `${run}-aborted`
        const log = yield* open(topic)
        const producer = yield* foreignProducer(broker, { transactionalId: topic })
        const plain = yield* foreignProducer(broker)
        const transact = Effect.fnUntraced(function* (value: string, end: "commit" | "abort") {
          const transaction = yield* Effect.promise(() => producer.transaction())
          yield* produce(transaction, topic, [{ value }])
          yield* produce(plain, topic, [{ value: `beside ${value}` }])
          yield* Effect.promise(() => transaction[end]())
        })
        yield* transact("one", "abort")
        yield* transact("two", "commit")
        yield* transact("three", "abort")
        yield* eventually(
          "the last has ended",
          Effect.map(log.end(topic, 0), (end) => end === 9),
        )
        assert.deepStrictEqual(
          (yield* all(log, topic)).map((record) => [record.offset, text(record)]),
          [
            [1, "beside one"],
            [3, "two"],
            [4, "beside two"],
            [7, "beside three"],
          ],
        )
      }).pipe(Effect.scoped),
  )

  it.live(
    "waits while a transaction is open, ends there, and that is measured; then it comes, and nothing is missing",
    () =>
      Effect.gen(function* () {
        const topic = `${run}-open`
        const log = yield* open(topic, { open_transaction_ms: 300 })
        const producer = yield* foreignProducer(broker, { transactionalId: topic })
        yield* log.publish(topic, 0, [bytes("before")])
        const transaction = yield* Effect.promise(() => producer.transaction())
        yield* produce(transaction, topic, [{ value: "within" }])
        yield* log.publish(topic, 0, [bytes("behind")])
        assert.strictEqual(yield* log.end(topic, 0), 1)
        assert.deepStrictEqual(
          (yield* all(log, topic)).map((record) => text(record)),
          ["before"],
        )
        const got: Array<string> = []
        const reading = yield* log.tail(topic, 0, 0).pipe(
          Stream.runForEach(({ records }) => Effect.sync(() => got.push(...records.map((record) => text(record))))),
          Effect.forkScoped,
        )
        yield* eventually(
          "it is measured",
          Effect.map(openSeconds(topic), (seconds) => seconds > 0.3),
        )
        assert.deepStrictEqual(got, ["before"])
        yield* Effect.promise(() => transaction.commit())
        yield* eventually(
          "all has come",
          Effect.sync(() => got.length === 3),
        )
        assert.deepStrictEqual(got, ["before", "within", "behind"])
        yield* eventually(
          "it is over",
          Effect.map(openSeconds(topic), (seconds) => seconds === 0),
        )
        yield* Fiber.interrupt(reading)
      }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map())),
  )

  it.live("may have no key, no value, headers without one, and any time", () =>
    Effect.gen(function* () {
      const topic = `${run}-nulls`
      yield* createTopics([broker], [topic], { "message.timestamp.type": "CreateTime" })
      const log = yield* open(topic)
      const producer = yield* foreignProducer(broker)
      yield* produce(producer, topic, [
        { key: "k", value: null },
        { key: null, value: "no key" },
        { key: "k", value: "", headers: { a: "", b: ["x", "y"], __proto__x: "1" } },
        { key: Buffer.from([0xff]), value: Buffer.from([0xff]), timestamp: "1" },
      ])
      assert.deepStrictEqual(
        (yield* all(log, topic)).map(({ headers, key, value }) => [key, value.length, { ...headers }]),
        [
          ["k", 0, {}],
          ["", 6, {}],
          ["k", 0, { a: "", b: "y", __proto__x: "1" }],
          ["\ufffd", 1, {}],
        ],
      )
    }).pipe(Effect.scoped),
  )

  it.live("that stands for too much is said to be unreadable, with its bytes, and what follows is read", () =>
    Effect.gen(function* () {
      const topic = `${run}-bomb`
      const log = yield* open(topic, { decoded_bytes: 1_000_000 })
      const producer = yield* foreignProducer(broker)
      yield* produce(producer, topic, [{ value: "x".repeat(2_000_000) }, { value: "y" }], CompressionTypes.ZSTD)
      yield* produce(producer, topic, [{ value: "after" }])
      const [bomb, after, ...rest] = yield* all(log, topic)
      assert.deepStrictEqual(rest, [])
      assert.match(bomb!.unreadable!, /more than \d+ bytes uncompressed/)
      assert.deepStrictEqual([bomb!.offset, bomb!.key], [0, ""])
      // The magic number of zstd is within.
      assert.include(Buffer.from(bomb!.value).toString("hex"), zstdCompressSync("").subarray(0, 4).toString("hex"))
      assert.deepStrictEqual([after!.offset, text(after!)], [2, "after"])
      assert.strictEqual(yield* unreadableCount(topic), 1)
    }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map())),
  )

  it.live("and arrives with a wrong checksum is fetched again; if it still is wrong it is unreadable, and passed", () =>
    Effect.gen(function* () {
      const topic = `${run}-checksum`
      const proxy = yield* makeBrokerProxy(broker)
      const log = yield* open(topic, {}, proxy)
      yield* log.publish(topic, 0, [bytes("first")])
      yield* log.publish(topic, 0, [bytes("broken"), bytes("too")])
      yield* log.publish(topic, 0, [bytes("last")])
      let wrong = 0
      let most = 1
      proxy.onAnswer = (api, answer) => {
        const place = answer.indexOf("broken")
        if (api === apis.fetch && place !== -1 && wrong < most) {
          answer[place] = 0x42
          wrong++
        }
        return "pass"
      }
      assert.deepStrictEqual(
        (yield* all(log, topic)).map((record) => text(record)),
        ["first", "broken", "too", "last"],
      )
      assert.strictEqual(wrong, 1)
      most = Infinity
      const read = yield* all(log, topic)
      assert.deepStrictEqual(
        read.map((record) => [record.offset, text(record)]),
        [
          [0, "first"],
          [1, "a batch that can't be read: its checksum is wrong"],
          [3, "last"],
        ],
      )
      assert.include(Buffer.from(read[1]!.value).toString(), "Broken")
    }).pipe(Effect.scoped),
  )

  it.live("is read after compaction too, which leaves holes, and batches without records", () =>
    Effect.gen(function* () {
      const topic = `${run}-compacted`
      const log = yield* open(topic)
      // Where it is so at the start, it is refused.
      yield* setTopic([broker], topic, {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "1",
        "segment.ms": "100",
        "delete.retention.ms": "0",
      })
      const producer = yield* foreignProducer(broker)
      const key = (n: number) => ({ key: `k${n % 3}`, value: `${n}` })
      for (const n of [0, 3, 6]) yield* produce(producer, topic, [key(n), key(n + 1), key(n + 2)])
      // What is written last is in the segment that is not compacted.
      yield* eventually(
        "compaction has left holes",
        Effect.gen(function* () {
          yield* produce(producer, topic, [{ key: "last", value: `${Date.now()}` }])
          return (yield* all(log, topic)).length < (yield* log.end(topic, 0)) - 6
        }),
        90_000,
      )
      const [first] = yield* all(log, topic)
      assert.isAbove(first!.offset, 0)
      const pull = yield* Stream.toPull(log.tail(topic, 0, 0))
      const [chunk] = yield* pull
      assert.strictEqual(chunk.from, 0)
    }).pipe(Effect.scoped),
  )

  it.live("in large batches waits for nobody: who is given something is last in the next request", () =>
    Effect.gen(function* () {
      const topic = `${run}-large`
      const log = yield* open(topic, { fetch_bytes: 2_000, chunk_bytes: 1_000 }, undefined, 2)
      for (let n = 0; n < 300; n++) yield* log.publish(topic, 0, [bytes("x".repeat(1_500))])
      yield* log.publish(topic, 1, [bytes("y".repeat(50_000))])
      let [small, large] = [0, -1]
      yield* Effect.forkScoped(
        Stream.runForEach(log.subscribe(topic, `${run}-g`), (assigned) =>
          Effect.forkScoped(
            Stream.runForEach(assigned.read("earliest"), ({ partition, records }) =>
              Effect.sync(() => {
                if (partition === 0) small += records.length
                else large = small
              }),
            ),
          ),
        ),
      )
      yield* eventually(
        "all is read",
        Effect.sync(() => small === 300 && large >= 0),
        60_000,
      )
      assert.isBelow(large, 150)
    }).pipe(Effect.scoped),
  )
})

const stateOf = (id: string, topic: string) =>
  Effect.map(Metric.snapshot, (all) => all.find((one) => one.id === id && one.attributes?.["topic"] === topic)?.state)

const openSeconds = (topic: string) =>
  Effect.map(stateOf("nimbus_kafka_open_transaction_seconds", topic), (state) =>
    state !== undefined && "value" in state ? Number(state.value) : -1,
  )

const unreadableCount = (topic: string) =>
  Effect.map(stateOf("nimbus_kafka_unreadable_total", topic), (state) =>
    state !== undefined && "count" in state ? Number(state.count) : -1,
  )
