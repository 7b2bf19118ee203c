/** One pipeline process of a cluster: all roles, or those in `NIMBUS_ROLES`, with the sample handlers. */
import { createServer } from "node:http"
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import * as Cluster from "@nimbus/adapters/cluster"
import { Environment, Failure, Shutdown } from "@nimbus/adapters/process"
import { Handlers } from "@nimbus/domain"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import * as Health from "./Health.ts"
import { Pipeline } from "./index.ts"

const http = HttpRouter.serve(Health.layer, { disableLogger: true }).pipe(
  Layer.provide(Layer.unwrap(Effect.map(Health.config, (options) => NodeHttpServer.layer(createServer, options)))),
)

Layer.mergeAll(Pipeline.layerFromConfig, http).pipe(
  Layer.provide(Handlers.layer(Handlers.samples)),
  Layer.provide(Cluster.layer),
  Layer.provide(Shutdown.layer),
  Layer.launch,
  Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
  Failure.report,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
)
