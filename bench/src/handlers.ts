/**
 * `npm start` with handlers that wait, as one that calls a database does: its own stores, on the port of the environment.
 * `Io.ts` says how long `io` takes; `wait` takes as long as it is told. With `NIMBUS_KAFKA_BROKERS` the log is on Kafka.
 */
import { NodeRuntime } from "@effect/platform-node"
import { KafkaEventLog } from "@nimbus/adapters/kafka"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import * as Storage from "@nimbus/adapters/storage"
import { type EventLog, Handlers, type Topics } from "@nimbus/domain/services"
import { Config, Effect, Layer, Schema } from "effect"
import { Nimbus } from "@nimbus/server"
import { io_ms } from "./Io.ts"

const data = Config.String("NIMBUS_DATA")

const io = Handlers.make("io", {
  input: Schema.Struct({ number: Schema.Int }),
  output: Schema.Struct({ number: Schema.Int }),
  handler: ({ number }) => Effect.as(Effect.sleep(io_ms(number)), { number }),
})

const wait = Handlers.make("wait", {
  input: Schema.Struct({ ms: Schema.Finite }),
  output: Schema.Struct({}),
  handler: ({ ms }) => (ms === 0 ? Effect.succeed({}) : Effect.as(Effect.sleep(ms), {})),
})

const log = Layer.unwrap(
  Effect.map(
    Config.option(Config.String("NIMBUS_KAFKA_BROKERS")),
    (brokers): Layer.Layer<EventLog, unknown, LmdbStore | Topics> =>
      brokers._tag === "None" ? LmdbEventLog.layer : KafkaEventLog.layer,
  ),
)

const archive = Layer.unwrap(
  Effect.map(Storage.embeddedConfig(Config.map(data, (directory) => `${directory}/archive`)), Storage.layerWith),
)

const stores = Layer.mergeAll(log, LmdbMailbox.layer, archive).pipe(
  Layer.provide(Layer.unwrap(Effect.map(data, (directory) => LmdbStore.layerWith({ directory })))),
)

Nimbus.layerOn(stores).pipe(Layer.provide(Handlers.layer([io, wait])), Layer.launch, NodeRuntime.runMain)
