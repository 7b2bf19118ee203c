#!/usr/bin/env node
/** The `nimbus` command. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import { Handlers } from "@nimbus/domain"
import { Effect, Layer } from "effect"
import { Command } from "effect/cli"
import * as Embedded from "./Embedded.ts"
import { start } from "./Start.ts"

const stores = Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer).pipe(Layer.provide(LmdbStore.layer))

const server = Embedded.layerOn(stores).pipe(Layer.provide(Handlers.layer(Handlers.samples)))

const nimbus = Command.make("nimbus").pipe(
  Command.withDescription("Every client sees each of its results exactly once, in order."),
  Command.withSubcommands([
    Command.make("start", {}, () => start(server)).pipe(
      Command.withDescription("Run everything in one process, on embedded parts."),
    ),
  ]),
)

nimbus.pipe(Command.run({ version: "0.1.0" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
