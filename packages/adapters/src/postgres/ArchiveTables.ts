/**
 * The tables of the archive, and all migrations. A released migration is never changed; another one follows it.
 * `archive_migrations` lists those that a database has.
 *
 * | table | one row a | columns |
 * | --- | --- | --- |
 * | archive_logs | incarnation of the topics | its number, which the other tables use, and the incarnation |
 * | archive_positions | partition of a topic | the offset to read on from |
 * | archive_results | result | log, client_id, seq; partition, timestamp, value |
 * | archive_messages | chat message | log, room, offset; partition, timestamp, value |
 */
import { Effect } from "effect"
import { Migrator, SqlClient } from "effect/sql"

const steps = {
  "0001_archive": Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`
      CREATE TABLE archive_logs (
        log int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        incarnation text NOT NULL UNIQUE,
        since timestamptz NOT NULL DEFAULT now()
      )`
    yield* sql`
      CREATE TABLE archive_positions (
        log int REFERENCES archive_logs,
        kind text,
        partition int,
        next_offset bigint NOT NULL,
        PRIMARY KEY (log, kind, partition)
      ) WITH (fillfactor = 50)`
    yield* sql`
      CREATE TABLE archive_results (
        log int,
        client_id text COLLATE "C",
        seq bigint,
        partition int NOT NULL,
        timestamp bigint NOT NULL,
        value json NOT NULL,
        PRIMARY KEY (log, client_id, seq)
      )`
    yield* sql`
      CREATE TABLE archive_messages (
        log int,
        room text COLLATE "C",
        "offset" bigint,
        partition int NOT NULL,
        timestamp bigint NOT NULL,
        value json NOT NULL,
        PRIMARY KEY (log, room, "offset")
      )`
    // Rows are inserted in the order of time, so these small indexes find the old ones when they are pruned.
    yield* sql`CREATE INDEX archive_results_timestamp ON archive_results USING brin (timestamp)`
    yield* sql`CREATE INDEX archive_messages_timestamp ON archive_messages USING brin (timestamp)`
  }),
}

const run = Migrator.make({})({ loader: Migrator.fromRecord(steps), table: "archive_migrations" })

/** Applies the missing migrations. If several processes do this at the same time, each is applied once. */
export const migrate = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql.withTransaction(
    Effect.andThen(sql`SELECT pg_advisory_xact_lock(hashtext('nimbus:archive:' || current_schema()))`, run),
  )
})
