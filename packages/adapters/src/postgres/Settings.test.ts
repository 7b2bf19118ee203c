import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import { config, where } from "./Settings.ts"

const read = (env: Record<string, string>) => config.parse(ConfigProvider.fromEnv({ env }))
const urlOf = (env: Record<string, string>) => Effect.map(read(env), ({ url }) => Redacted.value(url))

describe("the settings of PostgreSQL", () => {
  it.effect("are a database on this machine by default", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* urlOf({}), "postgres://127.0.0.1:5432/nimbus")
      assert.strictEqual((yield* read({})).schema, "nimbus")
    }),
  )

  it.effect("take POSTGRES_URL where there is no NIMBUS_POSTGRES_URL", () =>
    Effect.gen(function* () {
      const POSTGRES_URL = "postgres://old/db"
      const NIMBUS_POSTGRES_URL = "postgresql://new/db"
      assert.strictEqual(yield* urlOf({ POSTGRES_URL }), POSTGRES_URL)
      assert.strictEqual(yield* urlOf({ POSTGRES_URL, NIMBUS_POSTGRES_URL }), NIMBUS_POSTGRES_URL)
    }),
  )

  it.effect("refuse what is no URL or name, and name the setting", () =>
    Effect.gen(function* () {
      for (const [name, value] of [
        ["NIMBUS_POSTGRES_URL", "127.0.0.1:5432"],
        ["NIMBUS_POSTGRES_URL", "mysql://h/db"],
        ["POSTGRES_URL", "postgres:///db"],
        ["NIMBUS_POSTGRES_URL", "postgres://me:p%ss@h/db"],
        ["NIMBUS_POSTGRES_SCHEMA", 'a"b'],
        ["NIMBUS_POSTGRES_SCHEMA", "a".repeat(64)],
      ] as const) {
        assert.include((yield* Effect.flip(read({ [name]: value }))).message, name, value)
      }
    }),
  )

  it.effect("take the modes of TLS that are what they say, and refuse what would end in clear text", () =>
    Effect.gen(function* () {
      for (const mode of ["require", "verify-ca", "verify-full", "disable"]) {
        const NIMBUS_POSTGRES_URL = `postgres://h/db?application_name=a&sslmode=${mode}`
        assert.strictEqual(yield* urlOf({ NIMBUS_POSTGRES_URL }), NIMBUS_POSTGRES_URL)
      }
      for (const asked of ["sslmode=prefer", "sslmode=allow", "sslmode=required", "ssl=true", "sslMode=require"]) {
        const NIMBUS_POSTGRES_URL = `postgres://me:secret@h/db?${asked}`
        const { message } = yield* Effect.flip(read({ NIMBUS_POSTGRES_URL }))
        assert.include(message, "NIMBUS_POSTGRES_URL", asked)
        assert.include(message, "sslmode", asked)
      }
    }),
  )

  it.effect("say where, and no secrets", () =>
    Effect.gen(function* () {
      const settings = yield* read({
        NIMBUS_POSTGRES_URL: "postgres://me:secret@db.example:5433/nimbus?sslmode=require",
      })
      assert.strictEqual(where(settings), "db.example:5433/nimbus")
    }),
  )
})
