/** One gateway process of a cluster, with every transport. */
import * as Locks from "@nimbus/adapters/locks"
import { Shutdown, Telemetry } from "@nimbus/adapters/process"
import { LockedServices } from "@nimbus/domain/services"
import { ChatAdapter, Gateway } from "@nimbus/gateway"
import { Config, Effect, Layer } from "effect"
import * as Process from "./Process.ts"

const gateway = Effect.gen(function* () {
  const Cluster = yield* Process.loadCluster
  const { RedisChatAdapter } = yield* Effect.promise(() => import("@nimbus/adapters/redis"))
  // All settings are read here, before anything is connected to: one that is wrong stops the start at once.
  const settings = yield* Config.all({
    cluster: Cluster.config,
    gateway: Gateway.config,
    locks: Locks.config,
    shutdown: Shutdown.config,
    telemetry: Telemetry.config,
  })
  const chat = Layer.effect(ChatAdapter, RedisChatAdapter.make(settings.cluster.redis))
  const services = Layer.merge(chat, LockedServices.layer).pipe(Layer.provideMerge(Cluster.layerWith(settings.cluster)))
  return Gateway.layerOver(settings.gateway, services).pipe(
    Layer.provide(Locks.layerWith(settings.locks)),
    Layer.provide(Shutdown.layerWith(settings.shutdown)),
    Layer.provide(Telemetry.layerWith("nimbus-gateway", settings.telemetry)),
  )
})

/** Runs it until a signal comes. */
export const run = (): void => Process.run(Layer.unwrap(gateway))
