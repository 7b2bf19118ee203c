/** The topics by the names they have on this installation. Defaults are those of NimbusGRPC where it has one. */
import { Config, Context, Layer, Schema } from "effect"

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
})

type Named = Omit<Config.Success<typeof named>, "isOpen" | "messages"> & {
  /** Of the open chat. Absent where there is none: who does not use it needs no such topic. */
  readonly messages?: string
}

const topics = Config.map(named, ({ isOpen, messages, ...others }): Named =>
  isOpen ? { ...others, messages } : others,
)

/**
 * The names of the topics. `layer` reads them from the environment (docs/configuration.md), `layerDefault` does not.
 */
export class Topics extends Context.Service<Topics, Named>()("@nimbus/domain/Topics") {
  static readonly config = topics
  static readonly layer = Layer.effect(Topics, topics)
  static readonly defaults: Named = defaults
  static readonly openDefault = openDefault
  /** The defaults, whatever the environment says. */
  static readonly layerDefault = Layer.succeed(Topics, defaults)
  /** The same with an open chat. */
  static readonly layerOpen = Layer.succeed(Topics, { ...defaults, messages: openDefault })
}
