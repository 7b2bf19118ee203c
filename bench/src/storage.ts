/**
 * `npm run bench:storage`: results from Kafka into PostgreSQL and DynamoDB (dynalite), once with the writer left alone
 * and once with it killed five times, beside plain ways to fill the same store. All processes are on this machine.
 * `npm run bench:storage -- postgres 200000`: one store, and how many results;
 * a third argument is how often the writer is killed.
 */
import { join } from "node:path"
import { mkdtempSync, chmodSync, rmSync } from "node:fs"
import { loadavg, tmpdir } from "node:os"
import { Effect, Layer } from "effect"
import { startDynalite } from "../../scripts/services/Dynalite.ts"
import { startServices } from "../../scripts/services/Services.ts"
import { type KillsReport, writeAndKill } from "./storage/Kills.ts"
import * as Stores from "./storage/Stores.ts"

const [named, given, ...kills] = process.argv.slice(2)
const results = Number(given ?? 200_000)
const clients = 100
const rows: Array<Readonly<Record<string, string | number>>> = []
const rate = (n: number) => `${Math.round(n).toLocaleString("en")}/s`
const value = JSON.stringify({
  seq: 1,
  id: "event-1",
  name: "sq",
  data: { number: 1, result: 1, text: "result 1 of many" },
})

const tell = (store: string, what: string, { kills, rows: written, rows_per_second, wrong }: KillsReport) => {
  rows.push({ store, what, rate: rate(rows_per_second), rows: written, wrong, kills })
  console.error(`${store}, ${what}: ${rate(rows_per_second)}, ${written} rows, ${wrong} wrong, ${kills} kills`)
}
const tellPlain = (store: string, what: string, rows_per_second: number) => {
  rows.push({ store, what, rate: rate(rows_per_second) })
  console.error(`${store}, ${what}: ${rate(rows_per_second)}`)
}

/** On services of their own, which know nothing of other measurements. */
const onServices = async (f: (environment: Readonly<Record<string, string>>) => Promise<void>) => {
  const services = await startServices(["kafka", "redis", "postgres"])
  const server = await startDynalite()
  Object.assign(process.env, server.environment)
  try {
    await f({ ...services.environment, ...server.environment })
  } finally {
    await server.stop()
    await services.stop()
  }
}

const postgres = (kills: number) =>
  onServices((services) => {
    const environment = { ...services, NIMBUS_STORAGE: "postgres" }
    const directory = mkdtempSync(join(tmpdir(), "nimbus-copy-"))
    chmodSync(directory, 0o777)
    const measure = Effect.gen(function* () {
      tell("PostgreSQL", "storage writer", yield* writeAndKill({ results, clients, kills, environment }))
      if (kills > 0) return
      tellPlain("PostgreSQL", "COPY of the same rows", yield* Stores.copyPostgres(join(directory, "rows")))
      tellPlain("PostgreSQL", "batches straight into the archive", yield* Stores.fillDirectly(results, value))
    }).pipe(
      Effect.ensuring(Effect.sync(() => rmSync(directory, { recursive: true, force: true }))),
      Effect.provide(Layer.merge(Stores.log, Stores.postgres)),
      Effect.provide(Stores.configOf(environment)),
    )
    return Effect.runPromise(measure)
  })

const dynamodb = (kills: number) =>
  onServices((services) => {
    const environment = { ...services, NIMBUS_STORAGE: "dynamodb" }
    const measure = Effect.gen(function* () {
      tell("dynalite", "storage writer", yield* writeAndKill({ results, clients, kills, environment }))
      if (kills > 0) return
      tellPlain("dynalite", "batches straight into it", yield* Stores.fillDirectly(results / 10, value))
    }).pipe(Effect.provide(Layer.merge(Stores.log, Stores.dynamodb)), Effect.provide(Stores.configOf(environment)))
    return Effect.runPromise(measure)
  })

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))

console.error(
  `load average before: ${loadavg()
    .map((n) => n.toFixed(2))
    .join(" ")}`,
)
for (const times of kills.length > 0 ? kills.map(Number) : [0, 5]) {
  if (named !== "dynamodb") await postgres(times)
  if (named !== "postgres") await dynamodb(times)
}
console.table(rows)
