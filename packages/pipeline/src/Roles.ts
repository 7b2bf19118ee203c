/** The consumers by name, the consumer groups that they form, and the process that they run in. */
import { resultConsumerGroup } from "@nimbus/domain"
import { Context } from "effect"

export type Role = "event-consumer" | "result-consumer" | "replay-consumer" | "results-writer" | "chats-writer"

/** The consumer group of each role. Its commits are what lag is measured against. */
export class Groups extends Context.Reference<Readonly<Record<Role, string>>>("@nimbus/pipeline/Groups", {
  defaultValue: () => ({
    "event-consumer": "nimbus-event-consumer",
    "result-consumer": resultConsumerGroup,
    "replay-consumer": "nimbus-replay-consumer",
    "results-writer": "nimbus-results-writer",
    "chats-writer": "nimbus-chats-writer",
  }),
}) {}

/** Which process this is, in the steps of a journey. */
export class Instance extends Context.Reference<string>("@nimbus/pipeline/Instance", {
  defaultValue: () => `pipeline-${crypto.randomUUID().slice(0, 8)}`,
}) {}
