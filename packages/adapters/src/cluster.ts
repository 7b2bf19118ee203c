/**
 * The services of a cluster, configured by the environment: the log on Kafka; the registry, the channels and by default
 * the mailboxes in Redis; the mailboxes in PostgreSQL if `NIMBUS_MAILBOX` says so. Every gateway and pipeline process
 * uses them.
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
  RedisTickets,
} from "./redis/index.ts"
import * as Storage from "./storage.ts"

/** The store of the mailboxes, and its address if it is not Redis. */
type MailboxSettings = { readonly store: "redis" } | { readonly store: "postgres"; readonly postgres: PostgresSettings }

const mailbox = Config.Literals(["redis", "postgres"], "NIMBUS_MAILBOX").pipe(
  Config.withDefault("redis"),
  Config.flatMap((store): Config.Config<MailboxSettings> =>
    store === "redis" ? Config.succeed({ store }) : Config.map(postgresConfig, (postgres) => ({ store, postgres })),
  ),
)

/** The settings of a cluster. Reading them opens no connection. */
export const config = Config.all({
  topics: Topics.config,
  kafka: kafkaConfig,
  redis: redisConfig,
  podChannel: RedisPodChannel.config,
  mailbox,
  idle_ms: Idle.config,
  storage: Storage.config,
})

/** Reads the settings of a cluster from the environment. */
export type ClusterSettings = Config.Success<typeof config>

/** The services of a cluster with these settings. */
export const layerWith = (settings: ClusterSettings) => ServiceSpans.over(services(settings))

const services = (settings: ClusterSettings) =>
  Layer.mergeAll(
    KafkaEventLog.layerWith(settings.kafka),
    RedisRegistry.layerWith(settings),
    RedisMembers.layer,
    RedisPodChannel.layerWith(settings.podChannel),
    RedisAckChannel.layer,
    RedisClientOffsets.layer,
    RedisTickets.layer,
    mailboxOf(settings),
    Storage.layerWith(settings.storage),
  ).pipe(
    Layer.provideMerge(RedisConnection.layerWith(settings.redis)),
    Layer.provideMerge(Layer.succeed(Topics, settings.topics)),
  )

/** The log, and the services in Redis. The two connect at the same time. */
export const partsWith = (settings: ClusterSettings) => {
  const topics = Layer.succeed(Topics, settings.topics)
  return {
    log: KafkaEventLog.layerWith(settings.kafka).pipe(Layer.provideMerge(topics)),
    registry: Layer.merge(RedisRegistry.layer, RedisMembers.layer).pipe(
      Layer.provide(RedisConnection.layerWith(settings.redis)),
    ),
  }
}

/** Redis records which store is in use. A process that is configured for another one does not start. */
const mailboxOf = ({ idle_ms, mailbox }: Pick<ClusterSettings, "idle_ms" | "mailbox">) => {
  const limits = { ...mailboxLimits, mailbox_idle_ms: idle_ms }
  return Layer.provide(
    mailbox.store === "redis" ? RedisMailbox.layerWith({ limits }) : mailboxInPostgres(mailbox.postgres, limits),
    RedisMailboxStore.layer(mailbox.store),
  )
}

/** The client library of PostgreSQL is imported only if PostgreSQL is used. */
const mailboxInPostgres = (settings: PostgresSettings, limits: MailboxLimits) =>
  Layer.unwrap(
    Effect.map(
      load(["postgres"], () => import("./postgres/index.ts")),
      ({ PostgresDatabase, PostgresMailbox }) =>
        Layer.provide(PostgresMailbox.layerWith({ limits }), PostgresDatabase.layerWith(settings)),
    ),
  )
