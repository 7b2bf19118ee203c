#!/usr/bin/env node
/** One gateway process of a cluster, with every door. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as Cluster from "@nimbus/adapters/cluster"
import { Environment, Failure, Logs, Shutdown, Telemetry } from "@nimbus/adapters/process"
import { Config, Effect, Layer } from "effect"
import { RedisChatAdapter } from "@nimbus/adapters/redis"
import { ChatAdapter, Gateway } from "./index.ts"

/** All settings are read here, before anything is connected to: one that is wrong stops the start at once. */
const settings = Config.all({
  cluster: Cluster.config,
  gateway: Gateway.config,
  shutdown: Shutdown.config,
  telemetry: Telemetry.config,
})

Layer.unwrap(
  Effect.map(settings, ({ cluster, gateway, shutdown, telemetry }) =>
    Gateway.layerOver(
      gateway,
      Layer.provideMerge(Layer.effect(ChatAdapter, RedisChatAdapter.make(cluster.redis)), Cluster.layerWith(cluster)),
    ).pipe(
      Layer.provide(Shutdown.layerWith(shutdown)),
      Layer.provide(Telemetry.layerWith("nimbus-gateway", telemetry)),
    ),
  ),
).pipe(
  Layer.launch,
  Effect.provide(Logs.layer),
  Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
  Failure.report,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
)
