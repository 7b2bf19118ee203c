/** One gateway process of a cluster, with every transport. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Libraries from "@nimbus/adapters/libraries"
import { Environment, Failure, Logs, Shutdown, Telemetry } from "@nimbus/adapters/process"
import { ChatAdapter, Gateway } from "@nimbus/gateway"
import { Config, Effect, Layer } from "effect"

const gateway = Effect.gen(function* () {
  const Cluster = yield* Libraries.load(["kafka", "redis"], () => import("@nimbus/adapters/cluster"))
  const { RedisChatAdapter } = yield* Effect.promise(() => import("@nimbus/adapters/redis"))
  // All settings are read here, before anything is connected to: one that is wrong stops the start at once.
  const settings = yield* Config.all({
    cluster: Cluster.config,
    gateway: Gateway.config,
    shutdown: Shutdown.config,
    telemetry: Telemetry.config,
  })
  const chat = Layer.effect(ChatAdapter, RedisChatAdapter.make(settings.cluster.redis))
  return Gateway.layerOver(settings.gateway, Layer.provideMerge(chat, Cluster.layerWith(settings.cluster))).pipe(
    Layer.provide(Shutdown.layerWith(settings.shutdown)),
    Layer.provide(Telemetry.layerWith("nimbus-gateway", settings.telemetry)),
  )
})

/** Runs it until a signal comes. */
export const run = (): void =>
  Layer.unwrap(gateway).pipe(
    Layer.launch,
    Effect.provide(Logs.layer),
    Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
    Failure.report,
    NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
  )
