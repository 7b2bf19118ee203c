/** What the two processes of a cluster have in common. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Libraries from "@nimbus/adapters/libraries"
import { Environment, Failure, Logs, Shutdown } from "@nimbus/adapters/process"
import { Effect, Layer } from "effect"

/** The services of a cluster, or the command that installs the client libraries which they need. */
export const loadCluster = Libraries.load(["kafka", "redis"], () => import("@nimbus/adapters/cluster"))

/** Runs a process until a signal comes. What is wrong with its start is one line. */
export const run = <A, E>(process: Layer.Layer<A, E, NodeServices.NodeServices>): void =>
  process.pipe(
    Layer.launch,
    Effect.provide(Logs.layer),
    Failure.report,
    Failure.crashing,
    Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
    NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
  )
