import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { Topics } from "./Topics.ts"

const topics = (env: Readonly<Record<string, string>>) =>
  Effect.provideService(Topics.config, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { ...env } }))

describe("Topics", () => {
  it.effect("are without that of the open chat where there is none, so that nothing asks for it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* topics({}), Topics.defaults)
      assert.notProperty(
        yield* topics({ NIMBUS_KAFKA_MESSAGES_TOPIC: "others", NIMBUS_CHAT_OPEN: "false" }),
        "messages",
      )
      assert.propertyVal(yield* topics({ NIMBUS_CHAT_OPEN: "true" }), "messages", "MESSAGES")
      const renamed = yield* topics({ NIMBUS_CHAT_OPEN: "true", NIMBUS_KAFKA_MESSAGES_TOPIC: "others" })
      assert.propertyVal(renamed, "messages", "others")
    }),
  )
})
