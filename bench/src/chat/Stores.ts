/** What PostgreSQL holds of a chat, asked behind the back of those who write there. */
import { PostgresDatabase } from "@nimbus/adapters/postgres"
import { Effect, Redacted } from "effect"
import type { Said } from "./Talker.ts"

interface Row {
  readonly room: string
  readonly offset: number
  readonly value: { readonly id: string; readonly data: Said }
}

/** All chat messages in a schema, in the order of their offsets. */
export const rowsIn = (environment: Readonly<Record<string, string>>, schema: string): Promise<ReadonlyArray<Row>> =>
  Effect.runPromise(
    PostgresDatabase.use(
      (sql) => sql<Row>`SELECT room, "offset"::float8 AS "offset", value FROM archive_messages ORDER BY "offset"`,
    ).pipe(
      Effect.provide(
        PostgresDatabase.layerWith({ url: Redacted.make(environment["NIMBUS_POSTGRES_URL"] ?? ""), schema }),
      ),
    ),
  )
