import { describe } from "@effect/vitest"
import type { MailboxLimits } from "@nimbus/domain"
import { mailboxSuite } from "@nimbus/domain/testing"
import { Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"
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
  mailboxSuite(
    "in PostgreSQL",
    (limits: MailboxLimits) => PostgresMailbox.layerWith({ limits }).pipe(Layer.provide(database)),
    { runs: 50 },
  )
})
