#!/usr/bin/env node
/** One gateway process of a cluster, with every door. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as Cluster from "@nimbus/adapters/cluster"
import { Environment, Failure, Shutdown } from "@nimbus/adapters/process"
import { Effect, Layer } from "effect"
import { Gateway } from "./index.ts"

Gateway.layer.pipe(
  Layer.provide(Cluster.layer),
  Layer.provide(Shutdown.layer),
  Layer.launch,
  Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
  Failure.report,
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
)
