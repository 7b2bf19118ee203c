/**
 * The Redis Streams adapter of Socket.IO, by which broadcasts reach every gateway. It has its own connections, because
 * its reader blocks within Redis and waits for Redis, which other connections must not do.
 *
 * These properties of the adapter (0.3.1) can't be configured, and are handled here:
 *
 * 1. It starts to read at "now" when its reader is connected, and does so again until the first entry arrives. Entries
 *    before and in between are lost. A mark, which is not a broadcast, is therefore written to the stream when the
 *    adapter is created, and the reader starts there.
 * 2. If a read fails, it retries immediately and without end. The commands of the reader therefore do not fail: they
 *    wait until Redis is available again, and are aborted only when the adapter is closed.
 * 3. Entries that it writes before its writer is connected are lost. The writer is therefore connected before the
 *    adapter is created.
 * 4. It leaves its reader open for the time of a blocking read. The scope closes it immediately.
 *
 * While Redis is unavailable, a broadcast reaches only the sockets of its own gateway.
 */
import { backoff_ms } from "@nimbus/domain/pacing"
import { createAdapter } from "@socket.io/redis-streams-adapter"
import { Effect, Redacted, type Scope } from "effect"
import { Cluster, Redis, type RedisOptions } from "ioredis"
import type { RedisUnavailable } from "../Errors.ts"
import { type RedisLimits, redisBroadcastLimits, redisLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import type { RedisSettings } from "./Settings.ts"

/** For the option `adapter` of Socket.IO. The server creates it, and closes it before the scope closes. */
export type ChatAdapterFactory = ReturnType<typeof createAdapter>

/** The adapter of Socket.IO on a stream in Redis. */
export const make: (
  settings: RedisSettings,
  limits?: RedisLimits,
) => Effect.Effect<ChatAdapterFactory, RedisUnavailable, RedisConnection | Scope.Scope> = Effect.fn(
  "RedisChatAdapter.make",
)(function* (settings: RedisSettings, limits: RedisLimits = redisLimits) {
  const redis = yield* RedisConnection
  const info = yield* redis.command("info", ["cluster"], Reply.text)
  const isCluster = settings.nodes.length > 1 || (info?.includes("cluster_enabled:1") ?? false)
  const clients = new Set<Redis | Cluster>()
  const open = (manner: Manner): Redis | Cluster => {
    const client = newClient(isCluster, settings, limits, manner)
    // The state of the connection shows the effect of an error. Without a listener ioredis would print it.
    client.on("error", () => {})
    clients.add(client)
    return client
  }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const client of clients) client.disconnect()
    }),
  )
  const writer = open({
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    socketTimeout: limits.reply_timeout_ms,
  })
  const reader: Manner = {
    enableOfflineQueue: true,
    maxRetriesPerRequest: null,
    autoResendUnfulfilledCommands: true,
    socketTimeout: redisBroadcastLimits.block_ms + limits.reply_timeout_ms,
  }
  const streamName = `${redis.prefix}:broadcasts`
  const { block_ms, stream_entries } = redisBroadcastLimits
  const mark = ["maxlen", "~", `${stream_entries}`, "*", "mark", ""]
  const begin = yield* redis.command("xadd", [streamName, ...mark], Reply.text)
  // 1 and 2: the adapter reads and subscribes on duplicates.
  const duplicate = () => {
    const client = open(reader)
    const xread = (...args: ReadonlyArray<string | number>) =>
      client.call("xread", ...args.map((arg) => (arg === "$" && begin !== undefined ? begin : arg)))
    return Object.assign(client, { xread })
  }
  Object.assign(writer, { duplicate })
  yield* isReady(writer)

  let adapter: ChatAdapterFactory | undefined
  // Socket.IO calls this with `new`.
  return function (namespace: unknown) {
    adapter ??= createAdapter(writer, {
      streamName,
      channelPrefix: `${redis.prefix}:broadcasts`,
      useShardedPubSub: isCluster,
      maxLen: stream_entries,
      blockTimeInMs: block_ms,
      onlyPlaintext: true,
    })
    return adapter(namespace)
  }
})

/** Completes when the connection is ready. If Redis is unavailable, this is when it is available again. */
const isReady = (client: Redis | Cluster): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (client.status === "ready") return resume(Effect.void)
    client.once("ready", () => resume(Effect.void))
  })

/** The options in which the two kinds of connection differ. */
type Manner = Pick<RedisOptions, "maxRetriesPerRequest"> & {
  readonly enableOfflineQueue: boolean
  readonly autoResendUnfulfilledCommands: boolean
  readonly socketTimeout: number
}

const newClient = (
  isCluster: boolean,
  { db, nodes, password, tls, username }: RedisSettings,
  limits: RedisLimits,
  { enableOfflineQueue, ...manner }: Manner,
): Redis | Cluster => {
  const retry = (attempts: number) => backoff_ms(attempts, limits.reconnect_min_ms, limits.reconnect_max_ms)
  const options = {
    ...manner,
    connectTimeout: limits.connect_timeout_ms,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Redacted.value(password) }),
    ...(tls && { tls: {} }),
  }
  if (!isCluster) return new Redis({ ...options, ...nodes[0], enableOfflineQueue, db, retryStrategy: retry })
  return new Cluster([...nodes], {
    redisOptions: options,
    enableOfflineQueue,
    shardedSubscribers: true,
    clusterRetryStrategy: retry,
    ...(tls && { dnsLookup: (address, callback) => callback(null, address) }),
  })
}
