/**
 * The registry in Redis.
 *
 * ```
 *   {<prefix>:<bucket>}:clients         hash    client id ─▶ its status, as `Status.encode` writes it     bucket 0 to 15
 *   {<prefix>:<bucket>}:clients:older   hash    the same, of clients that were not written since the last turn
 *   {<prefix>:<bucket>}:turned          the time of the last turn, in ms by the clock of Redis
 *   {<prefix>}:leases                  zset    pod ─▶ the end of its lease, in ms by the clock of Redis
 * ```
 *
 * 1. Every write is one script, which compares and writes as `Status.transition` does for `Connect` and `Sweep`. The
 *    bucket of a client follows from its id, so the entries of one client in a chunk are written in their order.
 * 2. An entry that can't be decoded counts as lost, as the registry may lose any entry. It is logged, and the next
 *    write replaces it.
 * 3. Every `idle_ms` the bucket *turns*: the older entries are forgotten, and the others become the older ones. A write
 *    removes the entry of its client from the older ones. Forgetting therefore needs no memory for each entry, and
 *    Redis scans none. For an older version of this process, a turn looks like a wipe.
 * 4. A full Redis refuses new entries. Clients that have an entry connect and disconnect as before. So do leases, of
 *    which there are only as many as pods.
 */
import { ClientInUse, IllegalTransition, PodTaken, RegistryUnavailable } from "@nimbus/domain/errors"
import { ClientId, Epoch, murmur2, PodId, Status } from "@nimbus/domain/protocol"
import { type Entry, countForgotten, Registry, logFailure } from "@nimbus/domain/services"
import { Effect, Layer, Option, Result, Schedule, Schema, Stream } from "effect"
import type { RedisUnavailable } from "../Errors.ts"
import { redisRegistryLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { type Script, script } from "./Script.ts"
import { isFull } from "./Watch.ts"

/** Forgets no client: for tools, and for use beside a process that does. */
export const layer: Layer.Layer<Registry, never, RedisConnection> = Layer.suspend(() => Layer.effect(Registry, make))

/** Forgets clients that were not written for `idle_ms`, until the scope closes. */
export const layerWith = ({ idle_ms }: { readonly idle_ms: number }): Layer.Layer<Registry, never, RedisConnection> =>
  Layer.effect(
    Registry,
    Effect.gen(function* () {
      const redis = yield* RedisConnection
      const turn = Effect.forEach(allBuckets, (bucket) =>
        redis.run(
          turnScript,
          [...bucketKeys(redis.prefix, bucket), turnedKey(redis.prefix, bucket)],
          [idle_ms],
          Reply.integer,
        ),
      ).pipe(
        Effect.flatMap((gone) =>
          countForgotten(
            "registry",
            gone.reduce((sum, n) => sum + n, 0),
          ),
        ),
        Effect.catch((error) => logFailure("forget idle clients", error)),
      )
      yield* turn.pipe(
        // Not immediately: a command that only reads does not forget clients.
        Effect.delay(Math.min(redisRegistryLimits.turn_every_ms, idle_ms / 4)),
        Effect.repeat(Schedule.forever),
        Effect.forkScoped,
      )
      return yield* make
    }),
  )

/** The keys of a bucket: the entries written since the last turn, and the older ones. */
const bucketKeys = (prefix: string, bucket: number) =>
  [`{${prefix}:${bucket}}:clients`, `{${prefix}:${bucket}}:clients:older`] as const
const turnedKey = (prefix: string, bucket: number) => `{${prefix}:${bucket}}:turned`

const make = Effect.gen(function* () {
  const redis = yield* RedisConnection
  const keysOf = (bucket: number) => bucketKeys(redis.prefix, bucket)
  const leases = [leasesKey(redis.prefix)]
  /** The stored entries, in the order of the clients. */
  const stored = (operation: string, clientIds: ReadonlyArray<ClientId>) =>
    byBucket(
      clientIds.map((clientId) => ({ clientId })),
      (clients) => {
        const ids = clients.map(({ clientId }) => clientId)
        return (bucket) => redis.run(findScript, keysOf(bucket), ids, Reply.list)
      },
    ).pipe(
      Effect.map((found) => found.map((status) => Reply.text(status))),
      Effect.mapError(unavailable(operation)),
    )
  return Registry.of({
    connect: Effect.fnUntraced(
      function* (clientId, pod, atLeast, by) {
        const keys = keysOf(bucketOf(clientId))
        const args = [clientId, pod, atLeast, by?.owner ?? "", by?.gone ?? ""]
        const connect = (script: Script) => redis.run(script, keys, args, connected)
        const answer = yield* evenIfFull(connect(connectScript), () => connect(connectKnownScript))
        if (answer === undefined) return yield* noEpochLeft()
        return typeof answer === "string" ? yield* new ClientInUse({ pod: answer }) : Epoch.make(answer)
      },
      (effect) =>
        Effect.mapError(effect, (error) => (error._tag === "ClientInUse" ? error : unavailable("connect")(error))),
    ),
    write: (presences) =>
      byBucket(presences, (clients) => {
        const args = clients.flatMap(({ clientId, epoch, owner = "", pod, status }) => [
          clientId,
          epoch,
          pod,
          status,
          owner,
        ])
        const write = (bucket: number, script: Script) => redis.run(script, keysOf(bucket), args, Reply.list)
        return (bucket) => evenIfFull(write(bucket, writeScript), () => write(bucket, writeKnownScript))
      }).pipe(
        Effect.map((held) => held.map((answer) => answer === 1)),
        Effect.mapError(unavailable("write")),
      ),
    pods: (clientIds) => Effect.map(stored("pods", clientIds), (found) => found.map((status) => holderOf(status))),
    statuses: (clientIds) =>
      Effect.flatMap(stored("statuses", clientIds), (found) => {
        const words = found.flatMap((status, i) => (status === undefined ? [] : [clientIds[i]!, status]))
        return Effect.map(readEntries(words), (entries) => {
          const byClient = new Map(entries.map(({ clientId, status }) => [clientId, status]))
          return clientIds.map((clientId) => byClient.get(clientId))
        })
      }),
    forget: (clientIds) =>
      byBucket(
        clientIds.map((clientId) => ({ clientId })),
        (clients) => {
          const ids = clients.map(({ clientId }) => clientId)
          return (bucket) => redis.run(forgetScript, keysOf(bucket), ids, Reply.list)
        },
      ).pipe(
        Effect.map((gone) => gone.map((answer) => answer === 1)),
        Effect.mapError(unavailable("forget")),
      ),
    lease: (pod, ttl_ms) =>
      redis.run(leaseScript, leases, [pod, ttl_ms], Reply.integer).pipe(
        Effect.mapError(unavailable("lease")),
        Effect.flatMap((isOurs) => (isOurs === 1 ? Effect.void : Effect.fail(new PodTaken({ pod })))),
      ),
    renew: (pod, ttl_ms) =>
      Effect.mapError(redis.run(renewScript, leases, [pod, ttl_ms], ignore), unavailable("renew")),
    release: (pod) => Effect.mapError(redis.command("zrem", [...leases, pod], ignore), unavailable("release")),
    livePods: redis
      .run(livePodsScript, leases, [], (reply) => Reply.list(reply).map((pod) => PodId.make(Reply.text(pod) ?? "")))
      .pipe(Effect.mapError(unavailable("livePods"))),
    entries: Stream.range(0, buckets - 1).pipe(
      // The older ones first: an entry that is written meanwhile then appears twice, and only a turn can cause one to
      // be missed.
      Stream.flatMap((bucket) => Stream.fromIterable(keysOf(bucket).toReversed())),
      Stream.flatMap((key) => scan(redis, key)),
      Stream.mapError(unavailable("entries")),
    ),
  })
})

/** Redis runs the second script also if it is full, so that script must not add entries. */
const evenIfFull = <A>(usual: Effect.Effect<A, RedisUnavailable>, known: () => Effect.Effect<A, RedisUnavailable>) =>
  Effect.catch(usual, (error) => (isFull(error) ? known() : Effect.fail(error)))

/** The leases of the gateways that run. */
export const leasesKey = (prefix: string): string => `{${prefix}}:leases`

const unavailable = (operation: string) => (cause: unknown) => new RegistryUnavailable({ operation, cause })

const ignore = (): void => {}

/** The epoch, or in a list the pod where another owner's session is. */
const connected = (reply: unknown): number | string | undefined =>
  Array.isArray(reply) ? (Reply.text(reply[0]) ?? "") : Reply.number(reply)

const noEpochLeft = () => new IllegalTransition({ from: "UNKNOWN", step: "Connect", reason: "no-epoch-left" })

/**
 * The number of hashes, each in a slot of its own, for a cluster of up to as many nodes. Another number would lose all
 * entries.
 */
const buckets = 16
const allBuckets = Array.from({ length: buckets }, (_, bucket) => bucket)

const encoder = new TextEncoder()
const bucketOf = (clientId: ClientId): number => murmur2(encoder.encode(clientId)) & (buckets - 1)

/** Runs one or several steps for each bucket of a chunk. Returns the replies in the order of the chunk. */
const byBucket = <A extends { readonly clientId: ClientId }>(
  chunk: ReadonlyArray<A>,
  step: (some: ReadonlyArray<A>) => (bucket: number) => Effect.Effect<ReadonlyArray<unknown>, RedisUnavailable>,
): Effect.Effect<ReadonlyArray<unknown>, RedisUnavailable> =>
  Effect.suspend(() => {
    const places = new Map<number, Array<number>>()
    chunk.forEach(({ clientId }, place) => {
      const bucket = bucketOf(clientId)
      const there = places.get(bucket)
      if (there === undefined) places.set(bucket, [place])
      else there.push(place)
    })
    const answers: Array<unknown> = []
    /** The steps of one bucket run one after another: invariant 1. */
    const inBucket = Effect.fnUntraced(function* ([bucket, there]: readonly [number, ReadonlyArray<number>]) {
      for (let from = 0; from < there.length; from += redisRegistryLimits.step_clients) {
        const some = there.slice(from, from + redisRegistryLimits.step_clients)
        const found = yield* step(some.map((place) => chunk[place]!))(bucket)
        some.forEach((place, i) => (answers[place] = found[i]))
      }
    })
    return Effect.as(Effect.forEach(places, inBucket, { concurrency: buckets, discard: true }), answers)
  })

/** The same encoding as `Status.encode`, for ids that need no escaping. The scripts use it. */
const usual = /^\{"_tag":"(OFFLINE|REPLAYING|LIVE)","epoch":\d+,"pod":"([^"]+)"(?:,"owner":"[^"]+")?\}$/

const holderOf = (stored: string | undefined): PodId | undefined => {
  const [, tag, pod] = usual.exec(stored ?? "") ?? []
  return tag === undefined || tag === "OFFLINE" || pod === undefined ? undefined : PodId.make(pod)
}

/** All entries of a bucket. An entry that is written meanwhile may appear twice. */
const scan = (redis: RedisConnection["Service"], key: string) =>
  Stream.paginate("0", (cursor) =>
    redis
      .command("hscan", [key, cursor, "count", redisRegistryLimits.scan_entries], (reply) => {
        const [next, fields] = Reply.list(reply)
        return { next: Reply.text(next) ?? "0", words: Reply.list(fields).map((field) => Reply.text(field) ?? "") }
      })
      .pipe(
        Effect.flatMap(({ next, words }) =>
          Effect.map(readEntries(words), (found) => [found, next === "0" ? Option.none() : Option.some(next)] as const),
        ),
      ),
  )

const isClientId = Schema.is(ClientId)

/** Clients and statuses alternate, as Redis returns them. */
const readEntries = (words: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Entry>> => {
  const entries: Array<Entry> = []
  const lost: Array<readonly [id: string, stored: string]> = []
  for (let i = 0; i + 1 < words.length; i += 2) {
    const [id = "", stored = ""] = [words[i], words[i + 1]]
    const status = Status.decode(stored)
    if (isClientId(id) && Result.isSuccess(status)) entries.push({ clientId: id, status: status.success })
    else lost.push([id, stored])
  }
  const tell = ([id, stored]: (typeof lost)[number]) =>
    Effect.logWarning("an entry of the registry can't be read and counts as lost", { id, stored })
  return Effect.as(Effect.forEach(lost, tell, { discard: true }), entries)
}

/** Numbers are formatted with `%.0f`, because Lua would round an epoch to 14 digits. */
const entryLua = `
local function read(client)
  local stored = redis.call('HGET', KEYS[1], client) or redis.call('HGET', KEYS[2], client)
  if not stored then return nil end
  local ok, status = pcall(cjson.decode, stored)
  if not ok or type(status) ~= 'table' or type(status.epoch) ~= 'number' then return nil end
  return status
end
local function write(client, tag, epoch, pod, owner)
  local of = ''
  if owner ~= '' then of = ',"owner":"' .. owner .. '"' end
  local isNew = redis.call('HSET', KEYS[1], client,
    '{"_tag":"' .. tag .. '","epoch":' .. string.format('%.0f', epoch) .. ',"pod":"' .. pod .. '"' .. of .. '}')
  if isNew == 1 then redis.call('HDEL', KEYS[2], client) end
end
`

/**
 * `Status.transition` of `Connect`. Returns the epoch, or nil if none is left, or in a list the pod where the session of
 * another owner is.
 */
const connectLua = `${entryLua}
local client, pod, epoch, owner, gone = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local from = read(client)
if from and from._tag ~= 'OFFLINE' and owner ~= '' and from.owner and from.owner ~= owner and from.pod ~= gone then
  return { from.pod }
end
if isFull and not from then return redis.error_reply('OOM no room for a client that is not known yet') end
if from then
  if from.epoch >= 9007199254740991 then return nil end
  epoch = math.max(from.epoch + 1, epoch)
end
write(client, 'REPLAYING', epoch, pod, owner)
return string.format('%.0f', epoch)
`

const connectScript = script(`local isFull = false ${connectLua}`)
const connectKnownScript = script(`local isFull = true ${connectLua}`, ["allow-oom"])

/**
 * `Status.transition` of `Sweep`, each with client, epoch, pod, status and owner. Returns 1 for one that was written, 0 for
 * one that is superseded.
 */
const writeLua = `${entryLua}
local held = {}
for i = 1, #ARGV, 5 do
  local client, epoch, pod, tag, owner = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local from = read(client)
  if from and (epoch < from.epoch or (epoch == from.epoch and pod ~= from.pod)) then
    held[#held + 1] = 0
  else
    if from or not isFull then write(client, tag, epoch, pod, owner) end
    held[#held + 1] = 1
  end
end
return held
`

const writeScript = script(`local isFull = false ${writeLua}`)
const writeKnownScript = script(`local isFull = true ${writeLua}`, ["allow-oom"])

/**
 * Returns 1 for each client that has no entry now, and 0 for one that is not OFFLINE. It frees memory, so it also runs
 * if Redis is full.
 */
const forgetScript = script(
  `${entryLua}
local gone = {}
for i = 1, #ARGV do
  local from = read(ARGV[i])
  if from and from._tag ~= 'OFFLINE' then
    gone[i] = 0
  else
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('HDEL', KEYS[2], ARGV[i])
    gone[i] = 1
  end
end
return gone
`,
  ["allow-oom"],
)

/** The stored entries of clients, in their order. */
const findScript = script(
  `
if #ARGV == 0 then return {} end
local found = redis.call('HMGET', KEYS[1], unpack(ARGV))
for i, status in ipairs(found) do
  if not status then found[i] = redis.call('HGET', KEYS[2], ARGV[i]) end
end
return found
`,
  ["no-writes"],
)

/**
 * Turns the bucket if it is time. Returns how many clients were forgotten. An entry that is not among the older ones
 * may have been written just now, even if the turn is late.
 */
const turnScript = script(
  `
local time = redis.call('TIME')
local now, idle = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[1])
local turned = tonumber(redis.call('GET', KEYS[3]) or nil)
if turned and now - turned < idle then return 0 end
redis.call('SET', KEYS[3], string.format('%.0f', now))
if not turned then return 0 end
local gone = redis.call('HLEN', KEYS[2])
redis.call('UNLINK', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
return gone
`,
  ["allow-oom"],
)

/** Writing a lease removes those that have run out. */
const leaseLua = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function keep(ttl_ms)
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + ttl_ms), ARGV[1])
end
`

const leaseScript = script(
  `${leaseLua}
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ends and tonumber(ends) > now then return 0 end
keep(tonumber(ARGV[2]))
return 1
`,
  ["allow-oom"],
)

/** Leases a name for a time. */
export const renewScript = script(`${leaseLua} keep(tonumber(ARGV[2]))`, ["allow-oom"])

/** The names whose lease has not run out. */
export const livePodsScript = script(
  `${leaseLua} return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')`,
  ["no-writes"],
)
