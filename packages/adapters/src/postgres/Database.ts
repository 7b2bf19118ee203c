/**
 * A pool of connections to PostgreSQL, which is closed with the scope, and the tables of the mailboxes, which are
 * created if they are missing.
 *
 * A commit does not wait for the disk (`synchronous_commit = off`). A crash of PostgreSQL loses the last fraction of a
 * second of all tables together, including the offsets. A store that rolls back as a whole loses no records, because
 * the backlog still has them.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlError } from "effect/sql/SqlError"
import { PostgresRefused, PostgresTlsFailed, PostgresUnavailable } from "../Errors.ts"
import { postgresLimits } from "../Limits.ts"
import { untilReachable } from "../Reachable.ts"
import { isTlsError } from "../Tls.ts"
import { config, type PostgresSettings, where } from "./Settings.ts"

/** The connections of this process to PostgreSQL. */
export class PostgresDatabase extends Context.Service<PostgresDatabase, PgClient.PgClient>()(
  "@nimbus/adapters/postgres/PostgresDatabase",
) {
  static readonly layerWith = (settings: PostgresSettings) =>
    Layer.effect(PostgresDatabase, make(settings)).pipe(Layer.provide(Reactivity.layer))
  /** Configured by `NIMBUS_POSTGRES_URL` and the related settings. */
  static readonly layer = Layer.unwrap(Effect.map(config, (settings) => PostgresDatabase.layerWith(settings)))
}

const make = Effect.fn("PostgresDatabase.make")(function* (
  settings: PostgresSettings,
): Effect.fn.Return<PgClient.PgClient, StartError, Scope.Scope | Reactivity.Reactivity> {
  const { schema, url } = settings
  const failure = failureOf(settings)
  const sql = yield* PgClient.make({
    url,
    applicationName: "nimbus",
    maxConnections: postgresLimits.connections,
    connectTimeout: postgresLimits.connect_timeout_ms,
    startupParameters: {
      search_path: schema,
      synchronous_commit: "off",
      statement_timeout: `${postgresLimits.statement_timeout_ms}`,
      idle_in_transaction_session_timeout: `${postgresLimits.statement_timeout_ms}`,
    },
  }).pipe(Effect.mapError(failure))
  yield* untilReachable(
    { name: "PostgreSQL", at: where(settings), service: "postgres" },
    Effect.mapError(migrate(sql, schema), failure),
    ({ _tag }) => _tag === "PostgresUnavailable",
  )
  return sql
})

type StartError = PostgresRefused | PostgresTlsFailed | PostgresUnavailable

const failureOf =
  (settings: PostgresSettings) =>
  ({ reason }: SqlError): StartError => {
    const cause = reason.cause instanceof Error ? reason.cause : reason
    if (isTlsError(cause) || reason.message.endsWith(noTls)) {
      return new PostgresTlsFailed({ address: where(settings), reason: cause.message })
    }
    return reason._tag === "ConnectionError" || isPassing(cause)
      ? new PostgresUnavailable({ cause })
      : new PostgresRefused({ address: where(settings), reason: cause.message })
  }

/** The message of the driver for a server that refuses TLS. */
const noTls = "Server refused TLS"

/** Passing errors: a server that starts or stops, or that has too many connections. */
const isPassing = (cause: Error): boolean =>
  "code" in cause && typeof cause.code === "string" && /^(57P0[123]|53300)$/.test(cause.code)

/** If several processes create the tables at the same time, they are created once. */
const migrate = (sql: PgClient.PgClient, schema: string) =>
  sql.withTransaction(
    Effect.gen(function* () {
      yield* sql`SELECT pg_advisory_xact_lock(hashtext(${`nimbus:${schema}`}))`
      yield* sql`CREATE SCHEMA IF NOT EXISTS ${sql(schema)}`
      yield* sql`
        CREATE TABLE IF NOT EXISTS mailbox_partitions (
          partition int PRIMARY KEY,
          incarnation text NOT NULL,
          partitions int NOT NULL,
          next_offset bigint,
          hole bigint NOT NULL DEFAULT -1,
          highest bigint NOT NULL DEFAULT -1
        )`
      yield* sql`
        CREATE TABLE IF NOT EXISTS mailbox_clients (
          client_id text COLLATE "C" PRIMARY KEY,
          acked bigint NOT NULL DEFAULT -1,
          floor bigint NOT NULL DEFAULT -1,
          last bigint NOT NULL DEFAULT -1,
          results bigint NOT NULL DEFAULT 0,
          bytes bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 70)`
      // Columns of later versions. Existing rows count as used last when the column was added.
      yield* sql`ALTER TABLE mailbox_partitions ADD COLUMN IF NOT EXISTS forgotten bigint NOT NULL DEFAULT -1`
      yield* sql`
        ALTER TABLE mailbox_clients
          ADD COLUMN IF NOT EXISTS unknown bigint NOT NULL DEFAULT -1,
          ADD COLUMN IF NOT EXISTS used_ms bigint NOT NULL DEFAULT (extract(epoch FROM now()) * 1000)`
      yield* sql`
        CREATE TABLE IF NOT EXISTS mailbox_records (
          client_id text COLLATE "C",
          seq bigint,
          timestamp bigint NOT NULL,
          value bytea NOT NULL,
          headers text,
          PRIMARY KEY (client_id, seq)
        )`
      // Records are inserted in the order of time, so this small index finds the old ones.
      yield* sql`CREATE INDEX IF NOT EXISTS mailbox_records_timestamp ON mailbox_records USING brin (timestamp)`
    }),
  )
