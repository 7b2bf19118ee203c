/**
 * Watches the topics while a process runs. It finds a change by an operator within `topics_every_ms`.
 *
 * | change | effect |
 * | --- | --- |
 * | a topic is deleted | an alarm, and not ready, until it exists again |
 * | it is created again | in addition nothing is read or written until a restart, because its offsets belong to another incarnation |
 * | a shared topic gets partitions | they are used from then on: see `EventLog.facts` |
 * | another topic gets partitions | an alarm: clients belong to the first ones |
 * | a setting with which records would be lost or refused | an alarm; at the start it is an error |
 * | `max.message.bytes` | batches are limited to it |
 */
import type { Incarnation } from "@nimbus/domain/protocol"
import { Alarms, type TopicFacts } from "@nimbus/domain/services"
import { Effect, Schedule, type Scope } from "effect"
import { KafkaPartitionsAdded, KafkaTopicReplaced, KafkaTopicUnfit, type KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import type { Link } from "./Link.ts"
import { header_bytes } from "./RecordBatch.ts"
import { judge } from "./TopicSettings.ts"
import {
  askSettings,
  findTopics,
  type FoundTopic,
  hasPartitions,
  messageBytesByTopic,
  needsOf,
  type TopicOptions,
  type TopicSet,
} from "./TopicSetup.ts"

/** The present state of the topics. */
export class TopicStates {
  readonly #options: TopicOptions
  readonly #incarnation: Incarnation
  readonly #sharedIncarnations: ReadonlyMap<string, Incarnation>
  readonly #ids: ReadonlyMap<string, string | undefined>
  readonly #partitions: Map<string, number>
  readonly #retentions: ReadonlyMap<string, number>
  messageBytes: ReadonlyMap<string, number>
  /** Whether a topic is no longer the one that it was at the start. */
  replaced: KafkaTopicReplaced | undefined

  constructor(options: TopicOptions, set: TopicSet) {
    this.#options = options
    this.#incarnation = set.incarnation
    this.#sharedIncarnations = set.sharedIncarnations
    this.#ids = new Map(set.found.map(({ id, topic }) => [topic, id]))
    this.#partitions = new Map(set.found.map(({ partitions, topic }) => [topic, partitions]))
    this.#retentions = set.retentions
    this.messageBytes = set.messageBytes
  }

  facts(topic: string): TopicFacts {
    return {
      partitions: this.#partitionsOf(topic),
      incarnation: this.#sharedIncarnations.get(topic) ?? this.#incarnation,
      publish_bytes: (this.messageBytes.get(topic) ?? Infinity) - header_bytes,
      retention_ms: this.#retentions.get(topic) ?? Infinity,
    }
  }

  #partitionsOf(topic: string): number {
    const { kept, partitions, shared } = this.#options
    if (kept.includes(topic)) return 1
    return shared.includes(topic) ? (this.#partitions.get(topic) ?? partitions) : partitions
  }

  /** Updates the state from the brokers. Returns the faults by topic. Partitions are never removed. */
  take(found: ReadonlyArray<FoundTopic>): ReadonlyArray<KafkaPartitionsAdded | KafkaTopicReplaced> {
    const alarms: Array<KafkaPartitionsAdded | KafkaTopicReplaced> = []
    for (const [topic, id] of this.#ids) {
      const now = found.find((one) => one.topic === topic)
      if (now === undefined) alarms.push(new KafkaTopicReplaced({ topic, isThere: false }))
      else if (now.id !== undefined && id !== undefined && now.id !== id) {
        this.replaced ??= new KafkaTopicReplaced({ topic, isThere: true })
        alarms.push(this.replaced)
      } else if (hasPartitions(topic, now.partitions, this.#options)) {
        this.#partitions.set(topic, now.partitions)
      } else {
        const { partitions: expected } = this.#options
        alarms.push(new KafkaPartitionsAdded({ topic, found: now.partitions, expected }))
      }
    }
    return alarms
  }
}

/** Checks until the scope closes. A check that fails is repeated the next time. */
export const watchTopics = (
  link: Link,
  options: TopicOptions,
  states: TopicStates,
  limits: KafkaLimits,
): Effect.Effect<void, never, Scope.Scope> =>
  look(link, options, states, limits).pipe(
    Effect.catch((error) =>
      Effect.andThen(Effect.logDebug("the topics could not be looked at", error), Effect.ignore(link.recover)),
    ),
    Effect.delay(limits.topics_every_ms),
    Effect.repeat(Schedule.forever),
    Effect.forkScoped,
    Effect.asVoid,
  )

const look = Effect.fnUntraced(function* (
  link: Link,
  options: TopicOptions,
  states: TopicStates,
  limits: KafkaLimits,
): Effect.fn.Return<void, KafkaUnavailable> {
  const alarms = yield* Alarms
  const found = yield* findTopics(link, options.topics, limits)
  const wrong = states.take(found)
  for (const fault of wrong) {
    yield* alarms.raise(fault.topic, fault, { blocks: fault._tag === "KafkaTopicReplaced" })
  }
  for (const topic of options.topics) {
    if (wrong.some((fault) => fault.topic === topic)) continue
    yield* alarms.clear(topic, KafkaTopicReplaced.make({ topic, isThere: false }).code)
  }
  const set = yield* askSettings(link, found, options, limits)
  states.messageBytes = messageBytesByTopic(set)
  const { faults } = judge(set, needsOf(limits))
  for (const { topic } of found) {
    const reasons = faults.filter((fault) => fault.topic === topic).map(({ reason }) => `${topic} ${reason}`)
    const fault = new KafkaTopicUnfit({ reasons })
    yield* reasons.length > 0 ? alarms.raise(topic, fault, { blocks: false }) : alarms.clear(topic, fault.code)
  }
})
