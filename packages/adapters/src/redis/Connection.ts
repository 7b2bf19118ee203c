/**
 * Redis, or a Redis Cluster: one connection for commands and one for subscriptions, until the scope closes.
 *
 * ```
 *   start ─▶ connected (retried, with a log line) ─▶ noeviction? ─▶ accepts writes? ─▶ ready
 *                │ wrong password, no TLS: fails        │ no: fails     │ a replica: waits
 *   ready ─▶ lost ─▶ connected again, by back-off ─▶ subscribed again ─▶ ready
 * ```
 *
 * 1. A command runs at most once. If the connection breaks, a command in flight fails, and may have run. Without a
 *    connection, a command fails immediately. Nothing waits in a queue. (A node of a cluster may redirect a command, or
 *    refuse it while it is not a master yet. The command has not run then.)
 * 2. A connection on which a reply is overdue is closed. The connection for subscriptions sends a ping periodically. In
 *    a cluster it reads the slots instead, and the system monitors the single connections.
 * 3. A subscription is active from the moment `subscribe` returns until its scope closes, except while there is no
 *    connection.
 */
import { backoff_ms } from "@nimbus/domain/pacing"
import type { EventEmitter } from "node:events"
import { failureReporter } from "@nimbus/domain/services"
import { Context, Effect, FiberSet, Layer, Redacted, Schedule, type Scope } from "effect"
import { Cluster, Redis } from "ioredis"
import { RedisEvicts, RedisRefused, RedisTlsFailed, RedisUnavailable } from "../Errors.ts"
import { type RedisLimits, redisLimits } from "../Limits.ts"
import { untilReachable } from "../Reachable.ts"
import { isTlsError } from "../Tls.ts"
import * as Reply from "./Reply.ts"
import { type Argument, run, type Script } from "./Script.ts"
import { config, type RedisSettings, where } from "./Settings.ts"
import { mayWriteScript, refusalOf, type Server, watch } from "./Watch.ts"

/** Receives the published messages, in order. Must not throw. */
export type Receive = (message: Uint8Array) => void

/** The connections of this process to Redis, or to a Redis Cluster. */
export class RedisConnection extends Context.Service<
  RedisConnection,
  {
    /** The prefix of all keys and channels. */
    readonly prefix: string
    /** Runs one command. `decode` may throw on an unexpected reply. */
    command<A>(
      name: string,
      args: ReadonlyArray<Argument>,
      decode: (reply: unknown) => A,
    ): Effect.Effect<A, RedisUnavailable>
    /** Runs a script. In a cluster its keys must be in one slot. */
    run<A>(
      script: Script,
      keys: ReadonlyArray<string>,
      args: ReadonlyArray<Argument>,
      decode: (reply: unknown) => A,
    ): Effect.Effect<A, RedisUnavailable>
    /**
     * Returns the number of subscribers that received the message: in a cluster all of them, because its channels are
     * sharded.
     */
    publish(channel: string, message: Uint8Array): Effect.Effect<number, RedisUnavailable>
    subscribe(channel: string, receive: Receive): Effect.Effect<void, RedisUnavailable, Scope.Scope>
  }
>()("@nimbus/adapters/redis/RedisConnection") {
  static readonly layerWith = (settings: RedisSettings, limits = redisLimits) =>
    Layer.effect(RedisConnection, make(settings, limits))
  /** Configured by `NIMBUS_REDIS_ADDRESS` and the related settings. */
  static readonly layer = Layer.effect(
    RedisConnection,
    Effect.flatMap(config, (settings) => make(settings, redisLimits)),
  )
}

const make = Effect.fn("RedisConnection.make")(function* (
  settings: RedisSettings,
  limits: RedisLimits,
): Effect.fn.Return<
  RedisConnection["Service"],
  RedisRefused | RedisTlsFailed | RedisEvicts | RedisUnavailable,
  Scope.Scope
> {
  const isCluster = settings.nodes.length > 1 || (yield* Effect.scoped(isNodeOfCluster(settings, limits)))
  if (isCluster && settings.db !== 0) return yield* noSuchDatabase(settings, "a cluster has the database 0 alone")
  const commands = yield* connect("", isCluster, settings, limits)
  if (!isCluster && settings.db !== 0) yield* checkDatabase(settings, commands)
  yield* checkPolicy(settings, commands)
  const writable = { name: "Redis", at: where(settings), purpose: " to take writes" }
  yield* untilReachable(writable, mayWrite(settings, commands), ({ _tag }) => _tag === "RedisUnavailable")
  yield* tellPersistence(settings, commands)
  const subscriptions = yield* connect(" for subscriptions", isCluster, settings, limits)
  const subscribe = yield* makeSubscriptions(isCluster, subscriptions, limits)
  const call = (command: string, args: Array<Argument>): Promise<unknown> => commands.callBuffer(command, args)
  const publishCommand = isCluster ? "spublish" : "publish"
  const watching = yield* watch(where(settings), () => mastersOf(commands).map(serverOf), limits)
  const watched = <A>(use: () => Promise<A>) =>
    Effect.tapError(attempt(use), (error) => Effect.sync(() => watching.failed(error)))
  return RedisConnection.of({
    prefix: settings.prefix,
    command: (name, args, decode) => watched(async () => decode(await call(name, [...args]))),
    run: (script, keys, args, decode) => watched(async () => decode(await run(commands, script, keys, args))),
    publish: (channel, message) =>
      attempt(async () => Reply.integer(await call(publishCommand, [channel, bufferOf(message)]))),
    subscribe,
  })
})

/** The part of ioredis that this module uses, which a single server and a cluster share. */
interface Client extends EventEmitter {
  readonly status: string
  connect(): Promise<void>
  disconnect(): void
  callBuffer(command: string, args: Array<Argument>): Promise<unknown>
  defineCommand(name: string, definition: { readonly lua: string }): void
  subscribe(...channels: Array<string>): Promise<unknown>
  ssubscribe(...channels: Array<string>): Promise<unknown>
  unsubscribe(...channels: Array<string>): Promise<unknown>
  sunsubscribe(...channels: Array<string>): Promise<unknown>
  ping(): Promise<unknown>
  nodes?(role: "master"): ReadonlyArray<Redis>
}

const bufferOf = ({ buffer, byteLength, byteOffset }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, byteLength)

const attempt = <A>(use: () => Promise<A>): Effect.Effect<A, RedisUnavailable> =>
  Effect.tryPromise({ try: use, catch: (cause) => new RedisUnavailable({ cause }) })

/** Many clusters have one address for all their nodes. */
const isNodeOfCluster = Effect.fnUntraced(function* (settings: RedisSettings, limits: RedisLimits) {
  const client = yield* connect("", false, settings, limits)
  const info = yield* attempt(async () => Reply.text(await client.callBuffer("info", ["cluster"])) ?? "")
  return info.includes("cluster_enabled:1")
})

/** Connects, and from then on reconnects whenever the connection breaks. */
const connect = Effect.fnUntraced(function* (
  purpose: "" | " for subscriptions",
  isCluster: boolean,
  settings: RedisSettings,
  limits: RedisLimits,
) {
  const state = { isStarted: false }
  const retry = (attempts: number) =>
    state.isStarted ? backoff_ms(attempts - 1, limits.reconnect_min_ms, limits.reconnect_max_ms) : null
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => newClient(isCluster, settings, limits, retry)),
    (client) =>
      Effect.sync(() => {
        state.isStarted = false
        client.disconnect()
      }),
  )
  // The state of the connection shows the effect of an error. Without a listener ioredis would print it.
  client.on("error", () => {})
  const at = where(settings)
  yield* untilReachable(
    { name: "Redis", at, purpose, service: "redis" },
    connectOnce(settings, client),
    ({ _tag }) => _tag === "RedisUnavailable",
  )
  state.isStarted = true
  yield* tellChanges(`Redis at ${at}${purpose}`, client, state)
  return client
})

const newClient = (
  isCluster: boolean,
  settings: RedisSettings,
  limits: RedisLimits,
  retry: (attempts: number) => number | null,
): Client => {
  const options = {
    connectTimeout: limits.connect_timeout_ms,
    socketTimeout: limits.reply_timeout_ms,
    // Invariant 1: a command is neither kept for the next connection nor sent again.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // ioredis does this without checking its success: see `makeSubscriptions`.
    autoResubscribe: false,
    lazyConnect: true,
    ...(settings.username !== undefined && { username: settings.username }),
    ...(settings.password !== undefined && { password: Redacted.value(settings.password) }),
    ...(settings.tls && { tls: {} }),
  }
  if (!isCluster) return new Redis({ ...options, ...settings.nodes[0], db: settings.db, retryStrategy: retry })
  const { enableOfflineQueue, lazyConnect, ...redisOptions } = options
  return new Cluster([...settings.nodes], {
    // Invariant 2: a node that has been removed does not respond to probes.
    redisOptions: { ...redisOptions, keepAlive: limits.ping_every_ms },
    slotsRefreshInterval: limits.ping_every_ms,
    enableOfflineQueue,
    lazyConnect,
    shardedSubscribers: true,
    clusterRetryStrategy: retry,
    // Invariant 1: ioredis would send the commands in flight again.
    retryDelayOnFailover: 0,
    // The cluster reports its nodes by address, but certificates have names of hosts.
    ...(settings.tls && { dnsLookup: (address, callback) => callback(null, address) }),
  })
}

/** One attempt to connect. ioredis reports its end by events; its promise may never settle. */
const connectOnce = (settings: RedisSettings, client: Client): Effect.Effect<void, StartError> =>
  Effect.callback((resume) => {
    let cause: unknown = new Error("the connection was closed")
    const onError = (error: unknown) => {
      cause = causeOf(error)
    }
    const over = () => void client.off("error", onError).off("ready", onReady).off("end", onEnd)
    const end = (outcome: Effect.Effect<void, StartError>) => {
      over()
      resume(outcome)
    }
    const onReady = () => end(Effect.void)
    const onEnd = () => end(Effect.fail(startError(settings, cause)))
    client.on("error", onError).once("ready", onReady).once("end", onEnd)
    client.connect().catch(onError)
    return Effect.sync(over)
  })

/** The error of a cluster is that of its last node. */
const causeOf = (error: unknown): unknown => (isAllFailed(error) ? error.lastNodeError : error)

const isAllFailed = (error: unknown): error is { readonly lastNodeError: unknown } =>
  error instanceof Error && "lastNodeError" in error && error.lastNodeError !== null

const refusal = /^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH|ERR invalid password)/

type StartError = RedisUnavailable | RedisRefused | RedisTlsFailed

/** An error is permanent if only a change of the settings helps. */
const startError = (settings: RedisSettings, cause: unknown): StartError => {
  const address = where(settings)
  if (!(cause instanceof Error)) return new RedisUnavailable({ cause })
  if (isTlsError(cause)) return new RedisTlsFailed({ address, reason: cause.message })
  if (refusal.test(cause.message)) return new RedisRefused({ address, reason: cause.message })
  return misunderstanding.test(cause.message)
    ? new RedisUnavailable({ cause: new Error(`${cause.message} (does NIMBUS_REDIS_TLS or rediss:// fit this port?)`) })
    : new RedisUnavailable({ cause })
}

/**
 * The same happens when Redis is unavailable and when only one side uses TLS: Redis closes, or waits for the end of a
 * line.
 */
const misunderstanding = /ETIMEDOUT|ECONNRESET|EPIPE|closed/

/** A connection is an outage from the moment at which it is lost until it is ready again. */
const tellChanges = Effect.fnUntraced(function* (name: string, client: Client, state: { readonly isStarted: boolean }) {
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const outage = yield* failureReporter(`the connection to ${name}`)
  const closed = new Error("it was closed")
  let cause: unknown = closed
  client.on("error", (error) => (cause = causeOf(error)))
  client.on("close", () => {
    if (state.isStarted) fork(outage.failed(new RedisUnavailable({ cause })))
    cause = closed
  })
  client.on("ready", () => fork(outage.worked))
})

/** All servers that may have keys of this installation. */
const mastersOf = (client: Client): ReadonlyArray<Client> => client.nodes?.("master") ?? [client]

/** The value of a line of `INFO`. */
const infoOf = (client: Client, section: string, line: string): Effect.Effect<string, RedisUnavailable> =>
  attempt(async () => {
    const info = Reply.text(await client.callBuffer("info", [section])) ?? ""
    return new RegExp(`^${line}:(\\S+)`, "m").exec(info)?.[1] ?? "unknown"
  })

const serverOf = (client: Client): Server => ({
  policy: infoOf(client, "memory", "maxmemory_policy"),
  mayWrite: attempt(async () => void (await run(client, mayWriteScript, [], []))),
})

/** The policy must hold on every server. */
const checkPolicy = Effect.fnUntraced(function* (settings: RedisSettings, client: Client) {
  for (const server of mastersOf(client)) {
    const policy = yield* serverOf(server).policy
    if (policy !== "noeviction") return yield* new RedisEvicts({ address: where(settings), policy })
  }
})

/**
 * A replica may become a master, and a master may accept writes again. A full server does not prevent a start: it
 * raises an alarm.
 */
const mayWrite = (settings: RedisSettings, client: Client): Effect.Effect<void, RedisUnavailable> =>
  Effect.forEach(mastersOf(client), (server) => serverOf(server).mayWrite, { discard: true }).pipe(
    Effect.catch((error) =>
      refusalOf(where(settings), error)?._tag === "RedisFull" ? Effect.void : Effect.fail(error),
    ),
  )

/** Nothing is lost without persistence either: what a restart loses is restored from the backlog topic. */
const tellPersistence = Effect.fnUntraced(function* (settings: RedisSettings, client: Client) {
  const [server = client] = mastersOf(client)
  if ((yield* infoOf(server, "persistence", "aof_enabled")) !== "0") return
  yield* Effect.logInfo(
    `Redis at ${where(settings)} has appendonly no: what a restart loses of mailboxes is built again from the backlog topic`,
  )
})

/** If ioredis can't select the database, it continues in database 0. */
const checkDatabase = (settings: RedisSettings, client: Client): Effect.Effect<void, RedisRefused | RedisUnavailable> =>
  attempt(async () => void (await client.callBuffer("select", [settings.db]))).pipe(
    Effect.catch((error): Effect.Effect<never, RedisRefused | RedisUnavailable> =>
      /^ERR .*(DB|SELECT)/.test(error.message) ? noSuchDatabase(settings, error.message) : Effect.fail(error),
    ),
  )

const noSuchDatabase = (settings: RedisSettings, reason: string) =>
  Effect.fail(
    new RedisRefused({
      address: where(settings),
      reason: `there is no database ${settings.db} (NIMBUS_REDIS_DB): ${reason}`,
    }),
  )

/** One channel may have several listeners. Redis has one subscription for all of them. */
const makeSubscriptions = Effect.fnUntraced(function* (isCluster: boolean, client: Client, limits: RedisLimits) {
  const receivers = new Map<string, Set<Receive>>()
  const subscribe = (...channels: Array<string>) =>
    isCluster ? client.ssubscribe(...channels) : client.subscribe(...channels)
  const unsubscribe = (channel: string) => (isCluster ? client.sunsubscribe(channel) : client.unsubscribe(channel))
  /** If this fails there is no connection, and the next connection starts without subscriptions. */
  const forget = (channel: string) => void unsubscribe(channel).catch(() => {})

  client.on(isCluster ? "smessageBuffer" : "messageBuffer", (channel: Buffer, message: Buffer) => {
    const name = channel.toString()
    const listening = receivers.get(name)
    if (listening === undefined) forget(name)
    else for (const receive of listening) receive(message)
  })
  if (!isCluster) {
    // In a cluster the subscribers do this themselves. If it fails, the connection is lost again, and the next one does
    // it.
    client.on("ready", () => {
      if (receivers.size > 0) subscribe(...receivers.keys()).catch(() => {})
    })
    yield* Effect.promise(() => client.ping().catch(() => {})).pipe(
      Effect.repeat(Schedule.spaced(limits.ping_every_ms)),
      Effect.forkScoped,
    )
  }

  const leave = (channel: string, receive: Receive) =>
    Effect.sync(() => {
      const listening = receivers.get(channel)
      listening?.delete(receive)
      if (listening?.size !== 0) return
      receivers.delete(channel)
      forget(channel)
    })
  return (channel: string, receive: Receive): Effect.Effect<void, RedisUnavailable, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        receivers.set(channel, (receivers.get(channel) ?? new Set()).add(receive))
        return attempt(() => subscribe(channel))
      }).pipe(Effect.onError(() => leave(channel, receive))),
      () => leave(channel, receive),
    ).pipe(Effect.asVoid)
})
