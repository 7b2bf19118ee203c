/** The stores of `nimbus start`, for tests of the chat on them. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import { PgliteArchive } from "@nimbus/adapters/pglite"
import { Handlers } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { Nimbus } from "@nimbus/server"

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-chat-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true })),
)

type LogOptions = Parameters<typeof LmdbEventLog.layerWith>[0]

export const storesIn = (directory: string, options: LogOptions = {}) =>
  Layer.mergeAll(
    LmdbEventLog.layerWith(options),
    LmdbMailbox.layer,
    PgliteArchive.layerWith(join(directory, "archive"), { inBackground: false }),
  ).pipe(Layer.provide(LmdbStore.layerWith({ directory })))

/** On any port. */
export const serverOn = (stores: ReturnType<typeof storesIn>) =>
  Nimbus.layerAt({ host: "127.0.0.1", port: 0 }, stores).pipe(Layer.provide(Handlers.layer(Handlers.samples)))
