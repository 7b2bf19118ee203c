import { describe } from "@effect/vitest"
import type { MailboxLimits } from "@nimbus/domain/limits"
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
})
