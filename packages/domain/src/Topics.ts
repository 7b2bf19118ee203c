/** The topics by the names they have on this installation. Defaults are those of NimbusGRPC where it has one. */
import { Config, Context, Layer } from "effect"

const topics = Config.all({
  events: Config.String("NIMBUS_KAFKA_EVENTS_TOPIC").pipe(Config.withDefault("nimbus-events-v1")),
  results: Config.String("NIMBUS_KAFKA_RESULTS_TOPIC").pipe(Config.withDefault("nimbus-results-v1")),
  dlq: Config.String("NIMBUS_KAFKA_DLQ_TOPIC").pipe(Config.withDefault("nimbus-dlq-v1")),
  quarantine: Config.String("NIMBUS_KAFKA_QUARANTINE_TOPIC").pipe(Config.withDefault("nimbus-quarantine-v1")),
  journey: Config.String("NIMBUS_KAFKA_JOURNEY_TOPIC").pipe(Config.withDefault("nimbus-journey-v1")),
  chats: Config.String("NIMBUS_KAFKA_CHATS_TOPIC").pipe(Config.withDefault("chats")),
})

export class Topics extends Context.Service<Topics, Config.Success<typeof topics>>()("@nimbus/domain/Topics") {
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
