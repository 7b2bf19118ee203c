/**
 * One pipeline process of a cluster: all roles, or those in `NIMBUS_ROLES`. A program of one's own is
 *
 * ```ts
 * import * as Pipeline from "@nimbus/server/pipeline"
 *
 * Pipeline.main([order, refund])
 * ```
 */
import { createServer } from "node:http"
import { hostname } from "node:os"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Shutdown, Telemetry } from "@nimbus/adapters/process"
import type { Handlers } from "@nimbus/domain/services"
import { Health, Pipeline } from "@nimbus/pipeline"
import { Config, Effect, Layer } from "effect"
import { type HandlersOrLayer, layerOf } from "../HandlersModule.ts"
import * as Process from "./Process.ts"

const pipeline = <E>(handlers: Layer.Layer<Handlers, E>) =>
  Effect.gen(function* () {
    const Cluster = yield* Process.loadCluster
    // All settings are read here, before anything is connected to: one that is wrong stops the start at once.
    const { address, cluster, roles, settings, shutdown, telemetry } = yield* Config.all({
      address: Health.config,
      cluster: Cluster.config,
      roles: Pipeline.config,
      settings: Pipeline.settings,
      shutdown: Shutdown.config,
      telemetry: Telemetry.config,
    })
    return Layer.mergeAll(
      Pipeline.layerOf(roles, settings),
      Health.checked,
      Health.announced(Pipeline.rolesText(roles), hostname()),
    ).pipe(
      Layer.provide(Cluster.layerWith(cluster)),
      // Below the services: what is wrong with handlers is told although no service is there yet.
      Layer.provide(handlers),
      // Below the services: it answers while they are waited for.
      Layer.provide(Health.layer),
      Layer.provide([Health.Readiness.layer, NodeHttpServer.layer(createServer, address)]),
      Layer.provide(Shutdown.layerWith(shutdown)),
      Layer.provide(Telemetry.layerWith("nimbus-pipeline", telemetry)),
    )
  })

/**
 * Runs it until a signal comes, with these handlers, or with the layer of them and what they need. Settings, health,
 * metrics, logs and shutdown are those of `nimbus-pipeline`; an error at start is one line and exit code 1.
 */
export const main = <E>(handlers: HandlersOrLayer<E>): void => Process.run(Layer.unwrap(pipeline(layerOf(handlers))))

/** The former name of `main`. */
export const run = main
