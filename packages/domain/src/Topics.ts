/** The topics by the names they have on this installation. Defaults are those of NimbusGRPC where it has one. */
import { Config, Context, Layer, Schema } from "effect"

/** As Kafka has it. */
const Name = Schema.String.check(
  Schema.makeFilter((name) => /^[A-Za-z0-9._-]{1,249}$/.test(name) || "must be 1 to 249 of A-Za-z0-9._-"),
)

const topic = (setting: string, name: string) => Config.schema(Name, setting).pipe(Config.withDefault(name))

const topics = Config.all({
  events: topic("NIMBUS_KAFKA_EVENTS_TOPIC", "nimbus-events-v1"),
  results: topic("NIMBUS_KAFKA_RESULTS_TOPIC", "nimbus-results-v1"),
  dlq: topic("NIMBUS_KAFKA_DLQ_TOPIC", "nimbus-dlq-v1"),
  quarantine: topic("NIMBUS_KAFKA_QUARANTINE_TOPIC", "nimbus-quarantine-v1"),
  journey: topic("NIMBUS_KAFKA_JOURNEY_TOPIC", "nimbus-journey-v1"),
  chats: topic("NIMBUS_KAFKA_CHATS_TOPIC", "chats"),
})

export class Topics extends Context.Service<Topics, Config.Success<typeof topics>>()("@nimbus/domain/Topics") {
  static readonly config = topics
  static readonly layer = Layer.effect(Topics, topics)
  /** The defaults, whatever the environment says. */
  static readonly layerDefault = Layer.succeed(Topics, {
    events: "nimbus-events-v1",
    results: "nimbus-results-v1",
    dlq: "nimbus-dlq-v1",
    quarantine: "nimbus-quarantine-v1",
    journey: "nimbus-journey-v1",
    chats: "chats",
  })
}
