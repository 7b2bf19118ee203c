/** The stores that are tried: how many rows each has by its own count, and a plain way to fill it. */
import { DynamoArchive, dynamoConfig, DynamoDatabase } from "@nimbus/adapters/dynamodb"
import { KafkaEventLog } from "@nimbus/adapters/kafka"
import { PostgresArchive, postgresConfig, PostgresDatabase } from "@nimbus/adapters/postgres"
import { Incarnation } from "@nimbus/domain/protocol"
import { Archive, Topics } from "@nimbus/domain/services"
import { ConfigProvider, Effect, Layer } from "effect"

/** The archive in PostgreSQL, as the environment says, and its database beside it. */
export const postgres = PostgresArchive.layer.pipe(
  Layer.provideMerge(Layer.unwrap(Effect.map(postgresConfig, PostgresDatabase.layerWith))),
)

export const countPostgres = Effect.gen(function* () {
  const sql = yield* PostgresDatabase
  const [row] = yield* sql<{ rows: number }>`SELECT count(*)::float8 AS rows FROM archive_results`
  return row?.rows ?? 0
})

/** `COPY` of the rows that are there into a table of the same form: rows per second. */
export const copyPostgres = (file: string) =>
  Effect.gen(function* () {
    const sql = yield* PostgresDatabase
    yield* sql`COPY archive_results TO ${sql.literal(`'${file}'`)}`
    yield* sql`CREATE TABLE plain (LIKE archive_results INCLUDING ALL)`
    const began_ms = performance.now()
    yield* sql`COPY plain FROM ${sql.literal(`'${file}'`)}`
    const took_ms = performance.now() - began_ms
    return ((yield* countPostgres) * 1000) / took_ms
  })

export const dynamodb = DynamoArchive.layer.pipe(
  Layer.provideMerge(Layer.unwrap(Effect.map(dynamoConfig, DynamoDatabase.layerWith))),
)

/** The log of the environment. */
export const log = KafkaEventLog.layer.pipe(Layer.provideMerge(Topics.layer))

export const configOf = (environment: Readonly<Record<string, string>>) =>
  ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...environment } }))

/** Batches straight into the archive, as many at once as there are partitions: rows per second. */
export const fillDirectly = Effect.fnUntraced(function* (rows: number, value: string) {
  const archive = yield* Archive
  const incarnation = Incarnation.make(`direct-${crypto.randomUUID()}`)
  const fill = (partition: number) =>
    Effect.gen(function* () {
      for (let begin = partition * 4_096; begin < rows; begin += 4 * 4_096) {
        const records = Array.from({ length: Math.min(4_096, rows - begin) }, (_, i) => ({
          key: `c${(begin + i) % 100}`,
          place: begin + i,
          timestamp: 1_790_000_000_000,
          value,
        }))
        yield* archive.write({ source: { incarnation, kind: "results", partition }, records, position: begin })
      }
    })
  const began_ms = performance.now()
  yield* Effect.forEach([0, 1, 2, 3], fill, { concurrency: 4 })
  return (rows * 1000) / (performance.now() - began_ms)
})
