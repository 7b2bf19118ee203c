/** The topics by the names they have on this installation. Defaults are those of NimbusGRPC where it has one. */
import { Config, Context, Layer, Schema } from "effect"
import { auditTopicLimits, revocationLimits } from "../Limits.ts"
import type { Retention } from "./local/LogStore.ts"
import { isLocked } from "./Locked.ts"

/** As Kafka has it. */
const Name = Schema.String.check(
  Schema.makeFilter((name) => /^[A-Za-z0-9._-]{1,249}$/.test(name) || "must be 1 to 249 of A-Za-z0-9._-"),
)

const defaults = {
  events: "nimbus-events-v1",
  results: "nimbus-results-v1",
  dlq: "nimbus-dlq-v1",
  tasks: "nimbus-tasks-v1",
  quarantine: "nimbus-quarantine-v1",
  journey: "nimbus-journey-v1",
  chats: "chats",
}

/** Of the open chat, as scalable-websockets calls it. */
const openDefault = "MESSAGES"

/** Of an installation that has locks. */
const lockedDefaults = { revocations: "nimbus-revocations-v1", audit: "nimbus-audit-v1" }

const topic = (setting: string, name: string) => Config.schema(Name, setting).pipe(Config.withDefault(name))

const named = Config.all({
  events: topic("NIMBUS_KAFKA_EVENTS_TOPIC", defaults.events),
  results: topic("NIMBUS_KAFKA_RESULTS_TOPIC", defaults.results),
  dlq: topic("NIMBUS_KAFKA_DLQ_TOPIC", defaults.dlq),
  tasks: topic("NIMBUS_KAFKA_TASKS_TOPIC", defaults.tasks),
  quarantine: topic("NIMBUS_KAFKA_QUARANTINE_TOPIC", defaults.quarantine),
  journey: topic("NIMBUS_KAFKA_JOURNEY_TOPIC", defaults.journey),
  chats: topic("NIMBUS_KAFKA_CHATS_TOPIC", defaults.chats),
  messages: topic("NIMBUS_KAFKA_MESSAGES_TOPIC", openDefault),
  isOpen: Config.Boolean("NIMBUS_CHAT_OPEN").pipe(Config.withDefault(false)),
  revocations: topic("NIMBUS_KAFKA_REVOCATIONS_TOPIC", lockedDefaults.revocations),
  audit: topic("NIMBUS_KAFKA_AUDIT_TOPIC", lockedDefaults.audit),
  isLocked,
})

type Named = Omit<Config.Success<typeof named>, "isOpen" | "isLocked" | "messages" | "revocations" | "audit"> & {
  /** Of the open chat. Absent where there is none: who does not use it needs no such topic. */
  readonly messages?: string
  /** What counts no more, of an installation with locks. */
  readonly revocations?: string
  /** Who did what, of the same. */
  readonly audit?: string
}

const topics = Config.map(named, ({ audit, isLocked, isOpen, messages, revocations, ...others }): Named => ({
  ...others,
  ...(isOpen ? { messages } : {}),
  ...(isLocked ? { revocations, audit } : {}),
}))

const { audit_retention_age_ms, audit_retention_bytes } = auditTopicLimits

/** Which of the topics keep something else than the others do, and what: their own retention, wherever the log is. */
export const retentionsOf = ({ audit, revocations }: Named): Readonly<Record<string, Retention>> => ({
  // By its bytes alone: what is in force is written again before it goes.
  ...(revocations === undefined
    ? {}
    : { [revocations]: { retention_age_ms: Infinity, retention_bytes: revocationLimits.revocation_retention_bytes } }),
  ...(audit === undefined
    ? {}
    : { [audit]: { retention_bytes: audit_retention_bytes, retention_age_ms: audit_retention_age_ms } }),
})

/**
 * The names of the topics. `layer` reads them from the environment (docs/configuration.md), `layerDefault` does not.
 */
export class Topics extends Context.Service<Topics, Named>()("@nimbus/domain/Topics") {
  static readonly config = topics
  static readonly layer = Layer.effect(Topics, topics)
  static readonly defaults: Named = defaults
  static readonly openDefault = openDefault
  /** The names of those that only an installation with locks has. */
  static readonly locked = lockedDefaults
  /** The defaults, whatever the environment says. */
  static readonly layerDefault = Layer.succeed(Topics, defaults)
  /** The same with an open chat. */
  static readonly layerOpen = Layer.succeed(Topics, { ...defaults, messages: openDefault })
  /** The same with those of an installation that has locks. */
  static readonly layerLocked = Layer.succeed(Topics, { ...defaults, ...lockedDefaults })
}
