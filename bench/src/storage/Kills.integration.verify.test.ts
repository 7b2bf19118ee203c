import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { missing, startServices } from "../../../scripts/services/Services.ts"
import { startDynalite } from "../../../scripts/services/Dynalite.ts"
import { writeAndKill } from "./Kills.ts"
import * as Stores from "./Stores.ts"

const names = ["kafka", "redis", "postgres"] as const
const absent = names.filter((name) => missing(name) !== undefined)
const left_out = process.env["NIMBUS_TEST_SERVICES"] !== "required" && absent.length > 0

/** Services of its own: what others leave in the log would be archived too. */
const services = Effect.acquireRelease(
  Effect.promise(() => startServices(names)),
  (services) => Effect.promise(() => services.stop()),
)
const dynalite = Effect.acquireRelease(
  Effect.promise(() => startDynalite()),
  (server) => Effect.promise(() => server.stop()),
)

// `npm run bench:storage` does the same with more results and more kills; with fewer, one chunk would have them all.
describe.skipIf(left_out)("a storage writer that is killed", () => {
  it.live(
    "leaves every result in PostgreSQL once, after two kills in the middle of batches",
    () =>
      Effect.gen(function* () {
        const environment = { ...(yield* services).environment, NIMBUS_STORAGE: "postgres" }
        const { report, rows } = yield* Effect.gen(function* () {
          const report = yield* writeAndKill({ results: 50_000, clients: 40, kills: 2, environment })
          return { report, rows: yield* Stores.countPostgres }
        }).pipe(Effect.provide(Layer.merge(Stores.log, Stores.postgres)), Effect.provide(Stores.configOf(environment)))
        assert.deepInclude(report, { rows: 50_000, wrong: 0, kills: 2 })
        assert.strictEqual(rows, 50_000)
      }),
    240_000,
  )

  it.live(
    "leaves every result in DynamoDB once, after a kill in the middle of a batch",
    () =>
      Effect.gen(function* () {
        const server = yield* dynalite
        const environment = {
          ...(yield* services).environment,
          ...server.environment,
          NIMBUS_STORAGE: "dynamodb",
        }
        Object.assign(process.env, server.environment)
        const report = yield* writeAndKill({ results: 30_000, clients: 40, kills: 1, environment }).pipe(
          Effect.provide(Layer.merge(Stores.log, Stores.dynamodb)),
          Effect.provide(Stores.configOf(environment)),
        )
        assert.deepInclude(report, { rows: 30_000, wrong: 0, kills: 1 })
      }),
    240_000,
  )
})
