/**
 * What the `nimbus` command does.
 *
 * What a command needs beyond its flags is imported once it runs: to import a gateway, or the clients of all stores, takes
 * longer than most commands do.
 */
import { readFileSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Environment, Failure, Logs, Shutdown } from "@nimbus/adapters/process"
import { Effect, Layer, Schema } from "effect"
import { Command } from "effect/cli"
import * as ClientCommand from "./admin/ClientCommand.ts"
import * as Commands from "./admin/Commands.ts"
import * as Where from "./admin/Where.ts"
import * as CreateCommand from "./create/CreateCommand.ts"
import * as DemoCommand from "./demo/DemoCommand.ts"
import { command as grpcClient } from "./grpc/GrpcClientCommand.ts"
import * as Settings from "./Settings.ts"

const cluster = Effect.gen(function* () {
  const { load } = yield* Effect.promise(() => import("@nimbus/adapters/libraries"))
  return yield* load(["kafka", "redis"], () => import("@nimbus/adapters/cluster"))
})
const server = Effect.promise(() => import("./Nimbus.ts"))
const stores = Effect.promise(() => import("./Stores.ts"))

/** What the demo sends has these handlers, whatever the environment says. */
const samples = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("@nimbus/domain")),
    ({ Handlers }) => Handlers.layer(Handlers.samples),
  ),
)
const handlers = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("./EnvironmentHandlers.ts")),
    ({ layer }) => layer,
  ),
)

const wholeServer = Layer.unwrap(Effect.map(server, ({ layer }) => layer)).pipe(Layer.provide(handlers))

const demoServer = Layer.unwrap(
  Effect.gen(function* () {
    const { layerAt } = yield* server
    const { storesIn } = yield* stores
    return layerAt({ host: "127.0.0.1", port: 0 }, storesIn(DemoCommand.serverDirectory))
  }),
).pipe(Layer.provide(samples))

const start = Effect.gen(function* () {
  const { start } = yield* Effect.promise(() => import("./Start.ts"))
  const { Telemetry } = yield* Effect.promise(() => import("@nimbus/adapters/process"))
  yield* start(wholeServer.pipe(Layer.provide([Shutdown.layer, Telemetry.layer("nimbus")])))
})

/** Whom operators' commands ask. An archive is nothing to them. */
const operations = Where.operations({
  embedded: Layer.unwrap(Effect.map(stores, ({ logIn }) => logIn(Settings.data))),
  cluster: Layer.unwrap(
    Effect.gen(function* () {
      const Cluster = yield* cluster
      return Cluster.layerWith({ ...(yield* Cluster.config), storage: {} })
    }),
  ),
})

const clusterStatus = Effect.gen(function* () {
  const Cluster = yield* cluster
  const { reached } = yield* Effect.promise(() => import("./admin/ClusterStatus.ts"))
  return yield* reached(Cluster.partsWith(yield* Cluster.config))
})

/** Of this package, built or not. */
const { version } = Schema.decodeSync(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))(
  readFileSync(new URL("../package.json", import.meta.url), "utf8"),
)

const nimbus = Command.make("nimbus").pipe(
  Command.withDescription("Every client sees each of its results exactly once, in order."),
  Command.withSubcommands([
    Command.make("start", {}, () => start).pipe(
      Command.withDescription("Run everything in one process, on embedded parts."),
    ),
    CreateCommand.command(version),
    DemoCommand.command(demoServer),
    ClientCommand.command(operations),
    grpcClient,
    ...Commands.commands(operations, clusterStatus),
  ]),
)

nimbus.pipe(
  Command.run({ version }),
  Effect.provide(Logs.layer),
  Failure.report,
  Failure.crashing,
  Effect.provide(Environment.layer.pipe(Layer.provideMerge(NodeServices.layer))),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: Shutdown.teardown }),
)
