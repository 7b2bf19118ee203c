/** The consumers of the pipeline by name, and the consumer groups that they form: for the pipeline, and for lag seen from outside. */
import { Context } from "effect"

export type Role = "event-consumer" | "result-consumer" | "replay-consumer" | "results-writer" | "chats-writer"

/**
 * Of the result consumers. What lies below its commit in the results topic is acknowledged or in the dlq topic: from
 * there direct delivery takes over from a mailbox.
 */
export const resultConsumerGroup = "nimbus-result-consumer"

/** The consumer group of each role. Its commits are what lag is measured against. */
export class Groups extends Context.Reference<Readonly<Record<Role, string>>>("@nimbus/domain/Groups", {
  defaultValue: () => ({
    "event-consumer": "nimbus-event-consumer",
    "result-consumer": resultConsumerGroup,
    "replay-consumer": "nimbus-replay-consumer",
    "results-writer": "nimbus-results-writer",
    "chats-writer": "nimbus-chats-writer",
  }),
}) {}

/**
 * How many retained records of a partition a group has not committed. A group that never committed is behind by all that
 * is retained.
 */
export const lagOf = (partition: {
  readonly earliest: number
  readonly end: number
  readonly committed: number | undefined
}): number => Math.max(0, partition.end - Math.max(partition.committed ?? partition.earliest, partition.earliest))
