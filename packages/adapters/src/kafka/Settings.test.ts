import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { settings } from "./Settings.ts"

const read = (env: Record<string, string>) =>
  settings.pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })))

describe("the settings for Kafka", () => {
  it.effect("have defaults for a broker on this machine", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read({}), {
        brokers: ["127.0.0.1:9092"],
        clientId: "nimbus",
        sasl: undefined,
        tls: false,
        partitions: 4,
        replication: undefined,
        createTopics: true,
        limits: { retention_bytes: 1024 ** 3, retention_age_ms: 7 * 24 * 3_600_000 },
      })
    }),
  )

  it.effect("say where Kafka is, how to get in, and how topics are made", () =>
    Effect.gen(function* () {
      const all = yield* read({
        NIMBUS_KAFKA_BROKERS: "a:9092, b:9093",
        KAFKA_BROKER_URL: "c:9092",
        NIMBUS_KAFKA_CLIENT_ID: "me",
        NIMBUS_KAFKA_TLS: "true",
        NIMBUS_KAFKA_SASL_MECHANISM: "scram-sha-512",
        NIMBUS_KAFKA_SASL_USERNAME: "user",
        NIMBUS_KAFKA_SASL_PASSWORD: "pass",
        NIMBUS_PARTITIONS: "12",
        NIMBUS_KAFKA_REPLICATION: "3",
        NIMBUS_KAFKA_CREATE_TOPICS: "false",
        NIMBUS_KAFKA_RETENTION: "1 day",
        NIMBUS_KAFKA_RETENTION_BYTES: "1000",
      })
      assert.deepStrictEqual(all, {
        brokers: ["a:9092", "b:9093"],
        clientId: "me",
        sasl: { mechanism: "scram-sha-512", username: "user", password: "pass" },
        tls: true,
        partitions: 12,
        replication: 3,
        createTopics: false,
        limits: { retention_bytes: 1000, retention_age_ms: 24 * 3_600_000 },
      })
    }),
  )

  it.effect("take KAFKA_BROKER_URL for the brokers, with or without a scheme", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* read({ KAFKA_BROKER_URL: "kafka://k:1,l:2" })).brokers, ["k:1", "l:2"])
    }),
  )

  it.effect("refuse what makes no sense, by name", () =>
    Effect.gen(function* () {
      const nonsense = {
        NIMBUS_KAFKA_BROKERS: "nowhere",
        NIMBUS_PARTITIONS: "0",
        NIMBUS_KAFKA_REPLICATION: "many",
        NIMBUS_KAFKA_SASL_MECHANISM: "gssapi",
        NIMBUS_KAFKA_TLS: "perhaps",
        NIMBUS_KAFKA_RETENTION: "long",
        NIMBUS_KAFKA_RETENTION_BYTES: "-1",
        KAFKA_BROKER_URL: "http://:9092",
      }
      for (const [name, value] of Object.entries(nonsense)) {
        const failure = yield* Effect.flip(read({ [name]: value }))
        assert.include(failure.message, name)
      }
    }),
  )
})
