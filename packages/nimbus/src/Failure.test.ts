import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import { Handlers } from "@nimbus/domain/services"
import { Cause, Config, ConfigProvider, Effect, Exit, Layer, Schema } from "effect"
import { TestConsole } from "effect/testing"
import * as Nimbus from "./Nimbus.ts"
import { Failure } from "@nimbus/adapters/process"
import { freePort, temporaryDirectory } from "./testing/Processes.ts"

const server = Nimbus.layerOn(
  Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer).pipe(Layer.provide(LmdbStore.layer)),
).pipe(Layer.provide(Handlers.layer(Handlers.samples)))

/** Starts the server with these settings and stops it again; the line if it fails. */
const attempt = (settings: Readonly<Record<string, string>>) =>
  Effect.gen(function* () {
    const defaults = {
      NIMBUS_DATA: yield* temporaryDirectory,
      NIMBUS_HTTP_PORT: `${yield* freePort}`,
      NIMBUS_PORT: "0",
    }
    const provider = ConfigProvider.fromEnv({ env: { ...defaults, ...settings } })
    const ended = yield* Effect.exit(
      Layer.build(Layer.fresh(server)).pipe(Effect.provide(ConfigProvider.layer(provider)), Effect.scoped),
    )
    return Exit.isSuccess(ended) ? "started" : Failure.lineOf(ended.cause)
  })

describe("Failure", () => {
  it.live.each([
    { settings: {}, line: /^started$/ },
    { settings: { NIMBUS_HTTP_PORT: "70000" }, line: /^NIMBUS_HTTP_PORT: expected a value between 1 and 65535$/ },
    { settings: { NIMBUS_PORT: "70000" }, line: /^NIMBUS_PORT: expected a value between 0 and 65535$/ },
    { settings: { NIMBUS_PARTITIONS: "1.5" }, line: /^NIMBUS_PARTITIONS: expected an integer$/ },
    { settings: { NIMBUS_WINDOW_RESULTS: "0" }, line: /^NIMBUS_WINDOW_RESULTS: expected a value greater .* 1$/ },
    { settings: { NIMBUS_FRAME_BYTES: "-1" }, line: /^NIMBUS_FRAME_BYTES: expected .* 1 and 16777216$/ },
    { settings: { NIMBUS_FRAME_BYTES: "99999999999" }, line: /^NIMBUS_FRAME_BYTES: expected .* 1 and 16777216$/ },
    {
      settings: { NIMBUS_CHAT_MESSAGE_BYTES: "4194305" },
      line: /^NIMBUS_CHAT_MESSAGE_BYTES: expected .* and 4194304$/,
    },
    { settings: { NIMBUS_EVENTS_PER_SECOND: "many" }, line: /^NIMBUS_EVENTS_PER_SECOND: expected a number$/ },
    { settings: { NIMBUS_IDLE_TIMEOUT: "soon" }, line: /^NIMBUS_IDLE_TIMEOUT: expected a valid Duration string$/ },
    { settings: { NIMBUS_IDLE_TIMEOUT: "1 milli" }, line: /^NIMBUS_IDLE_TIMEOUT: expected .* 1 second and 24 days$/ },
    {
      settings: { NIMBUS_HOST: "192.0.2.1", NIMBUS_INSECURE: "true" },
      line: /^NIMBUS_HOST: .*192\.0\.2\.1.*; set an address of this machine$/,
    },
    {
      settings: { NIMBUS_HOST: "0.0.0.0" },
      line: /^NIMBUS_HOST=0\.0\.0\.0 would open .* set NIMBUS_AUTH_ISSUER .* NIMBUS_INSECURE=true .*\(NO_LOCKS, see .*\)$/,
    },
    { settings: { NIMBUS_HOST: "0.0.0.0", NIMBUS_INSECURE: "true" }, line: /^started$/ },
    {
      settings: { NIMBUS_DATA: "/dev/null/data" },
      line: /^the data directory \(NIMBUS_DATA\) does not work, .*\/dev\/null.* \(STORAGE_UNAVAILABLE, see .*\)$/,
    },
  ])("of a start with $settings is the line $line", ({ line, settings }) =>
    Effect.gen(function* () {
      assert.match(yield* attempt(settings), line)
    }),
  )

  it.live("of data with another partition count says which one it has", () =>
    Effect.gen(function* () {
      const NIMBUS_DATA = yield* temporaryDirectory
      assert.strictEqual(yield* attempt({ NIMBUS_DATA, NIMBUS_PARTITIONS: "2" }), "started")
      const line = yield* attempt({ NIMBUS_DATA, NIMBUS_PARTITIONS: "3" })
      assert.match(line, /^the data has 2 partitions, not 3; set NIMBUS_PARTITIONS=2, .* \(STORE_MISMATCH, see .*\)$/)
    }),
  )

  it.live("of data that is none of ours says so, and what to do", () =>
    Effect.gen(function* () {
      const NIMBUS_DATA = yield* temporaryDirectory
      writeFileSync(join(NIMBUS_DATA, "data.mdb"), "x".repeat(8192))
      const line = yield* attempt({ NIMBUS_DATA })
      assert.match(line, /not an LMDB file; restore it, or set NIMBUS_DATA to an empty one \(DATA_DIRECTORY_CORRUPT/)
    }),
  )

  it.effect.each([
    { value: "abc", name: "NIMBUS_X", shown: "NIMBUS_X=abc" },
    { value: "", name: "NIMBUS_X", shown: "NIMBUS_X" },
    { value: "x".repeat(100), name: "NIMBUS_X", shown: `NIMBUS_X=${"x".repeat(60)}…` },
    { value: "a\nb", name: "NIMBUS_X", shown: "NIMBUS_X=a b" },
    { value: "abc", name: "NIMBUS_X_TOKEN", shown: "NIMBUS_X_TOKEN" },
    { value: "abc", name: "NIMBUS_X_TOKENS", shown: "NIMBUS_X_TOKENS" },
    { value: "abc", name: "NIMBUS_X_KEY", shown: "NIMBUS_X_KEY" },
    { value: "abc", name: "NIMBUS_X_SECRET", shown: "NIMBUS_X_SECRET" },
    { value: "abc", name: "NIMBUS_X_PASSWORD", shown: "NIMBUS_X_PASSWORD" },
    { value: "abc", name: "NIMBUS_X_URL", shown: "NIMBUS_X_URL" },
    { value: "redis://me:secret@here", name: "NIMBUS_X", shown: "NIMBUS_X" },
    { value: undefined, name: "NIMBUS_X", shown: "NIMBUS_X" },
  ])("of the setting $name with the value $value begins with $shown", ({ name, shown, value }) =>
    Effect.gen(function* () {
      const provider = ConfigProvider.fromEnv({ env: value === undefined ? {} : { [name]: value } })
      const read = Config.schema(Schema.Literal("on"), name)
      yield* Effect.exit(Failure.report(read).pipe(Effect.provide(ConfigProvider.layer(provider))))
      assert.match((yield* TestConsole.errorLines).join("\n"), new RegExp(`^nimbus: ${shown}: expected .*$`))
    }).pipe(Effect.provide(TestConsole.layer)),
  )

  it("of what nobody expected shows all there is", () => {
    const line = Failure.lineOf(Cause.die(new Error("a bug")))
    assert.match(line, /^a fault of Nimbus, please report it\n.*a bug/)
    assert.include(line, "Failure.test.ts")
  })
})
