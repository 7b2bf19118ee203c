/** The topics, their partitions, and how far the pipeline's consumers are behind. */
import { finishedAbove, type Incarnation } from "@nimbus/domain/protocol"
import { type Committed, EventLog, groupOf, makeStandings, type Role, Topics } from "@nimbus/domain/services"
import { AdminUnavailable, type PartitionView, TopicView } from "@nimbus/domain/admin"
import { Effect } from "effect"

/** Answers the question. The log may be asked for all partitions at once: it puts such questions together. */
export const makeTopicViews = Effect.gen(function* () {
  const log = yield* EventLog
  const topics = yield* Topics
  const readers: Partial<Record<TopicView["kind"], Role>> = {
    events: "event-consumer",
    results: "result-consumer",
    dlq: "replay-consumer",
    tasks: "task-worker",
  }

  const standingOf = yield* makeStandings

  /** Of a topic that nobody of the pipeline consumes. */
  const ends = (topic: string, partition: number) =>
    Effect.map(
      Effect.all([log.earliest(topic, partition), log.end(topic, partition)], { concurrency: 2 }),
      ([earliest, end]) => ({ earliest, end, committed: undefined, lag: 0 }),
    )

  const ofPartition = (topic: string, role: Role | undefined) => (partition: number) =>
    Effect.map(
      role === undefined ? ends(topic, partition) : standingOf(role, partition),
      ({ committed, ...standing }): PartitionView => ({
        partition,
        ...standing,
        ...(committed === undefined ? {} : { committed: committed.next }),
        ...heldBack(committed, log.incarnation),
      }),
    )

  const ofTopic = ([kind, topic]: readonly [TopicView["kind"], string]) => {
    const role = readers[kind]
    const partitions = Array.from({ length: log.facts(topic).partitions }, (_, partition) => partition)
    return Effect.map(
      Effect.forEach(partitions, ofPartition(topic, role), { concurrency: "unbounded" }),
      (views): TopicView => ({
        topic,
        kind,
        ...(role === undefined ? {} : { group: groupOf(role, topics) }),
        retained: sum(views, ({ earliest, end }) => end - earliest),
        lag: sum(views, ({ lag }) => lag),
        partitions: views,
      }),
    )
  }

  const there = kinds.flatMap((kind) => {
    const topic = topics[kind]
    return topic === undefined ? [] : [[kind, topic] as const]
  })
  return Effect.forEach(there, ofTopic, { concurrency: "unbounded" }).pipe(
    Effect.mapError(({ code, topic }) => new AdminUnavailable({ message: `${topic} can't be looked at: ${code}` })),
    Effect.withSpan("TopicViews"),
  )
})

const heldBack = (committed: Committed | undefined, incarnation: Incarnation): Pick<PartitionView, "held"> => {
  const held = committed === undefined ? undefined : finishedAbove(committed, incarnation).held
  return held === undefined ? {} : { held: { ...held, since_ms: Math.max(0, held.since_ms) } }
}

const kinds = TopicView.fields.kind.literals

const sum = (views: ReadonlyArray<PartitionView>, of: (view: PartitionView) => number): number =>
  views.reduce((total, view) => total + of(view), 0)
