/** Topics as operators have them: other settings than ours, and changed while a process runs. */
import { assert, describe, it } from "@effect/vitest"
import type { LogRecord } from "@nimbus/domain/protocol"
import { Alarms, EventLog, makeAlarms, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer, Logger, Stream } from "effect"
import { inject } from "vitest"
import { layerWith } from "./EventLog.ts"
import { codes } from "./Failures.ts"
import type { EventLogKafkaOptions } from "./Settings.ts"
import { foreignProducer, produce } from "./testing/Foreign.ts"
import { apis, makeBrokerProxy } from "./testing/BrokerProxy.ts"
import { addPartitions, createTopics, deleteTopics, setTopic } from "./testing/Operator.ts"

const { kafka } = inject("services")
const brokers = [kafka?.brokers ?? ""]
const run = Math.random().toString(36).slice(2, 8)

/** Topics of one installation. */
const namesOf = (name: string): Topics["Service"] => ({
  events: `${run}-${name}-events`,
  results: `${run}-${name}-results`,
  dlq: `${run}-${name}-dlq`,
  quarantine: `${run}-${name}-quarantine`,
  tasks: `${run}-${name}-tasks`,
  journey: `${run}-${name}-journey`,
  chats: `${run}-${name}-chats`,
})

const layerOf = (name: string, options: Partial<EventLogKafkaOptions> = {}) =>
  layerWith({ brokers, partitions: 1, ...options, limits: { topics_every_ms: 50, ...options.limits } }).pipe(
    Layer.provide(Layer.succeed(Topics, namesOf(name))),
  )

/** A log of its own, for as long as the scope lives. */
const open = (name: string, options?: Partial<EventLogKafkaOptions>) =>
  Effect.flatMap(Layer.build(Layer.fresh(layerOf(name, options))), (context) => EventLog.pipe(Effect.provide(context)))

const refusalOf = (name: string, options?: Partial<EventLogKafkaOptions>) =>
  Effect.scoped(Effect.flip(Effect.asVoid(open(name, options))))

const record = (bytes: number): LogRecord => ({ key: "k", value: new Uint8Array(bytes) })

/** A test with alarms and a log of lines of its own. */
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

describe.skipIf(kafka === undefined)("topics that an operator has made", () => {
  it.live("are refused in one line where compaction or a short retention would lose records", () =>
    Effect.gen(function* () {
      const topics = namesOf("unfit")
      yield* createTopics(brokers, Object.values(topics))
      yield* setTopic(brokers, topics.chats, { "cleanup.policy": "compact" })
      yield* setTopic(brokers, topics.dlq, { "retention.ms": "3600000" })
      const failure = yield* refusalOf("unfit")
      assert.propertyVal(failure, "code", "KAFKA_TOPIC_UNFIT")
      assert.notInclude(failure.message, "\n")
      assert.include(failure.message, `${topics.chats} has cleanup.policy=compact`)
      assert.include(failure.message, `${topics.dlq} has retention.ms=3600000`)
      yield* setTopic(brokers, topics.chats, {})
      // The same time is no fault where it is what the operator asks for.
      yield* Effect.scoped(open("unfit", { limits: { retention_age_ms: 3_600_000 } }))
      yield* setTopic(brokers, topics.dlq, {})
      yield* Effect.scoped(open("unfit"))
    }),
  )

  it.live("are refused where they take too little, or need more replicas than they have", () =>
    Effect.gen(function* () {
      const topics = namesOf("small")
      yield* createTopics(brokers, Object.values(topics))
      yield* setTopic(brokers, topics.events, { "max.message.bytes": "100000" })
      yield* setTopic(brokers, topics.results, { "min.insync.replicas": "2" })
      const { message } = yield* refusalOf("small")
      assert.include(message, `${topics.events} has max.message.bytes=100000`)
      assert.include(message, `${topics.results} has min.insync.replicas=2 and 1 replicas`)
    }),
  )

  it.live("what is doubtful is said, and does not keep from starting", () =>
    watched(({ lines }) =>
      Effect.gen(function* () {
        const topics = namesOf("doubtful")
        yield* createTopics(brokers, Object.values(topics), { "retention.bytes": "1000000" })
        yield* Effect.scoped(open("doubtful"))
        yield* isTold(lines, `${topics.dlq} has retention.bytes=1000000`)
        yield* isTold(lines, `${topics.events} has message.timestamp.type=CreateTime`)
      }),
    ),
  )

  it.live("with the broker's own max.message.bytes take what fits into it, and the log says how much", () =>
    Effect.gen(function* () {
      const { dlq, ...others } = namesOf("default")
      yield* createTopics(brokers, [dlq, ...Object.values(others)])
      const log = yield* open("default")
      const { publish_bytes } = log.facts(dlq)
      assert.isAbove(publish_bytes, 1_000_000)
      assert.isBelow(publish_bytes, 1_048_588)
      yield* log.publish(dlq, 0, [record(publish_bytes - 35)])
      // Those that come together go in batches that the topic takes.
      const many = Array.from({ length: 12 }, () => record(200_000))
      yield* Effect.forEach(many, (one) => log.publish(dlq, 0, [one]), { concurrency: "unbounded" })
      const failure = yield* Effect.flip(log.publish(dlq, 0, many))
      assert.propertyVal(failure, "_tag", "LogRefused")
      assert.propertyVal(failure, "reason", "too-large")
      assert.strictEqual(yield* log.end(dlq, 0), 13)
    }).pipe(Effect.scoped),
  )
})

describe.skipIf(kafka === undefined)("a user without rights", () => {
  const describeConfigs = 32
  const notAllowed = codes.topicAuthorizationFailed

  it.live("is told that nobody knows how topics are set, and starts", () =>
    watched(({ lines }) =>
      Effect.gen(function* () {
        const { dlq } = namesOf("untold")
        const proxy = yield* makeBrokerProxy(brokers[0] ?? "")
        proxy.onAnswer = (api, answer) => {
          // The code stands before the text that there is none of, the type, and the length of the name.
          if (api === describeConfigs) answer.writeInt16BE(notAllowed, answer.indexOf(dlq) - 7)
          return "pass"
        }
        const log = yield* open("untold", { socketFactory: proxy.socketFactory })
        yield* isTold(lines, `Kafka does not tell how ${dlq} are set`)
        assert.strictEqual(log.facts(dlq).publish_bytes, Infinity)
        yield* log.publish(dlq, 0, [record(1)])
      }).pipe(Effect.scoped),
    ),
  )

  it.live("who may not write is an alarm and not ready, until that is not met any more", () =>
    watched(({ alarms, lines }) =>
      Effect.gen(function* () {
        const { dlq, events } = namesOf("rights")
        const proxy = yield* makeBrokerProxy(brokers[0] ?? "")
        const limits = { refusal_ms: 2_000 }
        const log = yield* open("rights", { socketFactory: proxy.socketFactory, limits })
        yield* log.publish(dlq, 0, [record(1)])
        proxy.onAnswer = (api, answer) => {
          const at = api === apis.produce ? answer.indexOf(dlq) : -1
          // Behind the name: the count of partitions, and which it is.
          if (at >= 0) answer.writeInt16BE(notAllowed, at + dlq.length + 8)
          return "pass"
        }
        const [refusal, offset] = yield* Effect.all(
          [Effect.flip(log.publish(dlq, 0, [record(1)])), log.publish(events, 0, [record(1)])],
          { concurrency: 2 },
        )
        assert.propertyVal(refusal, "_tag", "LogRefused")
        assert.propertyVal(refusal, "reason", "not-allowed")
        assert.strictEqual(offset, 0)
        yield* isTold(lines, `${dlq} does not take what is written to it`)
        assert.lengthOf(yield* alarms.blocking, 1)
        proxy.onAnswer = () => "pass"
        yield* log.publish(dlq, 0, [record(1)])
        yield* eventually(
          "ready",
          Effect.map(alarms.blocking, (blocking) => blocking.length === 0),
          60_000,
        )
      }).pipe(Effect.scoped),
    ),
  )
})

describe.skipIf(kafka === undefined)("the life of topics", () => {
  const incarnationOf = (name: string) =>
    Effect.scoped(
      Effect.map(open(name), (log) => ({ log: log.incarnation, chats: log.facts(namesOf(name).chats).incarnation })),
    )

  it.live("is another one when they were deleted and made again, and the same at each start", () =>
    Effect.gen(function* () {
      const topics = namesOf("again")
      const first = yield* incarnationOf("again")
      assert.deepStrictEqual(yield* incarnationOf("again"), first)
      yield* Effect.scoped(Effect.flatMap(open("again"), (log) => log.publish(topics.events, 0, [record(1)])))
      assert.deepStrictEqual(yield* incarnationOf("again"), first)
      yield* deleteTopics(brokers, Object.values(topics))
      const second = yield* incarnationOf("again")
      assert.notStrictEqual(second.log, first.log)
      assert.notStrictEqual(second.chats, first.chats)
    }),
  )

  it.live("is that of their names where they are from before ids were noted, until they are made again", () =>
    Effect.gen(function* () {
      const topics = namesOf("before")
      // As it was: made, and written to, by a process that notes nothing.
      yield* createTopics(brokers, Object.values(topics), { "cleanup.policy": "delete" })
      const before = layerWith({ brokers, partitions: 1, topics: [topics.events] })
      yield* EventLog.use((log) => log.publish(topics.events, 0, [record(1)])).pipe(
        Effect.provide(Layer.provide(before, Topics.layerDefault), { local: true }),
      )
      const first = yield* incarnationOf("before")
      assert.match(first.log, /^kafka-[\w-]{22}-[0-9a-f]{16}$/)
      assert.deepStrictEqual(yield* incarnationOf("before"), first)
      // One of the three alone is enough: seqs travel through all.
      yield* deleteTopics(brokers, [topics.dlq])
      const second = yield* incarnationOf("before")
      assert.match(second.log, new RegExp(`^${first.log}-[0-9a-f]{16}$`))
      assert.strictEqual(second.chats, first.chats)
    }),
  )

  it.live("is that of their names too where only the chats were written to before ids were noted", () =>
    Effect.gen(function* () {
      const topics = namesOf("chats-before")
      yield* createTopics(brokers, Object.values(topics), { "cleanup.policy": "delete" })
      const producer = yield* foreignProducer(brokers[0]!)
      yield* produce(producer, topics.chats, [{ key: "r", value: `{"id":"m1","sender":"s1","data":1}` }])
      const first = yield* incarnationOf("chats-before")
      assert.match(first.log, /^kafka-[\w-]{22}-[0-9a-f]{16}$/)
      assert.strictEqual(first.chats, first.log)
      // The chats have a note now: what is made again beside them is new.
      yield* deleteTopics(brokers, [topics.events])
      const second = yield* incarnationOf("chats-before")
      assert.match(second.log, new RegExp(`^${first.log}-[0-9a-f]{16}$`))
      assert.strictEqual(second.chats, first.chats)
    }).pipe(Effect.scoped),
  )

  it.live("of the chats is their own: rooms made again do not make another log", () =>
    Effect.gen(function* () {
      const first = yield* incarnationOf("rooms")
      yield* deleteTopics(brokers, [namesOf("rooms").chats])
      const second = yield* incarnationOf("rooms")
      assert.strictEqual(second.log, first.log)
      assert.notStrictEqual(second.chats, first.chats)
    }),
  )
})

describe.skipIf(kafka === undefined)("topics that change under a process", () => {
  it.live("chats may get partitions: they count, are read, written and assigned", () =>
    watched(({ alarms }) =>
      Effect.gen(function* () {
        const { chats } = namesOf("grows")
        const log = yield* open("grows")
        const assigned = new Set<number>()
        yield* Stream.runForEach(log.subscribe(chats, `${run}-grows`), ({ partition }) =>
          Effect.sync(() => assigned.add(partition)),
        ).pipe(Effect.forkScoped)
        yield* eventually(
          "the first",
          Effect.sync(() => assigned.has(0)),
          60_000,
        )
        yield* addPartitions(brokers, chats, 3)
        yield* eventually(
          "three partitions",
          Effect.sync(() => log.facts(chats).partitions === 3),
          60_000,
        )
        yield* log.publish(chats, 2, [record(1)])
        const [chunk] = yield* Stream.runCollect(Stream.take(log.tail(chats, 2, "earliest"), 1))
        assert.lengthOf(chunk?.records ?? [], 1)
        yield* eventually(
          "all are assigned",
          Effect.sync(() => assigned.size === 3),
          60_000,
        )
        assert.strictEqual(log.partitions, 1)
        assert.deepStrictEqual(yield* alarms.blocking, [])
        // And the next start takes them as they are.
        assert.strictEqual((yield* open("grows")).facts(chats).partitions, 3)
      }).pipe(Effect.scoped),
    ),
  )

  it.live("more partitions of another topic are an alarm, and go on being ready", () =>
    watched(({ alarms, lines }) =>
      Effect.gen(function* () {
        const { events, journey } = namesOf("added")
        const log = yield* open("added")
        yield* addPartitions(brokers, events, 2)
        yield* addPartitions(brokers, journey, 2)
        yield* isTold(lines, `${events} has 2 partitions now`)
        assert.strictEqual(log.facts(events).partitions, 1)
        assert.deepStrictEqual(yield* alarms.blocking, [])
        yield* log.publish(events, 0, [record(1)])
        assert.propertyVal(yield* refusalOf("added"), "_tag", "KafkaPartitionsUnequal")
        assert.isFalse(lines.some((line) => line.includes(`${journey} has`)))
      }).pipe(Effect.scoped),
    ),
  )

  it.live("topics that are made again serve nobody until a restart, and that is said", () =>
    watched(({ alarms, lines }) =>
      Effect.gen(function* () {
        const topics = namesOf("replaced")
        const log = yield* open("replaced")
        yield* log.publish(topics.events, 0, [record(1)])
        yield* deleteTopics(brokers, [topics.events])
        yield* isTold(lines, `${topics.events} was deleted while`)
        assert.lengthOf(yield* alarms.blocking, 1)
        yield* createTopics(brokers, [topics.events])
        yield* isTold(lines, `${topics.events} was deleted and made again`)
        assert.propertyVal(yield* Effect.flip(log.publish(topics.events, 0, [record(1)])), "_tag", "LogUnavailable")
        assert.lengthOf(yield* alarms.blocking, 1)
      }).pipe(Effect.scoped),
    ),
  )

  it.live("settings that would lose records are an alarm, which is over when they are put right", () =>
    watched(({ lines }) =>
      Effect.gen(function* () {
        const { dlq } = namesOf("set")
        const log = yield* open("set")
        yield* setTopic(brokers, dlq, { "cleanup.policy": "compact", "max.message.bytes": "2000000" })
        yield* isTold(lines, `the topic ${dlq} has cleanup.policy=compact`)
        assert.strictEqual(log.facts(dlq).publish_bytes, 2_000_000 - 61)
        yield* setTopic(brokers, dlq, { "cleanup.policy": "delete" })
        yield* isTold(lines, `over: the topic ${dlq} has cleanup.policy=compact`)
      }).pipe(Effect.scoped),
    ),
  )
})
