/**
 * Socket.IO's Redis Streams adapter: how broadcasts reach every gateway. Connections of its own, for it does with them
 * what the others may not: its reader waits within Redis, and for Redis.
 *
 * What is done about the adapter (0.3.1), which has no say in these:
 *
 * 1. It begins to read at "now", once its reader is connected and then again and again until the first entry came, and
 *    what comes before and in between is lost. So a mark that nobody takes for a broadcast goes into the stream when the
 *    adapter is made, and the reader is made to begin there.
 * 2. It tries again at once and for ever where a read fails. So the reader's commands don't fail: they wait until Redis
 *    is back, and are given up only when the adapter is closed.
 * 3. What it writes while its writer is not connected is lost to the others. So the writer is connected when the adapter
 *    is made.
 * 4. It leaves its reader open for a block's time. The scope closes it at once.
 *
 * While Redis is away a broadcast reaches the sockets of its own gateway alone.
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

/** For Socket.IO's `adapter`: made with the server, and closed by it, before the scope closes. */
export type ChatAdapterFactory = ReturnType<typeof createAdapter>

/** The adapter of Socket.IO on streams of Redis. */
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
    // What an error comes to shows in the state of the connection; without a listener ioredis prints it.
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
  // Invariants 1 and 2: the adapter reads and listens on duplicates.
  const duplicate = () => {
    const client = open(reader)
    const xread = (...args: ReadonlyArray<string | number>) =>
      client.call("xread", ...args.map((arg) => (arg === "$" && begin !== undefined ? begin : arg)))
    return Object.assign(client, { xread })
  }
  Object.assign(writer, { duplicate })
  yield* isReady(writer)

  let adapter: ChatAdapterFactory | undefined
  // Socket.IO calls it with `new`.
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

/** Done once it is connected; with a Redis that is away, once that is back. */
const isReady = (client: Redis | Cluster): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (client.status === "ready") return resume(Effect.void)
    client.once("ready", () => resume(Effect.void))
  })

/** What the two kinds of connection differ in. */
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
