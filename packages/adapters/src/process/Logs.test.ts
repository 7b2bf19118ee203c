import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Console, Effect } from "effect"
import * as Logs from "./Logs.ts"

const speak = Effect.gen(function* () {
  yield* Effect.logDebug("small talk")
  yield* Effect.logInfo("LIVE").pipe(Effect.annotateLogs({ clientId: "c1", epoch: 7 }))
  yield* Effect.logError("gone", new Error("no way back"))
})

/** The lines on stdout. */
const linesWith = (env: Readonly<Record<string, string>>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const console = { ...globalThis.console, log: (...line: ReadonlyArray<unknown>) => void lines.push(line.join(" ")) }
    const settings = yield* Effect.provideService(
      Logs.config,
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnv({ env }),
    )
    yield* speak.pipe(Effect.provide(Logs.layerWith(settings)), Effect.provideService(Console.Console, console))
    return lines
  })

describe("Logs", () => {
  it.effect("are name=value from Info on, where nothing is set", () =>
    Effect.gen(function* () {
      const [live, gone, ...more] = yield* linesWith({})
      assert.include(live, "message=LIVE")
      assert.include(live, "clientId=c1 epoch=7")
      assert.include(gone, "level=ERROR")
      assert.deepStrictEqual(more, [])
    }),
  )

  it.effect("are one JSON object a line, with whom they are about, on request", () =>
    Effect.gen(function* () {
      const lines = yield* linesWith({ NIMBUS_LOG_FORMAT: "json", NIMBUS_LOG_LEVEL: "debug" })
      const [small, live, gone] = lines.map((line): Record<string, unknown> => JSON.parse(line))
      assert.lengthOf(lines, 3)
      assert.deepInclude(small, { message: "small talk", level: "DEBUG" })
      assert.deepInclude(live, { message: "LIVE", level: "INFO", annotations: { clientId: "c1", epoch: 7 } })
      assert.include(JSON.stringify(gone), "no way back")
    }),
  )

  it.effect.each(["error", "none"])("are no more than asked for: %s", (level) =>
    Effect.gen(function* () {
      const lines = yield* linesWith({ NIMBUS_LOG_LEVEL: level })
      assert.lengthOf(lines, level === "error" ? 1 : 0)
    }),
  )

  it.effect("refuse what they can't do", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(linesWith({ NIMBUS_LOG_FORMAT: "xml" }))
      assert.instanceOf(error, Config.ConfigError)
    }),
  )
})
