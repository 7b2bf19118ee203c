import { assert, describe, it } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Effect, Fiber, Layer, Logger } from "effect"
import { inject } from "vitest"
import { makeBrokerProxy } from "./testing/BrokerProxy.ts"
import { type EventLogKafkaOptions, layerWith } from "./EventLog.ts"

const { kafka } = inject("services")
const brokers = [kafka?.brokers ?? ""]
const run = Math.random().toString(36).slice(2, 8)
const topic = (name: string) => `${run}-${name}`

const open = (options: Partial<EventLogKafkaOptions>) =>
  EventLog.pipe(
    Effect.provide(layerWith({ brokers, ...options }).pipe(Layer.provide(Topics.layerDefault)), { local: true }),
  )

const topicsWith = (chats: string) =>
  Layer.effect(
    Topics,
    Effect.map(Topics, ({ dlq, events, journey, quarantine, results, tasks }) => ({
      events: topic(events),
      results: topic(results),
      dlq: topic(dlq),
      quarantine: topic(quarantine),
      tasks: topic(tasks),
      journey: topic(journey),
      chats: topic(chats),
    })),
  ).pipe(Layer.provide(Topics.layerDefault))

describe.skipIf(kafka === undefined)("the start on Kafka", () => {
  it.live("creates what is missing, once, however many come at the same time", () =>
    Effect.gen(function* () {
      const topics = [topic("a"), topic("b")]
      const logs = yield* Effect.forEach([1, 2, 3], () => open({ topics, partitions: 3 }), { concurrency: 3 })
      assert.strictEqual(new Set(logs.map(({ incarnation }) => incarnation)).size, 1)
      assert.deepStrictEqual(
        logs.map(({ partitions }) => partitions),
        [3, 3, 3],
      )
    }),
  )

  it.live("another set of topics is another incarnation, in whatever order they are named the same", () =>
    Effect.gen(function* () {
      const one = yield* open({ topics: [topic("a"), topic("b")], partitions: 3 })
      const same = yield* open({ topics: [topic("b"), topic("a")], partitions: 3 })
      const other = yield* open({ topics: [topic("a")], partitions: 3 })
      assert.strictEqual(one.incarnation, same.incarnation)
      assert.notStrictEqual(one.incarnation, other.incarnation)
    }),
  )

  it.live("a topic beside those that seqs travel through makes no other incarnation", () =>
    Effect.gen(function* () {
      const at = (chats: string) =>
        Effect.map(EventLog, ({ incarnation }) => incarnation).pipe(
          Effect.provide(layerWith({ brokers, partitions: 3 }).pipe(Layer.provide(topicsWith(chats))), { local: true }),
        )
      assert.strictEqual(yield* at("chats-a"), yield* at("chats-b"))
    }),
  )

  it.live("refuses another partition count than a topic has, and creates nothing then", () =>
    Effect.gen(function* () {
      yield* open({ topics: [topic("counted")], partitions: 2 })
      const failure = yield* Effect.flip(open({ topics: [topic("not-yet"), topic("counted")], partitions: 4 }))
      assert.strictEqual(failure._tag, "KafkaPartitionsUnequal")
      assert.include(failure.message, `${topic("counted")} has 2 partitions in Kafka, and not 4`)
      const missing = yield* Effect.flip(open({ topics: [topic("not-yet")], createTopics: false }))
      assert.strictEqual(missing._tag, "KafkaTopicMissing")
      assert.include(missing.message, topic("not-yet"))
    }),
  )

  it.live("goes on wherever a connection ends or falls silent meanwhile", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const proxy = yield* makeBrokerProxy(brokers[0] ?? "")
      for (const deed of ["cut", "halve", "silence"] as const) {
        let answers = 0
        for (let disturbed = 1; answers >= disturbed - 1; disturbed++) {
          answers = 0
          proxy.onAnswer = () => (++answers === disturbed ? deed : "pass")
          const limits = { answer_timeout_ms: 500, request_timeout_ms: 500 }
          const opening = open({ topics: [topic("shaken")], socketFactory: proxy.socketFactory, limits })
          const log = yield* Effect.provide(opening, Logger.layer([logger]))
          assert.strictEqual(log.partitions, 4)
        }
        assert.isAtLeast(answers, 8)
      }
      const reasons = lines.filter((line) => line.startsWith("waiting for Kafka"))
      assert.isNotEmpty(reasons)
      for (const reason of reasons)
        assert.match(
          reason,
          /: (Closed connection|Request \w+\([^)]*\) timed out|no broker |Failed to find group coordinator)/,
        )
    }).pipe(Effect.scoped),
  )

  it.live("waits for Kafka, and says for what", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const proxy = yield* makeBrokerProxy(brokers[0] ?? "")
      proxy.close()
      const opening = yield* Effect.forkScoped(
        open({ topics: [topic("late")], socketFactory: proxy.socketFactory }).pipe(
          Effect.provide(Logger.layer([logger])),
        ),
      )
      while (lines.length < 1) yield* Effect.sleep(5)
      proxy.open()
      assert.strictEqual((yield* Fiber.join(opening)).partitions, 4)
      const [waiting, ...more] = lines
      assert.include(waiting, `waiting for Kafka at ${brokers[0]}`)
      assert.isTrue(more.some((line) => /^Kafka at \S+ is there, after /.test(line)))
    }).pipe(Effect.scoped, Effect.timeout("100 seconds")),
  )
})
