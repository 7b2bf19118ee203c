/**
 * Every transport on Kafka and Redis: two gateways and a pipeline, each a process of its own. The gateway that holds
 * the client is killed with -9, and the client goes to the other one; then the pipeline is.
 */
import { describe } from "@effect/vitest"
import { Effect, Layer, Scope } from "effect"
import { inject } from "vitest"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { transportStory, TestEnvironment } from "./testing/transportStory.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"

const { kafka, redis } = inject("services")

const testEnvironment = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const cwd = yield* temporaryDirectory
  const env = clusterOfItsOwn("transports")
  const start = (program: "gateway" | "pipeline", port: number, grpc = 0) =>
    Effect.provideService(
      startMember(program, port, { cwd, env: { ...env, NIMBUS_PORT: `${grpc}` } }),
      Scope.Scope,
      scope,
    )
  const places = [
    { http: yield* freePort, grpc: yield* freePort },
    { http: yield* freePort, grpc: yield* freePort },
  ] as const
  // One after the other: the first creates the topics.
  const gateways = [
    yield* start("gateway", places[0].http, places[0].grpc),
    yield* start("gateway", places[1].http, places[1].grpc),
  ]
  const pipelinePort = yield* freePort
  let pipeline = yield* start("pipeline", pipelinePort)

  let at = 0
  const gatewayKilled = Effect.gen(function* () {
    const gone = at
    yield* gateways[gone]!.kill("SIGKILL")
    yield* gateways[gone]!.ended
    gateways[gone] = yield* start("gateway", places[gone]!.http, places[gone]!.grpc)
  })
  const pipelineKilled = Effect.gen(function* () {
    yield* pipeline.kill("SIGKILL")
    yield* pipeline.ended
    pipeline = yield* start("pipeline", pipelinePort)
  })
  return TestEnvironment.of({
    next: () => places[(at = 1 - at)]!,
    here: () => places[at]!,
    disasters: [gatewayKilled, pipelineKilled],
  })
})

describe.skipIf(kafka === undefined || redis === undefined)("on Kafka and Redis", () =>
  transportStory("every transport of a cluster", Layer.effect(TestEnvironment, testEnvironment)),
)
