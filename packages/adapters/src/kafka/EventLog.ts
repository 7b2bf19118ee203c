/**
 * The log on Kafka.
 *
 * | of `EventLog` | by |
 * | --- | --- |
 * | `publish` | `Producer`: one for all |
 * | `subscribe` | `Membership` of the group and a `Fetcher`, for each |
 * | `tail` | a `Fetcher` alone, for each |
 * | `earliest`, `end`, `committed` | `Offsets`: queries to the brokers, several at a time |
 * | the topics, `incarnation` | `TopicSetup`, at the start |
 * | `facts` | `TopicWatch`, all the time |
 *
 * The start waits for Kafka. If Kafka is unavailable later, readers and members wait, publishes are retried for
 * `delivery_timeout_ms` and queries for `question_timeout_ms`, and then fail with `LogUnavailable`. All of them
 * continue when Kafka is available again.
 */
import { type LogError, LogUnavailable, PartitionRevoked, UnknownTopic } from "@nimbus/domain/errors"
import { type AssignedPartition, type Chunk, EventLog, retentionsOf, Topics } from "@nimbus/domain/services"
import { Array as Arr, Cause, type Config, Deferred, Effect, Exit, FiberSet, Layer, Scope, Stream } from "effect"
import type {
  KafkaClientUnfit,
  KafkaPartitionsUnequal,
  KafkaRefused,
  KafkaTlsFailed,
  KafkaTopicMissing,
  KafkaTopicUnfit,
  KafkaUnavailable,
} from "../Errors.ts"
import { type KafkaLimits, kafkaLimits } from "../Limits.ts"
import { untilReachable } from "../Reachable.ts"
import { startError } from "./Failures.ts"
import { type Bounds, type Fetcher, makeFetcher } from "./Fetcher.ts"
import { type KafkaClient, makeKafka } from "./KafkaJs.ts"
import { type Link, openLink } from "./Link.ts"
import { type Assignment, joinGroup, type Membership } from "./Membership.ts"
import { makeOffsets, type Offsets } from "./Offsets.ts"
import { makeProducer } from "./Producer.ts"
import { type EventLogKafkaOptions, settings } from "./Settings.ts"
import { setUpTopics, type TopicOptions } from "./TopicSetup.ts"
import { TopicStates, watchTopics } from "./TopicWatch.ts"

export type { EventLogKafkaOptions } from "./Settings.ts"

type OpenError =
  | KafkaUnavailable
  | KafkaClientUnfit
  | KafkaRefused
  | KafkaTlsFailed
  | KafkaTopicMissing
  | KafkaTopicUnfit
  | KafkaPartitionsUnequal

/** The log on these brokers. Missing topics are created. */
export const layerWith = (options: EventLogKafkaOptions): Layer.Layer<EventLog, OpenError, Topics> =>
  Layer.effect(
    EventLog,
    Effect.gen(function* () {
      const named = yield* Topics
      const { topics } = options
      if (topics !== undefined && Arr.isReadonlyArrayNonEmpty(topics)) {
        return yield* open({ ...options, topics, lifeOf: topics, shared: [], kept: [] })
      }
      // Only the topics that seqs travel through: another topic beside them does not make this another log.
      const lifeOf = [named.events, named.results, named.dlq] as const
      const shared = named.messages === undefined ? [named.chats] : [named.chats, named.messages]
      const kept = named.revocations === undefined ? [] : [named.revocations]
      const retention = { ...retentionsOf(named), ...options.retention }
      return yield* open({ ...options, topics: Object.values(named), lifeOf, shared, kept, retention })
    }),
  )

/** Configured by the settings of docs/configuration.md. */
export const layer: Layer.Layer<EventLog, OpenError | Config.ConfigError, Topics> = Layer.unwrap(
  Effect.map(settings, layerWith),
)

const open = Effect.fnUntraced(function* (
  options: EventLogKafkaOptions & Pick<TopicOptions, "topics" | "lifeOf" | "shared" | "kept">,
): Effect.fn.Return<EventLog["Service"], OpenError, Scope.Scope> {
  const limits = { ...kafkaLimits, ...options.limits }
  const {
    brokers,
    clientId = "nimbus",
    partitions = limits.partitions,
    retention = {},
    tls = false,
    topics,
    lifeOf,
    shared,
    kept,
  } = options
  const fork = yield* FiberSet.makeRuntime<never>()
  const kafka = yield* makeKafka({ ...options, clientId, tls }, limits, (message, details) =>
    fork(Effect.logDebug(message, details)),
  )
  const { createTopics: create = true, replication } = options
  const awaited = { name: "Kafka", at: brokers.join(","), service: "kafka" }
  const topicOptions: TopicOptions = { topics, lifeOf, shared, kept, partitions, replication, create, retention }
  const set = yield* untilReachable(
    awaited,
    setUpTopics(kafka, topicOptions, limits).pipe(
      Effect.catchTag("KafkaUnavailable", (error) => Effect.fail(startError(brokers.join(","), error))),
    ),
    (error) => error._tag === "KafkaUnavailable",
  )
  // Kafka may become unavailable, or slow, between two steps of the start.
  const link = untilReachable(awaited, wholeOrNot(openLink(kafka, topics, limits)), () => true)
  const questions = yield* link
  const offsets = yield* makeOffsets(questions, limits)
  const states = new TopicStates(topicOptions, set)
  yield* watchTopics(questions, topicOptions, states, limits)
  const producer = yield* makeProducer(yield* link, states, limits)
  const log = new KafkaLog(kafka, limits, new Set(topics), states, questions, offsets)
  return EventLog.of({
    partitions,
    incarnation: set.incarnation,
    facts: (topic) => states.facts(topic),
    publish: (topic, partition, records) =>
      log.known(topic, partition, () =>
        records.length === 0 ? offsets.end(topic, partition) : producer.publish(topic, partition, records),
      ),
    subscribe: (topic, group) => log.subscribe(topic, group),
    tail: (topic, partition, position) => log.tail(topic, partition, position),
    earliest: (topic, partition) => log.known(topic, partition, () => offsets.earliest(topic, partition)),
    end: (topic, partition) => log.known(topic, partition, () => offsets.end(topic, partition)),
    committed: (topic, group, partition) =>
      log.known(topic, partition, () => offsets.committed(topic, group, partition)),
  })
})

/** A failed attempt leaves nothing behind. */
const wholeOrNot = <A, E, R>(attempt: Effect.Effect<A, E, R | Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    return yield* attempt.pipe(
      Effect.provideService(Scope.Scope, scope),
      Effect.onError(() => Scope.close(scope, Exit.void)),
    )
  })

class KafkaLog {
  readonly #kafka: KafkaClient
  readonly #limits: KafkaLimits
  readonly #topics: ReadonlySet<string>
  readonly #states: TopicStates
  readonly #questions: Link
  readonly #offsets: Offsets

  constructor(
    kafka: KafkaClient,
    limits: KafkaLimits,
    topics: ReadonlySet<string>,
    states: TopicStates,
    questions: Link,
    offsets: Offsets,
  ) {
    this.#kafka = kafka
    this.#limits = limits
    this.#topics = topics
    this.#states = states
    this.#questions = questions
    this.#offsets = offsets
  }

  known<A, E, R>(
    topic: string,
    partition: number,
    f: () => Effect.Effect<A, E, R>,
  ): Effect.Effect<A, E | UnknownTopic | LogUnavailable, R> {
    if (!this.#topics.has(topic)) return Effect.fail(new UnknownTopic({ topic }))
    const { replaced } = this.#states
    if (replaced !== undefined) return Effect.fail(new LogUnavailable({ topic, operation: "use", cause: replaced }))
    const { partitions } = this.#states.facts(topic)
    return partition >= 0 && partition < partitions
      ? f()
      : Effect.die(new RangeError(`${topic} has the partitions below ${partitions}, not ${partition}`))
  }

  tail(topic: string, partition: number, position: number | "earliest"): Stream.Stream<Chunk, LogError> {
    return Stream.unwrap(
      this.known(topic, partition, () =>
        Effect.gen({ self: this }, function* () {
          const fetcher = yield* makeFetcher(yield* this.#link(topic, "tail"), this.#bounds, this.#limits)
          const reader = fetcher.open(topic, partition, position === "earliest" ? 0 : position)
          return Stream.fromPull(Effect.succeed(reader.pull))
        }),
      ),
    )
  }

  subscribe(topic: string, group: string): Stream.Stream<AssignedPartition, LogError> {
    return Stream.unwrap(
      this.known(topic, 0, () =>
        Effect.gen({ self: this }, function* () {
          const link = yield* this.#link(topic, "subscribe")
          const fetcher = yield* makeFetcher(link, this.#bounds, this.#limits)
          const membership = yield* joinGroup({
            link,
            leaving: this.#questions,
            topic,
            group,
            partitions: () => this.#states.facts(topic).partitions,
            limits: this.#limits,
          })
          const assigned = (assignment: Assignment) => this.#assigned(topic, group, assignment, fetcher, membership)
          const pull = Effect.map(
            membership.next,
            ([first, ...rest]) => [assigned(first), ...rest.map(assigned)] as const,
          )
          return Stream.fromPull(Effect.succeed(pull))
        }),
      ),
    )
  }

  #assigned(
    topic: string,
    group: string,
    assignment: Assignment,
    fetcher: Fetcher,
    membership: Membership,
  ): AssignedPartition {
    const { partition } = assignment
    const committed = this.#offsets.committed(topic, group, partition)
    return {
      topic,
      partition,
      committed: Effect.suspend((): AssignedPartition["committed"] =>
        assignment.isRevoked ? Effect.fail(new PartitionRevoked({ topic, partition })) : committed,
      ),
      read: (position) =>
        Stream.unwrap(
          Effect.gen(function* () {
            const from = position === "committed" ? ((yield* committed)?.next ?? "earliest") : position
            const { reader } = yield* openReader(fetcher, topic, assignment, from)
            return Stream.fromPull(Effect.succeed(reader.pull))
          }),
        ),
      commit: (next, metadata = "") => membership.commit(assignment, { next, metadata }),
      revoked: Deferred.await(assignment.revoked),
    }
  }

  /** Connections for one use. */
  #link(topic: string, operation: string): Effect.Effect<Link, LogUnavailable, Scope.Scope> {
    return Effect.mapError(
      openLink(this.#kafka, [topic], this.#limits),
      (cause) => new LogUnavailable({ topic, operation, cause }),
    )
  }

  readonly #bounds: Bounds = (topic, partition) =>
    Effect.all(
      { earliest: this.#offsets.earliest(topic, partition), end: this.#offsets.end(topic, partition) },
      { concurrency: 2 },
    )
}

/** Ends with the scope, or in the same turn in which the partition is lost. */
const openReader = (fetcher: Fetcher, topic: string, assignment: Assignment, position: number | "earliest") =>
  Effect.acquireRelease(
    Effect.sync(() => {
      // Kafka reports if it no longer has this offset, and the fetcher then finds the earliest one.
      const reader = fetcher.open(topic, assignment.partition, position === "earliest" ? 0 : position)
      const end = () => {
        fetcher.close(reader)
        reader.end(Cause.done())
      }
      const forget = assignment.onRevoked(end)
      if (assignment.isRevoked) end()
      return { reader, forget }
    }),
    ({ forget, reader }) =>
      Effect.sync(() => {
        forget()
        fetcher.close(reader)
      }),
  )
