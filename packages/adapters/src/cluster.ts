/**
 * The services of a cluster, as the environment says: the log on Kafka; registry, channels and by default the mailboxes
 * in Redis; the mailboxes in PostgreSQL where `NIMBUS_MAILBOX` says so. What every gateway and pipeline process stands on.
 */
import { type MailboxLimits, mailboxLimits } from "@nimbus/domain/limits"
import { Idle, ServiceSpans, Topics } from "@nimbus/domain/services"
import { Config, Effect, Layer } from "effect"
import { KafkaEventLog } from "./kafka/index.ts"
import { settings as kafkaConfig } from "./kafka/Settings.ts"
import { config as postgresConfig, type PostgresSettings } from "./postgres/Settings.ts"
import { load } from "./Libraries.ts"
import {
  RedisAckChannel,
  RedisClientOffsets,
  redisConfig,
  RedisConnection,
  RedisMailbox,
  RedisMailboxStore,
  RedisMembers,
  RedisPodChannel,
  RedisRegistry,
} from "./redis/index.ts"
import * as Storage from "./storage.ts"

/** Which store keeps the mailboxes, and where it is if that is not Redis. */
type MailboxSettings = { readonly store: "redis" } | { readonly store: "postgres"; readonly postgres: PostgresSettings }

const mailbox = Config.Literals(["redis", "postgres"], "NIMBUS_MAILBOX").pipe(
  Config.withDefault("redis"),
  Config.flatMap((store): Config.Config<MailboxSettings> =>
    store === "redis" ? Config.succeed({ store }) : Config.map(postgresConfig, (postgres) => ({ store, postgres })),
  ),
)

/** All that the environment says of a cluster. Nothing is connected to by reading it. */
export const config = Config.all({
  topics: Topics.config,
  kafka: kafkaConfig,
  redis: redisConfig,
  podChannel: RedisPodChannel.config,
  mailbox,
  idle_ms: Idle.config,
  storage: Storage.config,
})

/** What the environment says of a cluster. */
export type ClusterSettings = Config.Success<typeof config>

/** The services of a cluster by these settings. */
export const layerWith = (settings: ClusterSettings) => ServiceSpans.over(services(settings))

const services = (settings: ClusterSettings) =>
  Layer.mergeAll(
    KafkaEventLog.layerWith(settings.kafka),
    RedisRegistry.layerWith(settings),
    RedisMembers.layer,
    RedisPodChannel.layerWith(settings.podChannel),
    RedisAckChannel.layer,
    RedisClientOffsets.layer,
    mailboxOf(settings),
    Storage.layerWith(settings.storage),
  ).pipe(
    Layer.provideMerge(RedisConnection.layerWith(settings.redis)),
    Layer.provideMerge(Layer.succeed(Topics, settings.topics)),
  )

/** The log, and what Redis has of clients and processes, each without waiting for the other. */
export const partsWith = (settings: ClusterSettings) => {
  const topics = Layer.succeed(Topics, settings.topics)
  return {
    log: KafkaEventLog.layerWith(settings.kafka).pipe(Layer.provideMerge(topics)),
    registry: Layer.merge(RedisRegistry.layer, RedisMembers.layer).pipe(
      Layer.provide(RedisConnection.layerWith(settings.redis)),
    ),
  }
}

/** Which store is in use stands in Redis: a process that was told another refuses to start. */
const mailboxOf = ({ idle_ms, mailbox }: Pick<ClusterSettings, "idle_ms" | "mailbox">) => {
  const limits = { ...mailboxLimits, mailbox_idle_ms: idle_ms }
  return Layer.provide(
    mailbox.store === "redis" ? RedisMailbox.layerWith({ limits }) : mailboxInPostgres(mailbox.postgres, limits),
    RedisMailboxStore.layer(mailbox.store),
  )
}

/** PostgreSQL's client library is imported where it is in use. */
const mailboxInPostgres = (settings: PostgresSettings, limits: MailboxLimits) =>
  Layer.unwrap(
    Effect.map(
      load(["postgres"], () => import("./postgres/index.ts")),
      ({ PostgresDatabase, PostgresMailbox }) =>
        Layer.provide(PostgresMailbox.layerWith({ limits }), PostgresDatabase.layerWith(settings)),
    ),
  )
