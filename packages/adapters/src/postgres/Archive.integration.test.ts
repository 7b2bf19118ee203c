import { assert, describe, it } from "@effect/vitest"
import { Cursor, Incarnation } from "@nimbus/domain/protocol"
import { Archive } from "@nimbus/domain/services"
import { archiveSuite } from "@nimbus/domain/testing"
import { Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"
import * as PostgresArchive from "./Archive.ts"
import { PostgresDatabase } from "./Database.ts"

const { postgres } = inject("services")
const database = (schema: string) => PostgresDatabase.layerWith({ url: Redacted.make(postgres?.url ?? ""), schema })

describe.skipIf(postgres === undefined)("PostgresArchive", () => {
  archiveSuite("in PostgreSQL", PostgresArchive.layer.pipe(Layer.provide(database("archive"))))

  it.live("makes its tables once, whoever comes first, and finds them the next time", () =>
    Effect.gen(function* () {
      const process = Archive.pipe(
        Effect.provide(Layer.fresh(PostgresArchive.layer).pipe(Layer.provide(Layer.fresh(database("archive_raced"))))),
      )
      yield* Effect.all([process, process, process, process], { concurrency: "unbounded" })
      yield* process
    }),
  )

  it.live("refuses the records that PostgreSQL can't hold, each with a reason, and takes all others of the batch", () =>
    Effect.gen(function* () {
      const archive = yield* Archive
      const source = { incarnation: Incarnation.make("log-1"), kind: "results", partition: 0 } as const
      const nested = "[".repeat(100_000) + "]".repeat(100_000)
      const records = Array.from({ length: 100 }, (_, place) => ({
        key: "c",
        place,
        timestamp: 1,
        value: place === 13 ? nested : place === 77 ? "{" : `${place}`,
      }))
      const refused = yield* archive.write({ source, records, position: 100 })
      assert.deepStrictEqual(
        refused.map(({ index }) => index),
        [13, 77],
      )
      assert.match(refused[0]?.reason ?? "", /stack depth limit exceeded/)
      assert.match(refused[1]?.reason ?? "", /invalid input syntax for type json/)
      const limit = { results: 1_000, bytes: 1_000_000 }
      const page = yield* archive.page({ ...source, key: "c", after: Cursor.make(-1), limit })
      assert.strictEqual(page.records.length, 98)
      assert.strictEqual(yield* archive.position(source), 100)
    }).pipe(Effect.provide(PostgresArchive.layer.pipe(Layer.provide(database("archive_refusals"))))),
  )
})
