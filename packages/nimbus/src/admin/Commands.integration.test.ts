/** Operators at the command line of a cluster: on Kafka and Redis themselves, and by a gateway's admin API. */
import { hostname } from "node:os"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { ConfigProvider, Effect, Layer } from "effect"
import { inject } from "vitest"
import { clusterOfItsOwn } from "../testing/Cluster.ts"
import { adminStory, TestEnvironment, json, seed } from "../testing/adminStory.ts"
import { cluster, type Env, operator } from "../testing/Operator.ts"
import { freePort, startMember, temporaryDirectory } from "../testing/Processes.ts"

const { kafka, redis } = inject("services")

const token = "a token of the tests"

/** A cluster of its own on the services, with the seed in it, and nobody there yet. */
const settled = Effect.gen(function* () {
  const env: Env = clusterOfItsOwn("admin")
  const settings = ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
  yield* seed.pipe(Effect.provide(cluster.pipe(Layer.provide(settings)), { local: true }))
  return { cwd: yield* temporaryDirectory, env }
})

const onCluster =
  (env: Env) =>
  (...args: ReadonlyArray<string>) =>
    operator(env)(...args, "--cluster")

const testEnvironment = Effect.gen(function* () {
  const { cwd, env } = yield* settled
  const port = yield* freePort
  yield* startMember("gateway", port, { cwd, env: { ...env, NIMBUS_ADMIN_TOKEN: token } })
  yield* startMember("pipeline", yield* freePort, { cwd, env })
  const byApi = operator({ NIMBUS_ADMIN_TOKEN: token, NIMBUS_ADMIN_URL: `http://127.0.0.1:${port}` })
  // A flag is what tells the story's commands from those that are to go by the API.
  const run = (...args: ReadonlyArray<string>) =>
    args.includes("--by-api") ? byApi(...args.filter((arg) => arg !== "--by-api")) : onCluster(env)(...args)
  return TestEnvironment.of({ port, run, byApi: ["--by-api"] })
})

describe.skipIf(kafka === undefined || redis === undefined)("on Kafka and Redis", () => {
  adminStory("the commands of operators, on a cluster", Layer.effect(TestEnvironment, testEnvironment))

  it.live(
    "see a cluster of which no gateway runs, where nobody can be kicked and no pod drained",
    () =>
      Effect.gen(function* () {
        const { env } = yield* settled
        const run = onCluster(env)
        const status = json(yield* run("status", "--json"))
        assert.deepStrictEqual(status.pods, [])
        assert.deepStrictEqual([status.partitions, status.lag.events, status.quarantined], [3, 1, 1])
        assert.strictEqual((yield* run("kick", "ada")).code, "NOT_FOUND")
        assert.strictEqual((yield* run("drain", "gw-1")).code, "NOT_FOUND")
        assert.strictEqual(json(yield* run("replay", "ada", "--from", "0", "--json")).published, 0)
      }).pipe(Effect.scoped),
    120_000,
  )

  it.live(
    "see every process with its host, its address and what it does, and what can be reached without Kafka",
    () =>
      Effect.gen(function* () {
        const { cwd, env } = yield* settled
        const [port, health, nowhere] = [yield* freePort, yield* freePort, yield* freePort]
        yield* startMember("gateway", port, { cwd, env })
        yield* startMember("pipeline", health, { cwd, env: { ...env, NIMBUS_ROLES: "event-consumer,result-consumer" } })
        const run = onCluster(env)
        const rolesOf = Effect.map(run("pods", "--json"), (said) => {
          const pods: ReadonlyArray<Record<string, unknown>> = json(said)
          return pods.map(({ address, host, role }) => `${role} on ${host} at ${address}`).toSorted()
        })
        const all = [
          `event-consumer, result-consumer on ${hostname()} at 127.0.0.1:${health}`,
          `gateway on ${hostname()} at 127.0.0.1:${port}`,
        ]
        yield* eventually(
          "both are there",
          Effect.map(rolesOf, (roles) => JSON.stringify(roles) === JSON.stringify(all)),
        )
        const partly = onCluster({ ...env, NIMBUS_KAFKA_BROKERS: `127.0.0.1:${nowhere}` })
        const status = json(yield* partly("status", "--json"))
        assert.strictEqual(status.pods.length, 1)
        assert.strictEqual(status.unreached[0].part, "log")
      }).pipe(Effect.scoped),
    120_000,
  )

  it.live(
    "get nothing by the admin API without its token, and a gateway without one has no such API",
    () =>
      Effect.gen(function* () {
        const { cwd, env } = yield* settled
        const [port, other] = [yield* freePort, yield* freePort]
        yield* startMember("gateway", port, { cwd, env: { ...env, NIMBUS_ADMIN_TOKEN: token } })
        yield* startMember("gateway", other, { cwd, env })
        const url = `http://127.0.0.1:${port}`
        assert.strictEqual((yield* operator({})("status", "--url", url)).code, "UNAUTHORIZED")
        const wrong = operator({ NIMBUS_ADMIN_TOKEN: `${token}.` })
        assert.strictEqual((yield* wrong("kick", "ada", "--url", url)).code, "UNAUTHORIZED")
        const right = operator({ NIMBUS_ADMIN_TOKEN: token })
        assert.strictEqual(json(yield* right("status", "--url", url, "--json")).pods.length, 2)
        assert.strictEqual((yield* right("status", "--url", `http://127.0.0.1:${other}`)).code, "ADMIN_UNAVAILABLE")
      }).pipe(Effect.scoped),
    120_000,
  )
})
