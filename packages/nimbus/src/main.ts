#!/usr/bin/env node
/** The `nimbus` command. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Environment, Failure, Logs, Shutdown, Telemetry } from "@nimbus/adapters/process"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import * as Storage from "@nimbus/adapters/storage"
import { command as client } from "@nimbus/client/node"
import { Handlers } from "@nimbus/domain"
import { Config, Effect, Layer } from "effect"
import { Command } from "effect/cli"
import * as DemoCommand from "./demo/DemoCommand.ts"
import * as Embedded from "./Embedded.ts"
import { command as grpcClient } from "./grpc/GrpcClientCommand.ts"
import * as Settings from "./Settings.ts"
import { start } from "./Start.ts"

const storesIn = (directory: Config.Config<string>) =>
  Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer, archiveIn(directory)).pipe(
    // Below the archive too: it lies in the directory that this locks.
    Layer.provide(Layer.unwrap(Effect.map(directory, (directory) => LmdbStore.layerWith({ directory })))),
  )

const archiveIn = (directory: Config.Config<string>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      yield* LmdbStore
      return Storage.layerWith(yield* Storage.embeddedConfig(Config.map(directory, (data) => `${data}/archive`)))
    }),
  )

const handlers = Handlers.layer(Handlers.samples)

const server = Embedded.layerOn(storesIn(Settings.data)).pipe(Layer.provide(handlers))

const demoServer = Embedded.layerAt({ host: "127.0.0.1", port: 0 }, storesIn(DemoCommand.serverDirectory)).pipe(
  Layer.provide(handlers),
)

const nimbus = Command.make("nimbus").pipe(
  Command.withDescription("Every client sees each of its results exactly once, in order."),
  Command.withSubcommands([
    Command.make("start", {}, () =>
      start(server.pipe(Layer.provide([Shutdown.layer, Telemetry.layer("nimbus")]))),
    ).pipe(Command.withDescription("Run everything in one process, on embedded parts.")),
    DemoCommand.command(demoServer),
    client,
    grpcClient,
  ]),
)

nimbus.pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(Logs.layer),
  Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
  Failure.report,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
)
