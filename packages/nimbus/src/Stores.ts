/**
 * What lasts in one process: a data directory with the log, the mailboxes and the archive. Each library is loaded once it
 * is used.
 */
import { Config, Effect, Layer } from "effect"

const lmdb = Effect.promise(() => import("@nimbus/adapters/lmdb"))

/** The log and the mailboxes of a data directory. */
export const logIn = (directory: Config.Config<string>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { LmdbEventLog, LmdbMailbox, LmdbStore } = yield* lmdb
      const store = LmdbStore.layerWith({ directory: yield* directory })
      return Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer).pipe(Layer.provideMerge(store))
    }),
  )

/** The same, with the archive, which lies in the directory that the store locks. */
export const storesIn = (directory: Config.Config<string>) => Layer.provideMerge(archiveIn(directory), logIn(directory))

const archiveIn = (directory: Config.Config<string>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      yield* (yield* lmdb).LmdbStore
      const Storage = yield* Effect.promise(() => import("@nimbus/adapters/storage"))
      return Storage.layerWith(yield* Storage.embeddedConfig(Config.map(directory, (data) => `${data}/archive`)))
    }),
  )
