/**
 * `npm start` with a handler that waits, as one that calls a database does: its own stores, on the port of the
 * environment. `Io.ts` says how long it takes.
 */
import { NodeRuntime } from "@effect/platform-node"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import * as Storage from "@nimbus/adapters/storage"
import { Handlers } from "@nimbus/domain"
import { Config, Effect, Layer, Schema } from "effect"
import { Embedded } from "nimbus"
import { io_ms } from "./Io.ts"

const data = Config.String("NIMBUS_DATA")

const io = Handlers.make("io", {
  input: Schema.Struct({ number: Schema.Int }),
  output: Schema.Struct({ number: Schema.Int }),
  handler: ({ number }) => Effect.as(Effect.sleep(io_ms(number)), { number }),
})

const archive = Layer.unwrap(
  Effect.map(Storage.embeddedConfig(Config.map(data, (directory) => `${directory}/archive`)), Storage.layerWith),
)

const stores = Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer, archive).pipe(
  Layer.provide(Layer.unwrap(Effect.map(data, (directory) => LmdbStore.layerWith({ directory })))),
)

Embedded.layerOn(stores).pipe(Layer.provide(Handlers.layer([io])), Layer.launch, NodeRuntime.runMain)
