/**
 * The services of a cluster, as the environment says: the log on Kafka; registry, channels and by default the mailboxes
 * in Redis; the mailboxes in PostgreSQL where `NIMBUS_MAILBOX` says so. What every gateway and pipeline process stands on.
 */
import { Topics } from "@nimbus/domain"
import { Config, Effect, Layer } from "effect"
import { KafkaEventLog } from "./kafka/index.ts"
import { PostgresDatabase, PostgresMailbox } from "./postgres/index.ts"
import {
  RedisAckChannel,
  RedisConnection,
  RedisMailbox,
  RedisMailboxStore,
  RedisPodChannel,
  RedisRegistry,
} from "./redis/index.ts"

const mailboxStore = Config.Literals(["redis", "postgres"], "NIMBUS_MAILBOX").pipe(Config.withDefault("redis"))

const postgres = PostgresMailbox.layer.pipe(Layer.provide(PostgresDatabase.layer))

/** Which store is in use stands in Redis: a process that was told another refuses to start. */
const mailbox = Layer.unwrap(
  Effect.map(mailboxStore, (store) =>
    Layer.provide(store === "redis" ? RedisMailbox.layer : postgres, RedisMailboxStore.layer(store)),
  ),
)

export const layer = Layer.mergeAll(
  KafkaEventLog.layer,
  RedisRegistry.layer,
  RedisPodChannel.layer,
  RedisAckChannel.layer,
  mailbox,
).pipe(Layer.provide(RedisConnection.layer), Layer.provideMerge(Topics.layer))
