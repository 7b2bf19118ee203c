/** PostgreSQL by TLS: reached where its certificate is trusted, and told nothing where not. */
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { ConfigProvider, Effect, Redacted } from "effect"
import { inject } from "vitest"
import { startServices } from "../../../../scripts/services/Services.ts"
import { certificate, listeningIn, trusting } from "../../../../scripts/services/Tls.ts"
import { PostgresDatabase } from "./Database.ts"
import { config } from "./Settings.ts"

const { postgres } = inject("services")

/** What we are to it stands at the beginning of all connections, in clear text if they are. */
const user = "nimbus"

/** A PostgreSQL that can be told to have TLS, and is listened in on. */
const own = Effect.gen(function* () {
  const services = yield* Effect.acquireRelease(
    Effect.promise(() => startServices(["postgres"])),
    (services) => Effect.promise(() => services.stop()),
  )
  const { address, environment } = services.get("postgres")
  const tell = PostgresDatabase.layerWith({
    url: Redacted.make(environment["NIMBUS_POSTGRES_URL"] ?? ""),
    schema: "tell",
  })
  const { heard, port } = yield* listeningIn(Number(address.split(":")[1]))
  const at = (host: string) =>
    connected(`postgres://${user}@${host}:${port}/postgres?sslmode=require`, PostgresDatabase.use(isEncrypted))
  return { at, heard, enable: Effect.provide(enable, tell, { local: true }) }
})

const connected = <A, E>(url: string, use: Effect.Effect<A, E, PostgresDatabase>) =>
  Effect.flatMap(config.parse(ConfigProvider.fromEnv({ env: { NIMBUS_POSTGRES_URL: url } })), (settings) =>
    Effect.provide(use, PostgresDatabase.layerWith(settings), { local: true }),
  )

const isEncrypted = (sql: PostgresDatabase["Service"]) =>
  Effect.map(
    sql<{ ssl: boolean }>`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`,
    (rows) => rows[0]?.ssl === true,
  )

/** From the next connection on. */
const enable = Effect.gen(function* () {
  const sql = yield* PostgresDatabase
  const files = yield* certificate
  yield* sql`ALTER SYSTEM SET ssl_cert_file = ${sql.literal(`'${files.certificate}'`)}`
  yield* sql`ALTER SYSTEM SET ssl_key_file = ${sql.literal(`'${files.key}'`)}`
  yield* sql`ALTER SYSTEM SET ssl = on`
  yield* sql`SELECT pg_reload_conf()`
  const isOn = sql<{ ssl: string }>`SHOW ssl`
  yield* eventually(
    "TLS is on",
    Effect.map(isOn, (rows) => rows[0]?.ssl === "on"),
  )
  return files
})

describe.skipIf(postgres === undefined)("PostgreSQL by TLS", () => {
  it.live("is asked, or fails at once, and in clear text it is not even told who we are", () =>
    Effect.gen(function* () {
      const { at, enable, heard } = yield* own
      const fails = Effect.fnUntraced(function* (host: string, reason: RegExp) {
        const error = yield* Effect.flip(at(host)).pipe(Effect.timeout("5 seconds"))
        assert.propertyVal(error, "code", "POSTGRES_TLS_FAILED")
        assert.match(error.message, /^no TLS with PostgreSQL at [\w.]+:\d+\/postgres: [^\n]+$/)
        assert.match(error.message, reason)
      })
      yield* fails("127.0.0.1", /does not support TLS/)
      const { certificate } = yield* enable
      yield* fails("127.0.0.1", /self-signed certificate/)
      yield* trusting(certificate)
      yield* fails("localhost", /does not match certificate/)
      assert.isTrue(yield* at("127.0.0.1"))
      assert.isAbove(heard().length, 1_000)
      assert.isFalse(heard().includes(user))
    }).pipe(Effect.scoped),
  )
})
