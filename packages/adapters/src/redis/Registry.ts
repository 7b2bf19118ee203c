/**
 * The registry in Redis.
 *
 * ```
 *   {<prefix>:<shelf>}:clients   hash    client id ─▶ its status, as `Status.encode` writes it     shelf 0 to 15
 *   {<prefix>}:leases            zset    pod ─▶ when its lease runs out, in ms by the clock of Redis
 * ```
 *
 * 1. Every write is one script, which compares and writes as `Status.transition` does for `Connect` and `Sweep`. A
 *    client's shelf follows from its id, so what a chunk says of one client is written in the chunk's order.
 * 2. An entry that can't be read counts as lost, as the registry may lose any: it is logged, and the next write
 *    replaces it. So it stops nobody.
 * 3. Entries stay until Redis is wiped, or their clients are forgotten: about 150 bytes for each client ever seen. A full Redis refuses more of them: clients
 *    that it knows come and go as before, and leases too, for they are as many as there are pods.
 */
import {
  ClientId,
  type Entry,
  Epoch,
  IllegalTransition,
  murmur2,
  PodId,
  PodTaken,
  Registry,
  RegistryUnavailable,
  Status,
} from "@nimbus/domain"
import { Effect, Layer, Option, Result, Schema, Stream } from "effect"
import type { RedisUnavailable } from "../Errors.ts"
import { redisRegistryLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { type Script, script } from "./Script.ts"
import { isFull } from "./Watch.ts"

export const layer: Layer.Layer<Registry, never, RedisConnection> = Layer.effect(
  Registry,
  Effect.gen(function* () {
    const redis = yield* RedisConnection
    const shelfKey = (shelf: number) => `{${redis.prefix}:${shelf}}:clients`
    const leases = [`{${redis.prefix}}:leases`]
    /** As it stands in Redis, in the order asked. */
    const stored = (operation: string, clientIds: ReadonlyArray<ClientId>) =>
      shelved(
        clientIds.map((clientId) => ({ clientId })),
        (clients) => {
          const ids = clients.map(({ clientId }) => clientId)
          return (shelf) => redis.command("hmget", [shelfKey(shelf), ...ids], Reply.list)
        },
      ).pipe(
        Effect.map((found) => found.map((status) => Reply.text(status))),
        Effect.mapError(unavailable(operation)),
      )
    return Registry.of({
      connect: Effect.fnUntraced(
        function* (clientId, pod, atLeast) {
          const keys = [shelfKey(shelfOf(clientId))]
          const connect = (script: Script) => redis.run(script, keys, [clientId, pod, atLeast], Reply.number)
          const epoch = yield* evenIfFull(connect(connectScript), () => connect(connectKnownScript))
          return epoch === undefined ? yield* noEpochLeft() : Epoch.make(epoch)
        },
        (effect) => Effect.mapError(effect, unavailable("connect")),
      ),
      write: (presences) =>
        shelved(presences, (clients) => {
          const args = clients.flatMap(({ clientId, epoch, pod, status }) => [clientId, epoch, pod, status])
          const write = (shelf: number, script: Script) => redis.run(script, [shelfKey(shelf)], args, Reply.list)
          return (shelf) => evenIfFull(write(shelf, writeScript), () => write(shelf, writeKnownScript))
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
        shelved(
          clientIds.map((clientId) => ({ clientId })),
          (clients) => {
            const ids = clients.map(({ clientId }) => clientId)
            return (shelf) => redis.run(forgetScript, [shelfKey(shelf)], ids, Reply.list)
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
      entries: Stream.range(0, shelves - 1).pipe(
        Stream.flatMap((shelf) => scan(redis, shelfKey(shelf))),
        Stream.mapError(unavailable("entries")),
      ),
    })
  }),
)

/** Redis runs the second also where it is full: it must not add anything. */
const evenIfFull = <A>(usual: Effect.Effect<A, RedisUnavailable>, known: () => Effect.Effect<A, RedisUnavailable>) =>
  Effect.catch(usual, (error) => (isFull(error) ? known() : Effect.fail(error)))

const unavailable = (operation: string) => (cause: unknown) => new RegistryUnavailable({ operation, cause })

const ignore = (): void => {}

const noEpochLeft = () => new IllegalTransition({ from: "UNKNOWN", step: "Connect", reason: "no-epoch-left" })

/** So many hashes, each in a slot of its own, for a cluster of up to as many nodes. Another count would lose all entries. */
const shelves = 16

const encoder = new TextEncoder()
const shelfOf = (clientId: ClientId): number => murmur2(encoder.encode(clientId)) & (shelves - 1)

/** One step for each shelf of a chunk, or several if they are many; the answers in the order of the chunk. */
const shelved = <A extends { readonly clientId: ClientId }>(
  chunk: ReadonlyArray<A>,
  step: (some: ReadonlyArray<A>) => (shelf: number) => Effect.Effect<ReadonlyArray<unknown>, RedisUnavailable>,
): Effect.Effect<ReadonlyArray<unknown>, RedisUnavailable> =>
  Effect.suspend(() => {
    const places = new Map<number, Array<number>>()
    chunk.forEach(({ clientId }, place) => {
      const shelf = shelfOf(clientId)
      const there = places.get(shelf)
      if (there === undefined) places.set(shelf, [place])
      else there.push(place)
    })
    const answers: Array<unknown> = []
    /** The steps of one shelf come one after the other: invariant 1. */
    const onShelf = Effect.fnUntraced(function* ([shelf, there]: readonly [number, ReadonlyArray<number>]) {
      for (let from = 0; from < there.length; from += redisRegistryLimits.step_clients) {
        const some = there.slice(from, from + redisRegistryLimits.step_clients)
        const found = yield* step(some.map((place) => chunk[place]!))(shelf)
        some.forEach((place, i) => (answers[place] = found[i]))
      }
    })
    return Effect.as(Effect.forEach(places, onShelf, { concurrency: shelves, discard: true }), answers)
  })

/** What `Status.encode` writes, for ids that need no escaping: in the scripts too. */
const usual = /^\{"_tag":"(OFFLINE|REPLAYING|LIVE)","epoch":\d+,"pod":"([^"]+)"\}$/

const holderOf = (stored: string | undefined): PodId | undefined => {
  const [, tag, pod] = usual.exec(stored ?? "") ?? []
  return tag === undefined || tag === "OFFLINE" || pod === undefined ? undefined : PodId.make(pod)
}

/** All entries of a shelf. One that is written meanwhile may come twice. */
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

/** Client and status by turns, as Redis has them. */
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

/** Numbers go by `%.0f`: Lua would round an epoch to 14 digits. */
const entryLua = `
local function read(key, client)
  local stored = redis.call('HGET', key, client)
  if not stored then return nil end
  local ok, status = pcall(cjson.decode, stored)
  if not ok or type(status) ~= 'table' or type(status.epoch) ~= 'number' then return nil end
  return status
end
local function write(key, client, tag, epoch, pod)
  redis.call('HSET', key, client,
    '{"_tag":"' .. tag .. '","epoch":' .. string.format('%.0f', epoch) .. ',"pod":"' .. pod .. '"}')
end
`

/** `Status.transition` of `Connect`: answers the epoch, or nil where none is left. */
const connectLua = `${entryLua}
local client, pod, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3])
local from = read(KEYS[1], client)
if isFull and not from then return redis.error_reply('OOM no room for a client that is not known yet') end
if from then
  if from.epoch >= 9007199254740991 then return nil end
  epoch = math.max(from.epoch + 1, epoch)
end
write(KEYS[1], client, 'REPLAYING', epoch, pod)
return string.format('%.0f', epoch)
`

const connectScript = script(`local isFull = false ${connectLua}`)
const connectKnownScript = script(`local isFull = true ${connectLua}`, ["allow-oom"])

/** `Status.transition` of `Sweep`, of client, epoch, pod, status each: answers 1 for one that held, 0 for one superseded. */
const writeLua = `${entryLua}
local held = {}
for i = 1, #ARGV, 4 do
  local client, epoch, pod, tag = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  local from = read(KEYS[1], client)
  if from and (epoch < from.epoch or (epoch == from.epoch and pod ~= from.pod)) then
    held[#held + 1] = 0
  else
    if from or not isFull then write(KEYS[1], client, tag, epoch, pod) end
    held[#held + 1] = 1
  end
end
return held
`

const writeScript = script(`local isFull = false ${writeLua}`)
const writeKnownScript = script(`local isFull = true ${writeLua}`, ["allow-oom"])

/** Answers 1 for each client that has no entry now, 0 for one that is not OFFLINE. It frees memory: it runs where Redis is full. */
const forgetScript = script(
  `${entryLua}
local gone = {}
for i = 1, #ARGV do
  local from = read(KEYS[1], ARGV[i])
  if from and from._tag ~= 'OFFLINE' then
    gone[i] = 0
  else
    redis.call('HDEL', KEYS[1], ARGV[i])
    gone[i] = 1
  end
end
return gone
`,
  ["allow-oom"],
)

/** Leases that have run out are removed where new ones are written. */
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

/** Keeps a name for so long. */
export const renewScript = script(`${leaseLua} keep(tonumber(ARGV[2]))`, ["allow-oom"])

/** Those whose time is not over. */
export const livePodsScript = script(
  `${leaseLua} return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')`,
  ["no-writes"],
)
