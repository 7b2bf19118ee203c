#!/usr/bin/env node
/** The `nimbus` command. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Environment, Failure, Logs, Shutdown, Telemetry } from "@nimbus/adapters/process"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import * as Cluster from "@nimbus/adapters/cluster"
import * as Storage from "@nimbus/adapters/storage"
import { Handlers } from "@nimbus/domain"
import { Config, Effect, Layer } from "effect"
import { Command } from "effect/cli"
import * as AddressFile from "./admin/AddressFile.ts"
import * as ClientCommand from "./admin/ClientCommand.ts"
import * as Commands from "./admin/Commands.ts"
import * as Where from "./admin/Where.ts"
import * as DemoCommand from "./demo/DemoCommand.ts"
import * as Embedded from "./Embedded.ts"
import { command as grpcClient } from "./grpc/GrpcClientCommand.ts"
import * as Settings from "./Settings.ts"
import { start } from "./Start.ts"

const storeIn = (directory: Config.Config<string>) =>
  Layer.unwrap(Effect.map(directory, (directory) => LmdbStore.layerWith({ directory })))

const storesIn = (directory: Config.Config<string>) =>
  Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer, archiveIn(directory)).pipe(
    // Below the archive too: it lies in the directory that this locks.
    Layer.provide(storeIn(directory)),
  )

const archiveIn = (directory: Config.Config<string>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      yield* LmdbStore
      return Storage.layerWith(yield* Storage.embeddedConfig(Config.map(directory, (data) => `${data}/archive`)))
    }),
  )

const handlers = Handlers.layer(Handlers.samples)

const server = AddressFile.layer.pipe(
  Layer.provideMerge(Embedded.layerOn(storesIn(Settings.data))),
  Layer.provide(handlers),
)

const demoServer = Embedded.layerAt({ host: "127.0.0.1", port: 0 }, storesIn(DemoCommand.serverDirectory)).pipe(
  Layer.provide(handlers),
)

/** Whom operators' commands ask. An archive is nothing to them. */
const operations = Where.operations({
  embedded: Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer).pipe(Layer.provide(storeIn(Settings.data))),
  cluster: Layer.unwrap(Effect.map(Cluster.config, (cluster) => Cluster.layerWith({ ...cluster, storage: {} }))),
})

const nimbus = Command.make("nimbus").pipe(
  Command.withDescription("Every client sees each of its results exactly once, in order."),
  Command.withSubcommands([
    Command.make("start", {}, () =>
      start(server.pipe(Layer.provide([Shutdown.layer, Telemetry.layer("nimbus")]))),
    ).pipe(Command.withDescription("Run everything in one process, on embedded parts.")),
    DemoCommand.command(demoServer),
    ClientCommand.command(operations),
    grpcClient,
    ...Commands.commands(operations),
  ]),
)

nimbus.pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(Logs.layer),
  Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
  Failure.report,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
)
