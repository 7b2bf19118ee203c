#!/usr/bin/env node
/** The `nimbus` command. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { Command } from "effect/cli"
import { start } from "./Start.ts"

const nimbus = Command.make("nimbus").pipe(
  Command.withDescription("Every client sees each of its results exactly once, in order."),
  Command.withSubcommands([
    Command.make("start", {}, () => start).pipe(
      Command.withDescription("Run everything in one process, on embedded parts."),
    ),
  ]),
)

nimbus.pipe(Command.run({ version: "0.1.0" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
