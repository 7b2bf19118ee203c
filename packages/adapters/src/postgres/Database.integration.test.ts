import { assert, describe, it } from "@effect/vitest"
import { ClientId, Incarnation, Seq, start } from "@nimbus/domain/protocol"
import { Mailbox } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Layer, Logger, Redacted } from "effect"
import { inject } from "vitest"
import { startServices } from "../../../../scripts/services/Services.ts"
import { PostgresDatabase } from "./Database.ts"
import * as PostgresMailbox from "./Mailbox.ts"

const { postgres } = inject("services")
const url = postgres?.url ?? ""

const settings = (url: string, schema = "database") => ({ url: Redacted.make(url), schema })
const connected = (url: string) =>
  Effect.asVoid(PostgresDatabase).pipe(Effect.provide(PostgresDatabase.layerWith(settings(url))))

describe.skipIf(postgres === undefined)("PostgresDatabase", () => {
  it.live("fails at once where the user or the database is not there, and says so in one line", () =>
    Effect.gen(function* () {
      const noUser = url.replace("nimbus@", "nobody@")
      const noDatabase = url.replace(/\/[^/]*$/, "/nowhere")
      for (const [url, words] of [
        [noUser, /role "nobody" does not exist/],
        [noDatabase, /database "nowhere" does not exist/],
      ] as const) {
        const error = yield* Effect.flip(connected(url)).pipe(Effect.timeout("5 seconds"))
        assert.propertyVal(error, "code", "POSTGRES_REFUSED")
        assert.match(error.message, /^PostgreSQL at 127\.0\.0\.1:\d+\/\w+ turns us away: [^\n]*$/)
        assert.match(error.message, words)
      }
    }),
  )

  it.live("fails at once where it may not make its tables", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const sql = yield* PostgresDatabase
        yield* sql`CREATE ROLE guest LOGIN`
      }).pipe(Effect.provide(PostgresDatabase.layerWith(settings(url))))
      const guest = PostgresDatabase.layerWith(settings(url.replace("nimbus@", "guest@"), "elsewhere"))
      const error = yield* Effect.flip(Effect.provide(PostgresDatabase, guest)).pipe(Effect.timeout("5 seconds"))
      assert.propertyVal(error, "code", "POSTGRES_REFUSED")
    }),
  )

  it.live("makes its tables once, whoever comes first", () =>
    Effect.gen(function* () {
      const process = Effect.provide(PostgresDatabase, Layer.fresh(PostgresDatabase.layerWith(settings(url, "raced"))))
      yield* Effect.all([process, process, process, process], { concurrency: "unbounded" })
    }),
  )

  it.live("waits for a server that is not there yet, goes on when it was away, and has what was put before", () =>
    Effect.gen(function* () {
      const services = yield* Effect.acquireRelease(
        Effect.promise(() => startServices(["postgres"])),
        (services) => Effect.promise(() => services.stop()),
      )
      const server = services.get("postgres")
      const url = services.environment["NIMBUS_POSTGRES_URL"] ?? ""
      yield* Effect.promise(() => server.stop())
      const lines: Array<string> = []
      const logs = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
      const waiting = yield* Effect.forkChild(Effect.provide(connected(url), logs))
      yield* eventually(
        "it waits",
        Effect.sync(() => lines.length > 0),
      )
      assert.match(lines[0] ?? "", /^waiting for PostgreSQL at 127\.0\.0\.1:\d+\/postgres: connect ECONNREFUSED/)
      yield* Effect.promise(() => server.start())
      yield* Fiber.join(waiting)

      yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        yield* mailbox.claim({ incarnation: Incarnation.make("log-1"), partitions: 1, ends: [9] })
        const clientId = ClientId.make("c1")
        const records = [{ clientId, seq: Seq.make(1), value: Uint8Array.of(1), timestamp: 1 }]
        yield* mailbox.put(0, { expected: undefined, next: 1, records })
        yield* Effect.promise(() => server.stop())
        const error = yield* Effect.flip(mailbox.offset(0))
        assert.propertyVal(error, "code", "MAILBOX_UNAVAILABLE")
        yield* Effect.promise(() => server.start())
        const answers = Effect.map(Effect.result(mailbox.offset(0)), ({ _tag }) => _tag === "Success")
        yield* eventually("it answers again", answers)
        const page = yield* mailbox.page(clientId, start, { results: 9, bytes: 9 })
        assert.deepStrictEqual(
          page.records.map(({ value }) => Array.from(value)),
          [[1]],
        )
      }).pipe(
        Effect.provide(PostgresMailbox.layer),
        Effect.provide(PostgresDatabase.layerWith(settings(url))),
        Effect.scoped,
      )
    }),
  )
})
