/**
 * The consumers of the pipeline by name, and the consumer groups that they form: for the pipeline, and for lag seen
 * from outside.
 *
 * A group belongs to one installation. Installations that share a Kafka have topics of their own, and a group whose
 * members read different topics gives each of them a part of the partitions alone. So where the topics are not the
 * default ones, a group's name ends with a hash of theirs, which is the same for all processes of the installation.
 */
import { Effect } from "effect"
import type { LogError } from "../Errors.ts"
import type { Committed, EventLog } from "./EventLog.ts"
import { finishedAbove } from "../protocol/FinishedSet.ts"
import type { Incarnation } from "../protocol/Ids.ts"
import { murmur2 } from "../protocol/Partitioner.ts"
import { Topics } from "./Topics.ts"

/** A consumer of the pipeline. */
export type Role =
  | "event-consumer"
  | "result-consumer"
  | "replay-consumer"
  | "task-worker"
  | "results-writer"
  | "chats-writer"
  | "messages-writer"

type Names = Topics["Service"]

const consumes: Readonly<Record<Role, keyof Names>> = {
  "event-consumer": "events",
  "result-consumer": "results",
  "replay-consumer": "dlq",
  "task-worker": "tasks",
  "results-writer": "results",
  "chats-writer": "chats",
  "messages-writer": "messages",
}

/** The topic that a role consumes; of one that there is not here, its default name. */
export const topicOf = (role: Role, topics: Names): string => topics[consumes[role]] ?? Topics.openDefault

/** The consumer group of a role. Its commits are what lag is measured against. */
export const groupOf = (role: Role, topics: Names): string => {
  const names = namesOf(role, topics)
  return names === namesOf(role, Topics.defaults) ? sharedGroupOf(role) : `${sharedGroupOf(role)}-${hashOf(names)}`
}

/** What the group of a role was called before groups belonged to an installation, and is with the default topics. */
export const sharedGroupOf = (role: Role): string => `nimbus-${role}`

/**
 * What a role has committed of its topic. A log keeps commits by group and topic: until the group has one of its own,
 * the one that was made under the shared name is of this installation too.
 */
export const committedBy = (
  log: Pick<EventLog["Service"], "committed">,
  role: Role,
  topics: Names,
  partition: number,
): Effect.Effect<Committed | undefined, LogError> => {
  const topic = topicOf(role, topics)
  const [group, shared] = [groupOf(role, topics), sharedGroupOf(role)]
  const committed = log.committed(topic, group, partition)
  return group === shared
    ? committed
    : Effect.flatMap(committed, (found) =>
        found === undefined ? log.committed(topic, shared, partition) : Effect.succeed(found),
      )
}

/** The topics that seqs travel through make an installation; chats may be shared, and are read by each for itself. */
const namesOf = (role: Role, topics: Names): string =>
  [topics.events, topics.results, topics.dlq, topicOf(role, topics)].join("\n")

const encoder = new TextEncoder()

/** 64 bits: two hashes that have nothing to do with each other. */
const hashOf = (text: string): string =>
  [text, `${text}\n`].map((salted) => (murmur2(encoder.encode(salted)) >>> 0).toString(16).padStart(8, "0")).join("")

/**
 * How many retained records of a partition a group is not done with. One that never committed is behind by all that is
 * retained. What is finished above the commit does not count, as far as the commit says so: that is the event
 * consumer's.
 */
export const lagOf = (
  {
    committed,
    earliest,
    end,
  }: { readonly earliest: number; readonly end: number; readonly committed: Committed | undefined },
  incarnation: Incarnation,
): number => {
  const above = committed === undefined ? 0 : finishedAbove(committed, incarnation).count
  return Math.max(0, end - Math.max(committed?.next ?? earliest, earliest) - above)
}
