/**
 * At start: the topics are there, with equal partition counts, and which life of them this is.
 *
 * What is missing is created, unless that is switched off. What is there is left as it is, and must fit.
 */
import { createHash } from "node:crypto"
import { Incarnation, type LocalLog } from "@nimbus/domain"
import { Effect } from "effect"
import type { Admin, Kafka } from "kafkajs"
import { KafkaPartitionsUnequal, KafkaTopicMissing, KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { call } from "./KafkaJs.ts"

export interface TopicOptions {
  readonly topics: ReadonlyArray<string>
  /** Those whose names make the incarnation. */
  readonly lifeOf: ReadonlyArray<string>
  /** The partition count of each. */
  readonly partitions: number
  /** How many brokers have each record; by default as many as the brokers say. */
  readonly replication?: number | undefined
  /** Whether missing topics are created. */
  readonly create: boolean
  /** By topic; of those that are created. Kafka removes whole segments, so it may keep more. */
  readonly retention: Readonly<Record<string, LocalLog.Retention>>
}

export const setUpTopics = (
  kafka: Kafka,
  options: TopicOptions,
  limits: KafkaLimits,
): Effect.Effect<Incarnation, KafkaUnavailable | KafkaTopicMissing | KafkaPartitionsUnequal> =>
  Effect.scoped(
    Effect.gen(function* () {
      const admin = yield* Effect.acquireRelease(
        Effect.sync(() => kafka.admin()),
        (admin) => Effect.ignore(call(() => admin.disconnect())),
      )
      yield* call(() => admin.connect())
      const missing = yield* check(admin, options)
      if (missing.length > 0) {
        const [topic = ""] = missing
        if (!options.create) return yield* new KafkaTopicMissing({ topic })
        yield* Effect.logInfo(`creating the topics ${missing.join(", ")}`)
        yield* call(() =>
          admin.createTopics({
            waitForLeaders: true,
            timeout: limits.request_timeout_ms,
            topics: missing.map((topic) => describe(topic, options, limits)),
          }),
        )
        // Another process may have been first.
        yield* check(admin, options)
      }
      const { clusterId } = yield* ask(() => admin.describeCluster())
      return incarnationOf(clusterId, options.lifeOf)
    }),
  )

/** kafkajs's admin fails on reading an answer also where no broker gave one. */
const ask = <A>(f: () => Promise<A>): Effect.Effect<A, KafkaUnavailable> =>
  Effect.mapError(call(f), (error) =>
    error.cause instanceof TypeError
      ? new KafkaUnavailable({ cause: new Error("no broker answers", { cause: error.cause }) })
      : error,
  )

/** Those that are missing. */
const check = Effect.fnUntraced(function* (
  admin: Admin,
  { partitions, topics }: TopicOptions,
): Effect.fn.Return<ReadonlyArray<string>, KafkaUnavailable | KafkaPartitionsUnequal> {
  const there = new Set(yield* ask(() => admin.listTopics()))
  const present = topics.filter((topic) => there.has(topic))
  if (present.length === 0) return topics
  const described = yield* ask(() => admin.fetchTopicMetadata({ topics: present }))
  for (const topic of described.topics) {
    const found = topic.partitions.length
    if (found !== partitions)
      return yield* new KafkaPartitionsUnequal({ topic: topic.name, found, expected: partitions })
  }
  return topics.filter((topic) => !there.has(topic))
})

const describe = (topic: string, options: TopicOptions, limits: KafkaLimits) => {
  const { retention_age_ms = limits.retention_age_ms, retention_bytes = limits.retention_bytes } =
    options.retention[topic] ?? {}
  const settings = {
    "cleanup.policy": "delete",
    "retention.ms": whole(retention_age_ms),
    "retention.bytes": whole(retention_bytes),
    // Retention removes whole segments: eight of them make what is kept.
    "segment.bytes": String(Math.min(1024 ** 3, Math.max(1024 ** 2, Math.floor(retention_bytes / 8)))),
    "max.message.bytes": String(limits.message_bytes),
    // The log's time, whatever clocks its writers have.
    "message.timestamp.type": "LogAppendTime",
  }
  return {
    topic,
    numPartitions: options.partitions,
    replicationFactor: options.replication ?? -1,
    configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
  }
}

/** Kafka's word for no bound is -1. */
const whole = (bound: number): string => String(Number.isFinite(bound) ? Math.floor(bound) : -1)

/** The names are hashed: an incarnation has a bound, and they need not be read out of it. */
const incarnationOf = (clusterId: string, topics: ReadonlyArray<string>): Incarnation => {
  const names = createHash("sha256").update(topics.toSorted().join("\n")).digest("hex").slice(0, 16)
  return Incarnation.make(`kafka-${clusterId}-${names}`)
}
