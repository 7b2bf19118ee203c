import { assert, describe, it } from "@effect/vitest"
import type { MailboxLimits } from "@nimbus/domain/limits"
import { ClientId, Incarnation, Seq, start } from "@nimbus/domain/protocol"
import { Mailbox } from "@nimbus/domain/services"
import { mailboxSuite } from "@nimbus/domain/testing"
import { Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"
import { type PostgresMailboxLimits, postgresMailboxLimits } from "../Limits.ts"
import { PostgresDatabase } from "./Database.ts"
import * as PostgresMailbox from "./Mailbox.ts"

const { postgres } = inject("services")
describe.skipIf(postgres === undefined)("PostgresMailbox", () => {
  let stores = 0
  const database = Layer.unwrap(
    Effect.sync(() =>
      PostgresDatabase.layerWith({ url: Redacted.make(postgres?.url ?? ""), schema: `mailbox_${stores++}` }),
    ),
  )
  const layerOf = (storage: PostgresMailboxLimits) => (limits: MailboxLimits) =>
    PostgresMailbox.layerWith({ limits, storage }).pipe(Layer.provide(database))
  mailboxSuite("in PostgreSQL", layerOf(postgresMailboxLimits), { runs: 40 })
  mailboxSuite("in PostgreSQL, in tiny steps", layerOf({ idle_clients: 1_000, step_clients: 1, remove_records: 1 }), {
    runs: 60,
  })

  it.live("delivers what a version from before clients were forgotten has stored, and takes more", () => {
    const opened = PostgresDatabase.layerWith({ url: Redacted.make(postgres?.url ?? ""), schema: "stored_before" })
    return Effect.gen(function* () {
      yield* Effect.provide(Effect.flatMap(PostgresDatabase, storeBefore), Layer.fresh(opened))
      yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        yield* mailbox.claim({ incarnation: Incarnation.make("log-1"), partitions: 1, ends: [100] })
        assert.strictEqual(yield* mailbox.offset(0), 9)
        const page = yield* mailbox.page(clientId, start, { results: 100, bytes: 10_000 })
        assert.deepStrictEqual(
          page.records.map(({ headers, seq, value }) => [Number(seq), Buffer.from(value).toString(), headers]),
          [
            [5, "five", { traceparent: "ü" }],
            [7, "seven", undefined],
          ],
        )
        assert.deepInclude(page, { short: true, acked: Seq.make(3), floor: start, hole: Seq.make(2) })

        const records = [3, 5, 6].map((seq) => ({
          clientId,
          seq: Seq.make(seq),
          value: Buffer.from("new"),
          timestamp: 1,
        }))
        assert.strictEqual((yield* mailbox.put(0, { expected: 9, next: 10, records }))._tag, "Stored")
        const after = yield* mailbox.page(clientId, start, { results: 100, bytes: 10_000 })
        assert.deepStrictEqual(
          after.records.map(({ value }) => Buffer.from(value).toString()),
          ["five", "new", "seven"],
        )
      }).pipe(Effect.provide(PostgresMailbox.layer), Effect.provide(Layer.fresh(opened)))
    })
  })
})

const clientId = ClientId.make("c1")

/** The first tables that there were, in place of today's. */
const storeBefore = Effect.fnUntraced(function* (sql: PostgresDatabase["Service"]) {
  yield* sql`DROP TABLE mailbox_partitions, mailbox_clients, mailbox_records`
  yield* sql`
    CREATE TABLE mailbox_partitions (
      partition int PRIMARY KEY, incarnation text NOT NULL, partitions int NOT NULL, next_offset bigint,
      hole bigint NOT NULL DEFAULT -1, highest bigint NOT NULL DEFAULT -1
    )`
  yield* sql`
    CREATE TABLE mailbox_clients (
      client_id text COLLATE "C" PRIMARY KEY, acked bigint NOT NULL DEFAULT -1, floor bigint NOT NULL DEFAULT -1,
      last bigint NOT NULL DEFAULT -1, results bigint NOT NULL DEFAULT 0, bytes bigint NOT NULL DEFAULT 0
    )`
  yield* sql`
    CREATE TABLE mailbox_records (
      client_id text COLLATE "C", seq bigint, timestamp bigint NOT NULL, value bytea NOT NULL, headers text,
      PRIMARY KEY (client_id, seq)
    )`
  yield* sql`INSERT INTO mailbox_partitions VALUES (0, 'log-1', 1, 9, 2, 7)`
  yield* sql`INSERT INTO mailbox_clients VALUES ('c1', 3, -1, 7, 2, 9)`
  yield* sql`
    INSERT INTO mailbox_records VALUES
      ('c1', 5, 1005, 'five', '{"traceparent":"ü"}'), ('c1', 7, 1007, 'seven', NULL)`
})
