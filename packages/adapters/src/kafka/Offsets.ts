/**
 * Queries for offsets, combined into common requests (`Coalesced`): the bounds of partitions, the commits of groups. A
 * query without a reply within `question_timeout_ms` fails.
 */
import { LogUnavailable } from "@nimbus/domain/errors"
import type { Committed } from "@nimbus/domain/services"
import { Effect, FiberSet, type Scope } from "effect"
import { KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { retries } from "./Backoff.ts"
import { Coalesced } from "./Coalesced.ts"
import { call } from "./KafkaJs.ts"
import type { Link } from "./Link.ts"

export interface Offsets {
  earliest(topic: string, partition: number): Effect.Effect<number, LogUnavailable>
  end(topic: string, partition: number): Effect.Effect<number, LogUnavailable>
  /** `undefined` if the group has none. */
  committed(topic: string, group: string, partition: number): Effect.Effect<Committed | undefined, LogUnavailable>
}

export const makeOffsets = Effect.fnUntraced(function* (
  link: Link,
  limits: KafkaLimits,
): Effect.fn.Return<Offsets, never, Scope.Scope> {
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const asked = <A>(load: Load<A>) => new Coalesced<Key, A>((keys) => untilAnswered(link, load(keys), limits), fork)
  const earliest = asked((keys) => bounds(link, keys, true))
  const end = asked((keys) => bounds(link, keys, false))
  const groups = new Map<string, Coalesced<Key, Committed>>()
  const group = (name: string): Coalesced<Key, Committed> => {
    const known = groups.get(name)
    if (known !== undefined) return known
    const fresh = asked((keys) => commits(link, name, keys))
    groups.set(name, fresh)
    return fresh
  }
  const orUnavailable = <A>(topic: string, operation: string, answer: Effect.Effect<A, KafkaUnavailable>) =>
    Effect.mapError(inTime(answer, limits), (cause) => new LogUnavailable({ topic, operation, cause }))
  const bound = (topic: string, operation: string, answer: Effect.Effect<number | undefined, KafkaUnavailable>) =>
    orUnavailable(
      topic,
      operation,
      Effect.flatMap(answer, (offset) => (offset === undefined ? noLeader : Effect.succeed(offset))),
    )

  return {
    earliest: (topic, partition) => bound(topic, "earliest", earliest.ask(keyOf(topic, partition))),
    end: (topic, partition) => bound(topic, "end", end.ask(keyOf(topic, partition))),
    committed: (topic, name, partition) => orUnavailable(topic, "committed", group(name).ask(keyOf(topic, partition))),
  }
})

const noLeader = Effect.fail(new KafkaUnavailable({ cause: new Error("the partition has no leader") }))

/** A partition of a topic. */
type Key = `${number} ${string}`

const keyOf = (topic: string, partition: number): Key => `${partition} ${topic}`

type Answers<A> = Effect.Effect<ReadonlyMap<Key, A>, KafkaUnavailable>

type Load<A> = (keys: ReadonlyArray<Key>) => Answers<A>

/** Retries while there is time: the leader or the coordinator may have moved, or may not exist yet. */
const untilAnswered = <A>(link: Link, load: Answers<A>, limits: KafkaLimits): Answers<A> => {
  const attempt = Effect.tapError(load, () => Effect.ignore(link.recover))
  return inTime(Effect.retry(attempt, retries(limits)), limits)
}

const inTime = <A>(
  answer: Effect.Effect<A, KafkaUnavailable>,
  limits: KafkaLimits,
): Effect.Effect<A, KafkaUnavailable> =>
  Effect.timeoutOrElse(answer, {
    duration: limits.question_timeout_ms,
    orElse: () => Effect.fail(new KafkaUnavailable({ cause: new Error("no answer in time") })),
  })

const bounds = (link: Link, keys: ReadonlyArray<Key>, fromBeginning: boolean): Answers<number> =>
  Effect.map(
    call(() =>
      link.cluster.fetchTopicsOffset(
        byTopic(keys).map(({ partitions, topic }) => ({ topic, partitions, fromBeginning })),
      ),
    ),
    (answered) => toAnswers(answered, ({ offset }) => Number(offset)),
  )

const commits = (link: Link, groupId: string, keys: ReadonlyArray<Key>): Answers<Committed> =>
  Effect.flatMap(link.coordinator(groupId), (coordinator) =>
    Effect.map(
      call(() => coordinator.offsetFetch({ groupId, topics: byTopic(keys) })),
      ({ responses }) =>
        toAnswers(responses, ({ metadata, offset }) => ({ next: Number(offset), metadata: metadata ?? "" })),
    ),
  )

/** The offset is there for the type's sake: it is what is asked for. */
const byTopic = (keys: ReadonlyArray<Key>) => {
  const partitions = new Map<string, Array<{ readonly partition: number; readonly offset: string }>>()
  for (const key of keys) {
    const space = key.indexOf(" ")
    const topic = key.slice(space + 1)
    const asked = partitions.get(topic) ?? []
    asked.push({ partition: Number(key.slice(0, space)), offset: "-1" })
    partitions.set(topic, asked)
  }
  return Array.from(partitions, ([topic, partitions]) => ({ topic, partitions }))
}

interface PartitionAnswer {
  readonly partition: number
  readonly offset: string
}

interface Answered<P> {
  readonly topic: string
  readonly partitions: ReadonlyArray<P>
}

/** A negative offset is none. */
const toAnswers = <P extends PartitionAnswer, A>(
  answered: ReadonlyArray<Answered<P>>,
  answerOf: (answer: P) => A,
): ReadonlyMap<Key, A> => {
  const answers = new Map<Key, A>()
  for (const { partitions, topic } of answered) {
    for (const answer of partitions) {
      if (Number(answer.offset) >= 0) answers.set(keyOf(topic, answer.partition), answerOf(answer))
    }
  }
  return answers
}
