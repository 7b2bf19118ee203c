/** One pipeline process of a cluster: all roles, or those in `NIMBUS_ROLES`. */
import { createServer } from "node:http"
import { hostname } from "node:os"
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import * as Cluster from "@nimbus/adapters/cluster"
import { Environment, Failure, Logs, Shutdown, Telemetry } from "@nimbus/adapters/process"
import type { Handlers } from "@nimbus/domain"
import { Config, Effect, Layer } from "effect"
import * as Health from "./Health.ts"
import * as Pipeline from "./Pipeline.ts"

/** All settings are read here, before anything is connected to: one that is wrong stops the start at once. */
const settings = Config.all({
  address: Health.config,
  cluster: Cluster.config,
  roles: Pipeline.config,
  shutdown: Shutdown.config,
  telemetry: Telemetry.config,
})

/** Runs it until a signal comes, with these handlers. */
export const run = <E>(handlers: Layer.Layer<Handlers, E>): void =>
  Layer.unwrap(
    Effect.map(settings, ({ address, cluster, roles, shutdown, telemetry }) =>
      Layer.mergeAll(
        Pipeline.layerOf(roles),
        Health.checked,
        Health.announced(Pipeline.rolesText(roles), hostname()),
      ).pipe(
        Layer.provide(handlers),
        Layer.provide(Cluster.layerWith(cluster)),
        // Below the services: it answers while they are waited for.
        Layer.provide(Health.layer),
        Layer.provide([Health.Readiness.layer, NodeHttpServer.layer(createServer, address)]),
        Layer.provide(Shutdown.layerWith(shutdown)),
        Layer.provide(Telemetry.layerWith("nimbus-pipeline", telemetry)),
      ),
    ),
  ).pipe(
    Layer.launch,
    Effect.provide(Logs.layer),
    Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
    Failure.report,
    NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
  )
