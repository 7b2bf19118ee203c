/**
 * The mailboxes in PostgreSQL, for backlogs too large for memory.
 *
 * | table | one row a | columns |
 * | --- | --- | --- |
 * | mailbox_partitions | partition | the log it is bound to, the next offset, hole, the highest seq put or acknowledged, and forgotten: the highest floor of a client that was forgotten before it had acknowledged the floor |
 * | mailbox_clients | client | acked, floor, last: the highest seq ever put; results and bytes: the number and size of its records; used_ms: the time of its last change; unknown: the value of forgotten when the row was created |
 * | mailbox_records | record | seq, timestamp, value, headers as JSON; all of them above acked and floor |
 *
 * 1. Each change of mailboxes is one transaction, which first locks the rows of its partitions, in their order. Changes
 *    of one partition therefore run one after another, without deadlocks.
 * 2. The row of a partition is created if it is missing. The first put or ack binds an emptied store again.
 * 3. A page is one statement, and therefore one snapshot.
 * 4. Idle clients are searched in the order of their ids, some at a time. An index would have to change with every ack.
 */
import type { PgClient } from "@effect/sql-pg"
import { PgTypes } from "@effect/sql-pg"
import type { StoreMismatch } from "@nimbus/domain/errors"
import { type MailboxLimits, mailboxLimits } from "@nimbus/domain/limits"
import { ClientId, type Cursor, type Item, partitionOf, seqUnsafe, start } from "@nimbus/domain/protocol"
import {
  Mailbox,
  type MailboxRecord,
  MailboxRules,
  MailboxStorage,
  type PageLimit,
  type Put,
  type PutOutcome,
} from "@nimbus/domain/services"
import { Clock, Effect, Layer, Result } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { type PostgresMailboxLimits, postgresMailboxLimits, seen_share } from "../Limits.ts"
import * as RecordHeaders from "../RecordHeaders.ts"
import { PostgresDatabase } from "./Database.ts"

type Address = MailboxStorage.Address
type Log = Pick<MailboxStorage.BoundLog, "incarnation" | "partitions">
const { later, toCursor } = MailboxRules

/** The bounds of the mailboxes that differ from the defaults. */
export interface MailboxOptions {
  readonly limits?: MailboxLimits
  readonly storage?: PostgresMailboxLimits
}

/** The mailboxes in PostgreSQL, within these bounds. */
export const layerWith = (options: MailboxOptions): Layer.Layer<Mailbox, never, PostgresDatabase> =>
  Layer.effect(Mailbox, make(options))

/** The mailboxes in PostgreSQL, within the default bounds. */
export const layer = Layer.suspend(() => layerWith({}))

const make = Effect.fnUntraced(function* ({ limits = mailboxLimits, storage = postgresMailboxLimits }: MailboxOptions) {
  const sql = yield* PostgresDatabase
  const forgetSome = makeForget(sql, storage)
  const driver: MailboxStorage.MailboxDriver<SqlError> = {
    // A mismatch rolls back the rows that were created.
    claim: (log) => sql.withTransaction(claim(sql, log)),
    offset: (partition) =>
      sql<{ next: number | null }>`
        SELECT next_offset::float8 AS next FROM mailbox_partitions WHERE partition = ${partition}`.pipe(
        Effect.map(([row]) => row?.next ?? undefined),
      ),
    put: (partition, put, log) => sql.withTransaction(writePut(sql, log, { ...limits, ...storage }, partition, put)),
    page: (at, after, limit) => readPage(sql, at, after, limit),
    ack: (acks, log) => {
      const all = MailboxRules.highestAcks(acks)
      return Effect.forEach(
        Array.from({ length: Math.ceil(all.length / storage.step_clients) }, (_, i) =>
          all.slice(i * storage.step_clients, (i + 1) * storage.step_clients),
        ),
        (some) => sql.withTransaction(writeAcks(sql, log, some)),
        { discard: true },
      )
    },
    states: (asked, areHere, { keep_ms }) =>
      Effect.tap(readStates(sql, asked), () => (areHere ? writeSeen(sql, asked, keep_ms * seen_share) : Effect.void)),
    expire: ({ age_ms, idle_ms }, log) =>
      Effect.all({ removed: writeExpiry(sql, log, storage, age_ms), forgotten: forgetSome(log, idle_ms) }),
    stats: ({ clientId }) =>
      sql<Row>`
        SELECT acked::float8, floor::float8, results::float8, bytes::float8
        FROM mailbox_clients WHERE client_id = ${clientId}`.pipe(
        Effect.map(([row]) => ({
          results: row?.results ?? 0,
          bytes: row?.bytes ?? 0,
          acked: toCursor(row?.acked),
          floor: toCursor(row?.floor),
        })),
      ),
  }
  return MailboxStorage.make(driver, limits)
})

interface Row {
  readonly acked: number
  readonly floor: number
  readonly results: number
  readonly bytes: number
}

const upTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

const texts = (values: ReadonlyArray<string | null>) => array(values, PgTypes.OID.text)
const numbers = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.float8)
const binaries = (values: ReadonlyArray<Uint8Array>) => array(values, PgTypes.OID.bytea)
const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))

interface Partition {
  readonly partition: number
  readonly incarnation: string
  readonly partitions: number
  readonly next: number | null
  readonly highest: number
  readonly forgotten: number
}

/** Locks the rows of these partitions until the transaction ends, and creates missing ones. */
const take = (sql: PgClient.PgClient, { incarnation, partitions }: Log, taken: ReadonlyArray<number>) => sql<Partition>`
  INSERT INTO mailbox_partitions AS p (partition, incarnation, partitions)
  SELECT partition, ${incarnation}, ${partitions} FROM unnest(${numbers(taken)}) AS partition ORDER BY partition
  ON CONFLICT (partition) DO UPDATE SET partition = p.partition
  RETURNING partition, incarnation, partitions, next_offset::float8 AS next, highest::float8,
    forgotten::float8`

const claim = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  log: MailboxRules.ClaimingLog,
): Effect.fn.Return<void, SqlError | StoreMismatch> {
  for (const row of yield* take(sql, log, upTo(log.partitions))) {
    const mismatch = MailboxRules.mismatchOf(log, { ...row, highest: toCursor(row.highest) })
    if (mismatch !== undefined) return yield* mismatch
  }
})

const writePut = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  log: Log,
  limits: MailboxLimits & PostgresMailboxLimits,
  partition: number,
  { expected, hole, next, records }: Put,
) {
  const [row] = yield* take(sql, log, [partition])
  const stored = row?.next ?? undefined
  if (stored !== expected) return { _tag: "Differs", stored } satisfies PutOutcome
  const full = yield* insert(sql, [...MailboxRules.byClient(records).values()].flat(), limits, row?.forgotten ?? start)
  yield* removeOldest(sql, limits, full, MailboxRules.isOverLimits(limits))
  yield* sql`
    UPDATE mailbox_partitions
    SET next_offset = ${next}, hole = greatest(hole, ${hole ?? start}), highest = greatest(highest, ${MailboxRules.highestOf(records)})
    WHERE partition = ${partition}`
  return { _tag: "Stored" } satisfies PutOutcome
})

/** The contents of a mailbox: the number and size of its records. */
interface Size {
  readonly client_id: string
  readonly results: number
  readonly bytes: number
}

/** Puts the records that are above acked and floor and not there yet. Returns the mailboxes that now exceed a limit. */
const insert = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  records: ReadonlyArray<MailboxRecord>,
  limits: MailboxLimits,
  forgotten: number,
) {
  if (records.length === 0) return []
  const now_ms = yield* Clock.currentTimeMillis
  return yield* sql<Size>`
        WITH given AS (
          SELECT client_id, seq::bigint, timestamp::bigint, value, headers
          FROM unnest(
            ${texts(records.map(({ clientId }) => clientId))},
            ${numbers(records.map(({ seq }) => seq))},
            ${numbers(records.map(({ timestamp }) => timestamp))},
            ${binaries(records.map(({ value }) => value))},
            ${texts(records.map(({ headers }) => (headers === undefined ? null : RecordHeaders.encode(headers))))}
          ) AS g (client_id, seq, timestamp, value, headers)
        ), inserted AS (
          INSERT INTO mailbox_records (client_id, seq, timestamp, value, headers)
          SELECT g.* FROM given g LEFT JOIN mailbox_clients c USING (client_id)
          WHERE c.client_id IS NULL OR g.seq > greatest(c.acked, c.floor)
          ON CONFLICT DO NOTHING
          RETURNING client_id, seq, octet_length(value) AS bytes
        ), counted AS (
          INSERT INTO mailbox_clients AS c (client_id, last, results, bytes, unknown, used_ms)
          SELECT client_id, max(seq), count(*), sum(bytes), least(${forgotten}::bigint, min(seq) - 1), ${now_ms}::bigint
          FROM inserted GROUP BY client_id
          ON CONFLICT (client_id) DO UPDATE SET
            used_ms = excluded.used_ms,
            last = greatest(c.last, excluded.last),
            results = c.results + excluded.results,
            bytes = c.bytes + excluded.bytes
          RETURNING client_id, results, bytes
        )
        SELECT client_id, results::float8, bytes::float8 FROM counted
        WHERE results > ${PgTypes.float8(limits.mailbox_results)} OR bytes > ${PgTypes.float8(limits.mailbox_bytes)}`
})

interface OldRecord {
  readonly client_id: string
  readonly seq: Cursor
  readonly timestamp: number
  readonly bytes: number
}

/**
 * Removes records from the beginning of these mailboxes while the rest exceeds the limits, and raises their floor.
 * Returns how many it removed. It reads some records of each at a time, and removes them before it reads more.
 */
const removeOldest = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  { remove_records }: PostgresMailboxLimits,
  mailboxes: ReadonlyArray<Size>,
  tooMuch: MailboxRules.TooMuch,
) {
  let removed = 0
  let open = mailboxes
  while (open.length > 0) {
    const oldest = yield* sql<OldRecord>`
      SELECT c.client_id, r.* FROM unnest(${texts(open.map(({ client_id }) => client_id))}) AS c (client_id)
      CROSS JOIN LATERAL (
        SELECT seq::float8, timestamp::float8, octet_length(value) AS bytes FROM mailbox_records
        WHERE client_id = c.client_id ORDER BY mailbox_records.seq LIMIT ${remove_records}
      ) r`
    const cuts = cut(open, oldest, tooMuch)
    removed += cuts.reduce((sum, { results }) => sum + results, 0)
    yield* writeCuts(sql, cuts)
    open = cuts.flatMap(({ isOpen, rest }) => (isOpen ? [rest] : []))
  }
  return removed
})

/**
 * What is removed from a mailbox. Open: all records that were read are removed, and maybe more; `rest` is what it has
 * then.
 */
interface Cut extends Size, MailboxRules.Cut {
  readonly isOpen: boolean
  readonly rest: Size
}

const cut = (
  mailboxes: ReadonlyArray<Size>,
  oldest: ReadonlyArray<OldRecord>,
  tooMuch: MailboxRules.TooMuch,
): ReadonlyArray<Cut> => {
  const byClient = Map.groupBy(oldest, ({ client_id }) => client_id)
  return mailboxes.flatMap((mailbox) => {
    const { client_id } = mailbox
    const records = byClient.get(client_id) ?? []
    const gone = MailboxRules.cutOldest(mailbox, records, tooMuch)
    if (gone.results === 0) return []
    const rest = { client_id, results: mailbox.results - gone.results, bytes: mailbox.bytes - gone.bytes }
    return [{ ...gone, client_id, isOpen: gone.results === records.length && rest.results > 0, rest }]
  })
}

const writeCuts = (sql: PgClient.PgClient, cuts: ReadonlyArray<Cut>) =>
  cuts.length === 0
    ? Effect.void
    : Effect.flatMap(
        Clock.currentTimeMillis,
        (now_ms) => sql`
        WITH cuts AS (
          SELECT * FROM unnest(
            ${texts(cuts.map(({ client_id }) => client_id))},
            ${numbers(cuts.map(({ floor }) => floor))},
            ${numbers(cuts.map(({ results }) => results))},
            ${numbers(cuts.map(({ bytes }) => bytes))}
          ) AS g (client_id, floor, results, bytes)
        ), gone AS (
          DELETE FROM mailbox_records r USING cuts g WHERE r.client_id = g.client_id AND r.seq <= g.floor::bigint
        )
        UPDATE mailbox_clients c
        SET floor = g.floor::bigint, results = c.results - g.results::bigint, bytes = c.bytes - g.bytes::bigint,
          used_ms = ${now_ms}::bigint
        FROM cuts g WHERE c.client_id = g.client_id`,
      )

const writeAcks = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  log: Log,
  acks: ReadonlyArray<MailboxStorage.MailboxAck>,
) {
  const highest = new Map<number, Cursor>()
  for (const { partition, seq } of acks) highest.set(partition, later(seq, highest.get(partition) ?? start))
  const given = [texts(acks.map(({ clientId }) => clientId)), numbers(acks.map(({ seq }) => seq))] as const
  const taken = yield* take(sql, log, [...highest.keys()])
  const forgottenOf = new Map(taken.map(({ forgotten, partition }) => [partition, forgotten]))
  const unknowns = acks.map(({ partition }) => forgottenOf.get(partition) ?? start)
  const now_ms = yield* Clock.currentTimeMillis
  yield* sql`
    WITH given AS (
      SELECT client_id, seq::bigint, unknown::bigint
      FROM unnest(${given[0]}, ${given[1]}, ${numbers(unknowns)}) AS g (client_id, seq, unknown)
    ),
    gone AS (
      DELETE FROM mailbox_records r USING given g WHERE r.client_id = g.client_id AND r.seq <= g.seq
      RETURNING r.client_id, octet_length(r.value) AS bytes
    ), sums AS (
      SELECT g.client_id, max(g.seq) AS seq, count(gone.client_id) AS results, coalesce(sum(gone.bytes), 0) AS bytes
      FROM given g LEFT JOIN gone USING (client_id) GROUP BY g.client_id
    ), known AS (
      UPDATE mailbox_clients c SET
        acked = greatest(c.acked, s.seq), results = c.results - s.results, bytes = c.bytes - s.bytes,
        used_ms = ${now_ms}::bigint
      FROM sums s WHERE c.client_id = s.client_id
      RETURNING c.client_id
    )
    INSERT INTO mailbox_clients (client_id, acked, unknown, used_ms)
    SELECT client_id, seq, unknown, ${now_ms}::bigint FROM given WHERE client_id NOT IN (SELECT client_id FROM known)`
  yield* sql`
    UPDATE mailbox_partitions p SET highest = greatest(p.highest, g.seq::bigint)
    FROM unnest(${numbers([...highest.keys()])}, ${numbers([...highest.values()])}) AS g (partition, seq)
    WHERE p.partition = g.partition`
})

/** Checks every mailbox that has an old record, in the order of ids. Each step is a transaction. */
const writeExpiry = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  log: Log,
  storage: PostgresMailboxLimits,
  before_ms: number,
) {
  let removed = 0
  let after = ""
  for (;;) {
    const due = yield* sql<{ client_id: string }>`
      SELECT DISTINCT client_id FROM mailbox_records
      WHERE timestamp < ${PgTypes.float8(before_ms)}::float8 AND client_id > ${after}
      ORDER BY client_id LIMIT ${storage.step_clients}`
    const last = due.at(-1)
    if (last === undefined) return removed
    const ids = due.map(({ client_id }) => ClientId.make(client_id))
    const partitions = new Set(ids.map((clientId) => partitionOf(clientId, log.partitions)))
    removed += yield* take(sql, log, [...partitions]).pipe(
      Effect.andThen(sql<Size>`
        SELECT client_id, results::float8, bytes::float8 FROM mailbox_clients WHERE client_id = ANY(${texts(ids)})`),
      Effect.flatMap((mailboxes) => removeOldest(sql, storage, mailboxes, MailboxRules.isOlderThan(before_ms))),
      sql.withTransaction,
    )
    after = last.client_id
  }
})

/**
 * Looks at the next clients in the order of ids, and forgets those that have nothing and to which nothing has happened
 * since `before_ms`. The next call goes on where this one ended.
 */
const makeForget = (sql: PgClient.PgClient, { idle_clients, step_clients }: PostgresMailboxLimits) => {
  let after = ""
  const step = Effect.fnUntraced(function* (log: Log, before_ms: number) {
    const some = yield* sql<{ client_id: string; idle: boolean }>`
      SELECT client_id, results = 0 AND used_ms <= ${before_ms}::bigint AS idle FROM mailbox_clients
      WHERE client_id > ${after} ORDER BY client_id LIMIT ${step_clients}`
    const ids = some.flatMap(({ client_id, idle }) => (idle ? [ClientId.make(client_id)] : []))
    const forgotten = ids.length === 0 ? 0 : yield* sql.withTransaction(forget(sql, log, ids, before_ms))
    after = some.length < step_clients ? "" : (some.at(-1)?.client_id ?? "")
    return forgotten
  })
  return Effect.fnUntraced(function* (log: Log, before_ms: number) {
    let forgotten = 0
    if (!Number.isFinite(before_ms)) return forgotten
    for (let seen = 0; seen < idle_clients; seen += step_clients) {
      forgotten += yield* step(log, Math.floor(before_ms))
      if (after === "") break
    }
    return forgotten
  })
}

/** Returns how many. */
const forget = Effect.fnUntraced(function* (
  sql: PgClient.PgClient,
  log: Log,
  ids: ReadonlyArray<ClientId>,
  before_ms: number,
) {
  const partitions = ids.map((clientId) => partitionOf(clientId, log.partitions))
  yield* take(sql, log, [...new Set(partitions)])
  const gone = yield* sql<{ client_id: ClientId; floor: number; acked: number }>`
    DELETE FROM mailbox_clients
    WHERE client_id = ANY(${texts(ids)}) AND results = 0 AND used_ms <= ${before_ms}::bigint
    RETURNING client_id, floor::float8, acked::float8`
  const lost = gone.filter(({ acked, floor }) => floor > acked)
  if (lost.length > 0) {
    yield* sql`
      UPDATE mailbox_partitions p SET forgotten = greatest(p.forgotten, g.floor)
      FROM (
        SELECT partition, max(floor)::bigint AS floor
        FROM unnest(
          ${numbers(lost.map(({ client_id }) => partitionOf(client_id, log.partitions)))},
          ${numbers(lost.map(({ floor }) => floor))}
        ) AS g (partition, floor) GROUP BY partition
      ) g WHERE p.partition = g.partition`
  }
  return gone.length
})

/** These clients are here: written down where it was not for `seen_ms`. */
const writeSeen = Effect.fnUntraced(function* (sql: PgClient.PgClient, asked: ReadonlyArray<Address>, seen_ms: number) {
  if (asked.length === 0 || !Number.isFinite(seen_ms)) return
  const now_ms = yield* Clock.currentTimeMillis
  yield* sql`
    UPDATE mailbox_clients SET used_ms = ${now_ms}::bigint
    WHERE client_id = ANY(${texts(asked.map(({ clientId }) => clientId))})
      AND results = 0 AND used_ms <= ${Math.floor(now_ms - seen_ms)}::bigint`
})

interface PageRow extends StateRow {
  /** None where the page is empty. */
  readonly seq: number | null
  readonly value: Uint8Array
  readonly headers: string | null
}

/** The records of a page, and beside each what is known of the mailbox; at least one row. */
const readPage = (sql: PgClient.PgClient, { clientId, partition }: Address, after: Cursor, limit: PageLimit) =>
  sql<PageRow>`
  WITH box AS (
    SELECT coalesce(max(acked), -1) AS acked, coalesce(max(floor), -1) AS floor, coalesce(max(last), -1) AS last,
      max(unknown) AS unknown
    FROM mailbox_clients WHERE client_id = ${clientId}
  ), at AS (
    SELECT max(hole) AS hole, max(forgotten) AS forgotten FROM mailbox_partitions WHERE partition = ${partition}
  )
  SELECT box.acked::float8, box.floor::float8, box.last::float8,
    at.hole::float8, coalesce(box.unknown, at.forgotten)::float8 AS unknown,
    r.seq::float8, r.value, r.headers
  FROM box CROSS JOIN at LEFT JOIN LATERAL (
    SELECT * FROM (
      SELECT *, sum(octet_length(value)) OVER (ORDER BY seq) AS total, row_number() OVER (ORDER BY seq) AS place
      FROM (
        SELECT seq, value, headers FROM mailbox_records
        WHERE client_id = ${clientId} AND seq > greatest(${after}, box.acked, box.floor)
        ORDER BY seq LIMIT ${Math.max(limit.results, 1)}
      ) most
    ) sized WHERE place = 1 OR total <= ${limit.bytes}
  ) r ON true
  ORDER BY r.seq`.pipe(
    Effect.map((rows) => {
      const [first] = rows
      const records: Array<Item> = []
      for (const { headers, seq, value } of rows) {
        if (seq === null) continue
        const item = { seq: seqUnsafe(seq), value }
        records.push(headers === null ? item : { ...item, headers: RecordHeaders.decode(headers) })
      }
      return { state: stateOf(first), records }
    }),
  )

interface StateRow {
  readonly acked: number | null
  readonly floor: number | null
  readonly last: number | null
  readonly hole: number | null
  readonly unknown: number | null
}

const stateOf = (row: Partial<StateRow> = {}): MailboxRules.MailboxState => ({
  acked: toCursor(row.acked),
  floor: toCursor(row.floor),
  last: toCursor(row.last),
  hole: toCursor(row.hole),
  unknown: toCursor(row.unknown),
})

const readStates = (sql: PgClient.PgClient, asked: ReadonlyArray<Address>) =>
  asked.length === 0
    ? Effect.succeed([])
    : sql<Omit<StateRow, "unknown">>`
        SELECT acked::float8, floor::float8, last::float8, hole::float8
        FROM unnest(
          ${texts(asked.map(({ clientId }) => clientId))},
          ${numbers(asked.map(({ partition }) => partition))}
        ) WITH ORDINALITY AS g (client_id, partition, place)
        LEFT JOIN mailbox_clients c ON c.client_id = g.client_id
        LEFT JOIN mailbox_partitions p ON p.partition = g.partition
        ORDER BY g.place`.pipe(Effect.map((rows) => rows.map((row) => stateOf(row))))
