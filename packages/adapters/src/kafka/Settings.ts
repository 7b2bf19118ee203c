/**
 * The address of Kafka, its credentials and how topics are created, from the environment: see docs/configuration.md.
 */
import type { LocalLog } from "@nimbus/domain/services"
import { Config, Duration, Option, Redacted, Schema } from "effect"
import type { SASLOptions } from "kafkajs"
import { type KafkaLimits, kafkaLimits } from "../Limits.ts"
import type { KafkaOptions } from "./KafkaJs.ts"

/** The brokers, the topics and the bounds. */
export interface EventLogKafkaOptions extends Partial<KafkaOptions> {
  readonly brokers: ReadonlyArray<string>
  /** Default: those of the `Topics` service. */
  readonly topics?: ReadonlyArray<string> | undefined
  /** The partition count of each topic. Existing topics with another count are not opened. */
  readonly partitions?: number | undefined
  /** The replication factor of topics that are created. Default: that of the brokers. */
  readonly replication?: number | undefined
  /** Whether missing topics are created. Default: true. */
  readonly createTopics?: boolean | undefined
  /** The retention of topics that are created, by topic. The others have that of `kafkaLimits`. */
  readonly retention?: Readonly<Record<string, LocalLog.Retention>> | undefined
  readonly limits?: Partial<KafkaLimits> | undefined
}

/**
 * `host:port`, or several of them with commas. A scheme before the first is what other programs want, and is ignored.
 */
const Brokers = Schema.String.check(
  Schema.makeFilter(
    (text) =>
      brokersOf(text).every((broker) => /^[^\s:/]+:\d{1,5}$/.test(broker)) ||
      "must be host:port, or several of them with commas",
  ),
)

const brokersOf = (text: string): ReadonlyArray<string> =>
  text.split(",").map((broker) => broker.trim().replace(/^[a-z+]+:\/\//i, ""))

const mechanisms = ["plain", "scram-sha-256", "scram-sha-512"] as const

const partitionCount = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_024 }))
const atLeastOne = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

const sasl = Config.all({
  mechanism: Config.Literals(mechanisms, "NIMBUS_KAFKA_SASL_MECHANISM").pipe(Config.withDefault("plain")),
  username: Config.option(Config.NonEmptyString("NIMBUS_KAFKA_SASL_USERNAME")),
  password: Config.option(Config.Redacted("NIMBUS_KAFKA_SASL_PASSWORD")),
}).pipe(
  Config.map(({ mechanism, password, username }): SASLOptions | undefined =>
    Option.isNone(username)
      ? undefined
      : {
          mechanism,
          username: username.value,
          password: Option.match(password, { onNone: () => "", onSome: Redacted.value }),
        },
  ),
)

export const settings: Config.Config<EventLogKafkaOptions> = Config.all({
  brokers: Config.option(Config.schema(Brokers, "NIMBUS_KAFKA_BROKERS")),
  alias: Config.option(Config.schema(Brokers, "KAFKA_BROKER_URL")),
  clientId: Config.NonEmptyString("NIMBUS_KAFKA_CLIENT_ID").pipe(Config.withDefault("nimbus")),
  sasl,
  tls: Config.Boolean("NIMBUS_KAFKA_TLS").pipe(Config.withDefault(false)),
  partitions: Config.schema(partitionCount, "NIMBUS_PARTITIONS").pipe(Config.withDefault(kafkaLimits.partitions)),
  replication: Config.option(Config.schema(atLeastOne, "NIMBUS_KAFKA_REPLICATION")),
  createTopics: Config.Boolean("NIMBUS_KAFKA_CREATE_TOPICS").pipe(Config.withDefault(true)),
  retention_age: Config.Duration("NIMBUS_KAFKA_RETENTION").pipe(
    Config.withDefault(Duration.millis(kafkaLimits.retention_age_ms)),
  ),
  retention_bytes: Config.schema(atLeastOne, "NIMBUS_KAFKA_RETENTION_BYTES").pipe(
    Config.withDefault(kafkaLimits.retention_bytes),
  ),
}).pipe(
  Config.map(({ alias, brokers, replication, retention_age, retention_bytes, ...rest }): EventLogKafkaOptions =>
    Object.assign(rest, {
      brokers: brokersOf(
        Option.getOrElse(
          Option.orElse(brokers, () => alias),
          () => "127.0.0.1:9092",
        ),
      ),
      replication: Option.getOrUndefined(replication),
      limits: { retention_bytes, retention_age_ms: Duration.toMillis(retention_age) },
    }),
  ),
)
