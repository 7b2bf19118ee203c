/**
 * What the `nimbus` command does.
 *
 * What a command needs beyond its flags is imported once it runs: to import a gateway, or the clients of all stores, takes
 * longer than most commands do.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Environment, Failure, Logs, Shutdown } from "@nimbus/adapters/process"
import { Config, Effect, Layer } from "effect"
import { Command } from "effect/cli"
import * as ClientCommand from "./admin/ClientCommand.ts"
import * as Commands from "./admin/Commands.ts"
import * as Where from "./admin/Where.ts"
import * as DemoCommand from "./demo/DemoCommand.ts"
import { command as grpcClient } from "./grpc/GrpcClientCommand.ts"
import * as Settings from "./Settings.ts"

const lmdb = Effect.promise(() => import("@nimbus/adapters/lmdb"))
const cluster = Effect.gen(function* () {
  const { load } = yield* Effect.promise(() => import("@nimbus/adapters/libraries"))
  return yield* load(["kafka", "redis"], () => import("@nimbus/adapters/cluster"))
})
const embedded = Effect.promise(() => import("./Embedded.ts"))

/** The log and the mailboxes of a data directory. */
const logIn = (directory: Config.Config<string>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { LmdbEventLog, LmdbMailbox, LmdbStore } = yield* lmdb
      const store = LmdbStore.layerWith({ directory: yield* directory })
      return Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer).pipe(Layer.provideMerge(store))
    }),
  )

/** The same, with the archive, which lies in the directory that the store locks. */
const storesIn = (directory: Config.Config<string>) => Layer.provideMerge(archiveIn(directory), logIn(directory))

const archiveIn = (directory: Config.Config<string>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      yield* (yield* lmdb).LmdbStore
      const Storage = yield* Effect.promise(() => import("@nimbus/adapters/storage"))
      return Storage.layerWith(yield* Storage.embeddedConfig(Config.map(directory, (data) => `${data}/archive`)))
    }),
  )

const handlers = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("@nimbus/domain")),
    ({ Handlers }) => Handlers.layer(Handlers.samples),
  ),
)

const server = Layer.unwrap(
  Effect.gen(function* () {
    const { layerOn } = yield* embedded
    const Announcement = yield* Effect.promise(() => import("./admin/Announcement.ts"))
    return Announcement.layer.pipe(Layer.provideMerge(layerOn(storesIn(Settings.data))))
  }),
).pipe(Layer.provide(handlers))

const demoServer = Layer.unwrap(
  Effect.map(embedded, ({ layerAt }) => layerAt({ host: "127.0.0.1", port: 0 }, storesIn(DemoCommand.serverDirectory))),
).pipe(Layer.provide(handlers))

const start = Effect.gen(function* () {
  const { start } = yield* Effect.promise(() => import("./Start.ts"))
  const { Telemetry } = yield* Effect.promise(() => import("@nimbus/adapters/process"))
  yield* start(server.pipe(Layer.provide([Shutdown.layer, Telemetry.layer("nimbus")])))
})

/** Whom operators' commands ask. An archive is nothing to them. */
const operations = Where.operations({
  embedded: logIn(Settings.data),
  cluster: Layer.unwrap(
    Effect.gen(function* () {
      const Cluster = yield* cluster
      return Cluster.layerWith({ ...(yield* Cluster.config), storage: {} })
    }),
  ),
})

const clusterStatus = Effect.gen(function* () {
  const Cluster = yield* cluster
  const { reached } = yield* Effect.promise(() => import("./admin/ClusterStatus.ts"))
  return yield* reached(Cluster.partsWith(yield* Cluster.config))
})

const nimbus = Command.make("nimbus").pipe(
  Command.withDescription("Every client sees each of its results exactly once, in order."),
  Command.withSubcommands([
    Command.make("start", {}, () => start).pipe(
      Command.withDescription("Run everything in one process, on embedded parts."),
    ),
    DemoCommand.command(demoServer),
    ClientCommand.command(operations),
    grpcClient,
    ...Commands.commands(operations, clusterStatus),
  ]),
)

nimbus.pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(Logs.layer),
  Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
  Failure.report,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
)
