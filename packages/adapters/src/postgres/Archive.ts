/**
 * The archive in PostgreSQL, or in PGlite, which is PostgreSQL in this process, with the same tables, statements and
 * client.
 *
 * 1. A batch is one transaction, which writes the rows by one statement over arrays, and the position. It is on disk
 *    before the write returns, whatever `synchronous_commit` is elsewhere: the writer continues from memory, so a batch
 *    that a crash rolls back would be a hole.
 * 2. Existing rows are kept (`ON CONFLICT DO NOTHING`).
 * 3. A batch that PostgreSQL refuses because of its data is written in halves, down to the record that it refuses.
 */
import { type PgClient, PgTypes } from "@effect/sql-pg"
import { ArchiveUnavailable } from "@nimbus/domain/errors"
import type { Incarnation } from "@nimbus/domain/protocol"
import {
  Archive,
  type ArchiveBatch,
  type ArchiveKind,
  type ArchiveQuestion,
  type ArchiveRefusal,
  type ArchiveShape,
  type ArchiveSource,
} from "@nimbus/domain/services"
import { Effect, Layer, Result } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { PostgresRefused } from "../Errors.ts"
import { migrate } from "./ArchiveTables.ts"
import { PostgresDatabase } from "./Database.ts"

/** On a database in which the tables of the archive are created if they are missing. */
export const make = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  store = "postgres",
): Effect.fn.Return<ArchiveShape, PostgresRefused> {
  yield* Effect.provideService(migrate, SqlClient.SqlClient, sql).pipe(
    Effect.mapError((error) => new PostgresRefused({ address: store, reason: error.message })),
  )
  const logs = new Map<Incarnation, number>()
  const logOf = Effect.fnUntraced(function* (incarnation: Incarnation) {
    const known = logs.get(incarnation)
    if (known !== undefined) return known
    const log = yield* numberOf(sql, incarnation)
    logs.set(incarnation, log)
    return log
  })
  const unavailable = (operation: string) =>
    Effect.mapError((cause: SqlError) => new ArchiveUnavailable({ store, operation, cause }))

  return {
    stores: [store],
    position: (source) =>
      Effect.flatMap(logOf(source.incarnation), (log) => readPosition(sql, log, source)).pipe(unavailable("position")),
    write: (batch) =>
      Effect.flatMap(logOf(batch.source.incarnation), (log) => writeBatch(sql, log, batch)).pipe(unavailable("write")),
    page: (question) =>
      Effect.flatMap(logOf(question.incarnation), (log) => readPage(sql, log, question)).pipe(unavailable("page")),
  }
})

/** The archive in PostgreSQL. Tables are created where they are missing. */
export const layer: Layer.Layer<Archive, PostgresRefused, PostgresDatabase> = Layer.effect(
  Archive,
  Effect.flatMap(PostgresDatabase, (sql) => make(sql)),
)

const tables = {
  results: { name: "archive_results", key: "client_id", place: "seq" },
  messages: { name: "archive_messages", key: "room", place: "offset" },
} as const satisfies Record<ArchiveKind, unknown>

/** The number of an incarnation. A new incarnation gets a new number. */
const numberOf = Effect.fnUntraced(function* (sql: PgClient.PgClient, incarnation: Incarnation) {
  for (;;) {
    yield* sql`INSERT INTO archive_logs (incarnation) VALUES (${incarnation}) ON CONFLICT DO NOTHING`
    const [row] = yield* sql<{ log: number }>`SELECT log FROM archive_logs WHERE incarnation = ${incarnation}`
    if (row !== undefined) return row.log
  }
})

const readPosition = (sql: PgClient.PgClient, log: number, { kind, partition }: ArchiveSource) =>
  sql<{ next: number }>`
    SELECT next_offset::float8 AS next FROM archive_positions
    WHERE log = ${log} AND kind = ${kind} AND partition = ${partition}`.pipe(Effect.map(([row]) => row?.next))

const writeBatch = (sql: PgClient.PgClient, log: number, batch: ArchiveBatch) =>
  sql.withTransaction(
    Effect.gen(function* () {
      yield* sql`SET LOCAL synchronous_commit = on`
      const refused = yield* insert(sql, log, batch, 0, batch.records.length)
      yield* sql`
        INSERT INTO archive_positions AS p (log, kind, partition, next_offset)
        VALUES (${log}, ${batch.source.kind}, ${batch.source.partition}, ${PgTypes.float8(batch.position)}::bigint)
        ON CONFLICT (log, kind, partition) DO UPDATE SET next_offset = greatest(p.next_offset, excluded.next_offset)`
      return refused
    }),
  )

/** Writes the records from `begin` up to `end`. Returns those that the database refuses. */
const insert = (
  sql: PgClient.PgClient,
  log: number,
  batch: ArchiveBatch,
  begin: number,
  end: number,
): Effect.Effect<ReadonlyArray<ArchiveRefusal>, SqlError> => {
  if (begin === end) return Effect.succeed([])
  // A nested transaction: a statement that fails must not roll back the whole batch.
  return sql.withTransaction(insertAll(sql, log, batch, begin, end)).pipe(
    Effect.as<ReadonlyArray<ArchiveRefusal>>([]),
    Effect.catchIf(isAboutData, (error) => {
      if (end - begin === 1) return Effect.succeed([{ index: begin, reason: reasonOf(error) }])
      const middle = (begin + end) >> 1
      return Effect.zipWith(
        insert(sql, log, batch, begin, middle),
        insert(sql, log, batch, middle, end),
        (left, right) => [...left, ...right],
      )
    }),
  )
}

const insertAll = (
  sql: PgClient.PgClient,
  log: number,
  { records, source: { kind, partition } }: ArchiveBatch,
  begin: number,
  end: number,
) => {
  const some = records.slice(begin, end)
  const { key, name, place } = tables[kind]
  return sql`
    INSERT INTO ${sql(name)} (log, ${sql(key)}, ${sql(place)}, partition, timestamp, value)
    SELECT ${log}, key, place::bigint, ${partition}, timestamp::bigint, value::json
    FROM unnest(
      ${array(
        some.map(({ key }) => key),
        PgTypes.OID.text,
      )},
      ${array(
        some.map(({ place }) => place),
        PgTypes.OID.float8,
      )},
      ${array(
        some.map(({ timestamp }) => timestamp),
        PgTypes.OID.float8,
      )},
      ${array(
        some.map(({ value }) => value),
        PgTypes.OID.text,
      )}
    ) AS given (key, place, timestamp, value)
    ON CONFLICT DO NOTHING`
}

const array = (values: ReadonlyArray<string | number>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))

interface Row {
  readonly place: number
  readonly timestamp: number
  readonly value: string
}

interface PageRow extends Row {
  /** The number of rows to read: those requested, and one more. */
  readonly found: number
}

/** The first row is returned whatever its size. */
const readPage = (sql: PgClient.PgClient, log: number, { after, key, kind, limit }: ArchiveQuestion) => {
  const table = tables[kind]
  return sql<PageRow>`
    SELECT place, timestamp, value, found FROM (
      SELECT *, sum(octet_length(value)) OVER (ORDER BY place) AS total, row_number() OVER (ORDER BY place) AS number,
        count(*) OVER ()::int AS found
      FROM (
        SELECT ${sql(table.place)}::float8 AS place, timestamp::float8, value::text FROM ${sql(table.name)}
        WHERE log = ${log} AND ${sql(table.key)} = ${key} AND ${sql(table.place)} > ${PgTypes.float8(after)}::bigint
        ORDER BY ${sql(table.place)} LIMIT ${limit.results + 1}
      ) most
    ) sized WHERE number = 1 OR (number <= ${limit.results} AND total <= ${limit.bytes})
    ORDER BY place`.pipe(
    Effect.map((rows) => ({
      records: rows.map(({ place, timestamp, value }): Row => ({ place, timestamp, value })),
      more: rows.length < (rows[0]?.found ?? 0),
    })),
  )
}

/**
 * A value that is out of range or not JSON (class 22), or exceeds a limit of the server, such as its nesting (class
 * 54).
 */
const isAboutData = ({ reason }: SqlError): boolean => /^(22|54)/.test(codeOf(reason.cause))

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""

const reasonOf = ({ reason }: SqlError): string =>
  `PostgreSQL refuses it: ${reason.cause instanceof Error ? reason.cause.message : reason.message}`
