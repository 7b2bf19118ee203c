/**
 * Runs at the start. It ensures that the topics exist with the required partitions and settings, and finds their
 * incarnation.
 *
 * Missing topics are created, unless that is switched off. Existing topics are not changed, and must fit.
 */
import { mailboxLimits, revocationLimits } from "@nimbus/domain/limits"
import type { Incarnation } from "@nimbus/domain/protocol"
import type { LocalLog } from "@nimbus/domain/services"
import { type Array as Arr, Effect, type Scope } from "effect"
import type { Admin } from "kafkajs"
import { KafkaPartitionsUnequal, KafkaTopicMissing, KafkaTopicUnfit, KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { isRefusal, PartitionError } from "./Failures.ts"
import { type KafkaBroker, send } from "./KafkaInternals.ts"
import { call, type KafkaClient } from "./KafkaJs.ts"
import { baseOf, incarnationOf } from "./Life.ts"
import { type Link, openLink } from "./Link.ts"
import { describeSettings, describeTopics, metadataWithIds } from "./TopicRequests.ts"
import { judge, messageBytesOf, retentionOf, settingNames, type TopicAsSet } from "./TopicSettings.ts"

export interface TopicOptions {
  readonly topics: ReadonlyArray<string>
  /** Those that seqs travel through: their names and ids make the incarnation, and their partition counts are equal. */
  readonly lifeOf: Arr.NonEmptyReadonlyArray<string>
  /** Topics whose partitions are their own, in number and in incarnation: other services write into them. */
  readonly shared: ReadonlyArray<string>
  /** Topics of which the last record of each key counts, however old it is. They have one partition, or use the first. */
  readonly kept: ReadonlyArray<string>
  /** The partition count of each of the others. */
  readonly partitions: number
  /** How many brokers have each record; by default as many as the brokers say. */
  readonly replication?: number | undefined
  /** Whether missing topics are created. */
  readonly create: boolean
  /** By topic; of those that are created. Kafka removes whole segments, so it may keep more. */
  readonly retention: Readonly<Record<string, LocalLog.Retention>>
}

/** A topic as it was found. */
export interface FoundTopic {
  readonly topic: string
  readonly id: string | undefined
  readonly partitions: number
  readonly replicas: number
}

/** What a start has found out. */
export interface TopicSet {
  readonly incarnation: Incarnation
  /** Of the shared topics. */
  readonly sharedIncarnations: ReadonlyMap<string, Incarnation>
  readonly found: ReadonlyArray<FoundTopic>
  /** The most that a batch may have, by topic, where Kafka tells. */
  readonly messageBytes: ReadonlyMap<string, number>
  /** How long a record may be read, by topic, where Kafka tells. */
  readonly retentions: ReadonlyMap<string, number>
}

export type SetupError = KafkaUnavailable | KafkaTopicMissing | KafkaTopicUnfit | KafkaPartitionsUnequal

export const setUpTopics = (
  kafka: KafkaClient,
  options: TopicOptions,
  limits: KafkaLimits,
): Effect.Effect<TopicSet, SetupError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const admin = yield* connectAdmin(kafka)
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
      const link = yield* openLink(kafka, options.topics, limits)
      const found = yield* findTopics(link, options.topics, limits)
      const set = yield* askSettings(link, found, options, limits)
      yield* tellUntold(found, set)
      yield* refuseUnfit(set, limits)
      const { clusterId } = yield* ask(() => admin.describeCluster())
      const life = yield* lifeOf(link, clusterId, found, options, limits)
      return { ...life, found, messageBytes: messageBytesByTopic(set), retentions: retentionsByTopic(set) }
    }),
  )

const connectAdmin = Effect.fnUntraced(function* (
  kafka: KafkaClient,
): Effect.fn.Return<Admin, KafkaUnavailable, Scope.Scope> {
  const admin = yield* Effect.acquireRelease(Effect.sync(kafka.admin), (admin) =>
    Effect.ignore(call(() => admin.disconnect())),
  )
  yield* call(() => admin.connect())
  return admin
})

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
  options: TopicOptions,
): Effect.fn.Return<ReadonlyArray<string>, KafkaUnavailable | KafkaPartitionsUnequal> {
  const { partitions: expected, topics } = options
  const there = new Set(yield* ask(() => admin.listTopics()))
  const present = topics.filter((topic) => there.has(topic))
  if (present.length === 0) return topics
  const described = yield* ask(() => admin.fetchTopicMetadata({ topics: present }))
  for (const { name: topic, partitions } of described.topics) {
    const found = partitions.length
    if (!hasPartitions(topic, found, options)) return yield* new KafkaPartitionsUnequal({ topic, found, expected })
  }
  return topics.filter((topic) => !there.has(topic))
})

/**
 * Clients belong to partitions of what seqs travel through. Of the others the first ones are used, and no more needed.
 */
export const hasPartitions = (topic: string, found: number, options: TopicOptions): boolean => {
  if (options.shared.includes(topic) || options.kept.includes(topic)) return true
  return options.lifeOf.includes(topic) ? found === options.partitions : found >= options.partitions
}

/** The topics as the brokers know them; a topic that is not there is left out. */
export const findTopics = Effect.fnUntraced(function* (
  link: Link,
  topics: ReadonlyArray<string>,
  limits: KafkaLimits,
): Effect.fn.Return<ReadonlyArray<FoundTopic>, KafkaUnavailable> {
  const broker = yield* call(() => link.cluster.findControllerBroker())
  if (!knowsIds(broker)) {
    const { topicMetadata } = yield* call(() => broker.metadata([...topics]))
    return topicMetadata.map(({ partitionMetadata, topic }) => ({
      topic,
      id: undefined,
      partitions: partitionMetadata.length,
      replicas: Math.min(...partitionMetadata.map(({ replicas }) => replicas.length)),
    }))
  }
  const described = yield* call(() => send(broker, describeTopics(topics), limits.answer_timeout_ms))
  return described.topics.filter(({ code, partitions }) => code === 0 && partitions > 0)
})

const knowsIds = ({ versions }: KafkaBroker): boolean =>
  (versions?.[metadataWithIds.apiKey]?.maxVersion ?? 0) >= metadataWithIds.apiVersion

/** How they are set, of those whose settings Kafka tells. */
export const askSettings = Effect.fnUntraced(function* (
  link: Link,
  found: ReadonlyArray<FoundTopic>,
  { kept, lifeOf, retention }: TopicOptions,
  limits: KafkaLimits,
): Effect.fn.Return<ReadonlyArray<TopicAsSet>, KafkaUnavailable> {
  const broker = yield* call(() => link.cluster.findControllerBroker())
  const names = found.map(({ topic }) => topic)
  const told = yield* call(() => send(broker, describeSettings(names, settingNames), limits.question_timeout_ms))
  const set: Array<TopicAsSet> = []
  for (const { code, settings, topic } of told) {
    const error = new KafkaUnavailable({ cause: new PartitionError(code) })
    if (code !== 0 && !isRefusal(error)) return yield* error
    const one = found.find((one) => one.topic === topic)
    if (one === undefined || code !== 0) continue
    const { retention_age_ms = limits.retention_age_ms } = retention[topic] ?? {}
    const keep_ms = Math.min(retention_age_ms, mailboxLimits.mailbox_age_ms)
    const { replicas } = one
    set.push({ topic, replicas, isOfSeqs: lifeOf.includes(topic), isKept: kept.includes(topic), keep_ms, settings })
  }
  return set
})

const tellUntold = (found: ReadonlyArray<FoundTopic>, set: ReadonlyArray<TopicAsSet>): Effect.Effect<void> => {
  const untold = found.filter(({ topic }) => !set.some((one) => one.topic === topic)).map(({ topic }) => topic)
  return untold.length === 0
    ? Effect.void
    : Effect.logWarning(`Kafka does not tell how ${untold.join(", ")} are set (the right DescribeConfigs): not checked`)
}

/** What is doubtful is said. */
const refuseUnfit = Effect.fnUntraced(function* (
  set: ReadonlyArray<TopicAsSet>,
  limits: KafkaLimits,
): Effect.fn.Return<void, KafkaTopicUnfit> {
  const { doubts, faults } = judge(set, needsOf(limits))
  for (const { reason, topic } of doubts) yield* Effect.logWarning(`the topic ${topic} ${reason}`)
  if (faults.length === 0) return
  return yield* new KafkaTopicUnfit({ reasons: faults.map(({ reason, topic }) => `${topic} ${reason}`) })
})

export const needsOf = ({ message_bytes, message_min_bytes, retention_bytes }: KafkaLimits) => ({
  retention_bytes,
  kept_bytes: revocationLimits.revocation_retention_bytes,
  message_bytes: Math.min(message_bytes, message_min_bytes),
})

export const messageBytesByTopic = (set: ReadonlyArray<TopicAsSet>): ReadonlyMap<string, number> =>
  new Map(
    set.flatMap((one) => {
      const bytes = messageBytesOf(one)
      return bytes === undefined ? [] : [[one.topic, bytes] as const]
    }),
  )

const retentionsByTopic = (set: ReadonlyArray<TopicAsSet>): ReadonlyMap<string, number> =>
  new Map(set.map((one) => [one.topic, retentionOf(one)]))

/** Of the topics that seqs travel through, and of the shared ones, which began as parts of that. */
const lifeOf = Effect.fnUntraced(function* (
  link: Link,
  clusterId: string,
  found: ReadonlyArray<FoundTopic>,
  { lifeOf, shared }: TopicOptions,
  limits: KafkaLimits,
): Effect.fn.Return<Pick<TopicSet, "incarnation" | "sharedIncarnations">, KafkaUnavailable> {
  const known = (topic: string) => {
    const one = found.find((one) => one.topic === topic)
    return one === undefined ? gone(topic) : Effect.succeed(one)
  }
  const ofSeqs = yield* Effect.forEach(lifeOf, known)
  const others = yield* Effect.forEach(shared, known)
  const incarnation = yield* incarnationOf(link, baseOf(clusterId, lifeOf), ofSeqs, limits, others)
  const ofShared = (topic: string) =>
    Effect.gen(function* () {
      return [topic, yield* incarnationOf(link, incarnation, [yield* known(topic)], limits)] as const
    })
  return { incarnation, sharedIncarnations: new Map(yield* Effect.forEach(shared, ofShared)) }
})

const gone = (topic: string) =>
  Effect.fail(new KafkaUnavailable({ cause: new Error(`${topic} is not there any more`) }))

const describe = (topic: string, options: TopicOptions, limits: KafkaLimits) => {
  const { retention_age_ms = limits.retention_age_ms, retention_bytes = limits.retention_bytes } =
    options.retention[topic] ?? {}
  const isKept = options.kept.includes(topic)
  const settings = {
    // Of what is kept the last record of each key is enough, and so are the last bytes.
    "cleanup.policy": isKept ? "compact,delete" : "delete",
    "retention.ms": whole(retention_age_ms),
    "retention.bytes": whole(retention_bytes),
    // Retention removes whole segments: eight of them make what is kept.
    "segment.ms": whole(Math.min(limits.segment_age_ms, retention_age_ms)),
    "segment.bytes": String(Math.min(1024 ** 3, Math.max(1024 ** 2, Math.floor(retention_bytes / 8)))),
    "max.message.bytes": String(limits.message_bytes),
    // The log's time, whatever clocks its writers have.
    "message.timestamp.type": "LogAppendTime",
  }
  return {
    topic,
    numPartitions: isKept ? 1 : options.partitions,
    replicationFactor: options.replication ?? -1,
    configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
  }
}

/** Kafka's word for no bound is -1. */
const whole = (bound: number): string => String(Number.isFinite(bound) ? Math.floor(bound) : -1)
