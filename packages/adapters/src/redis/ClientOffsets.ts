/**
 * The offsets of direct delivery in Redis.
 *
 * ```
 *   <prefix>:offset:<client id>   hash   log, epoch, offset, seq    expires `offset_ttl_ms` after the last write
 * ```
 *
 * Every call is one script on one key, so that the keys can be in any slot of a cluster. The calls of a chunk are sent
 * together.
 */
import { OffsetsUnavailable } from "@nimbus/domain/errors"
import { type ClientId, Cursor } from "@nimbus/domain/protocol"
import { ClientOffsets } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { redisOffsetsLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { script } from "./Script.ts"

/** The offsets of direct delivery in Redis. */
export const layer: Layer.Layer<ClientOffsets, never, RedisConnection> = Layer.effect(
  ClientOffsets,
  Effect.map(RedisConnection, (redis) => {
    const { offset_ttl_ms, saves_at_once } = redisOffsetsLimits
    const key = (clientId: ClientId) => `${redis.prefix}:offset:${clientId}`
    return ClientOffsets.of({
      load: ({ clientId, epoch, log }) =>
        redis
          .run(loadScript, [key(clientId)], [log, epoch, offset_ttl_ms], (reply) => {
            const [offset, seq] = Reply.list(reply).map(Reply.number)
            return offset === undefined || seq === undefined ? undefined : { offset, seq: Cursor.make(seq) }
          })
          .pipe(Effect.mapError(unavailable("load"))),
      save: (facts) =>
        Effect.forEach(
          facts,
          ({ clientId, epoch, log, offset, seq }) =>
            redis.run(saveScript, [key(clientId)], [log, epoch, offset_ttl_ms, offset, seq], Reply.integer),
          { concurrency: saves_at_once },
        ).pipe(
          Effect.map((answers) => answers.map((answer) => answer === 1)),
          Effect.mapError(unavailable("save")),
        ),
    })
  }),
)

const unavailable = (operation: string) => (cause: unknown) => new OffsetsUnavailable({ operation, cause })

/**
 * An offset of another log is ignored. Numbers are formatted with `%.0f`, because Lua would round them to 14 digits.
 */
const lua = `
local key, log, epoch, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local stored = redis.call('HMGET', key, 'log', 'epoch', 'offset', 'seq')
if stored[1] ~= log then
  if stored[1] then redis.call('DEL', key) end
  stored = { log, false, false, false }
end
local function raise(field, value, old)
  if old and tonumber(old) >= tonumber(value) then return end
  redis.call('HSET', key, 'log', log, field, string.format('%.0f', tonumber(value)))
end
local isNewest = not stored[2] or tonumber(stored[2]) <= tonumber(epoch)
raise('epoch', epoch, stored[2])
redis.call('PEXPIRE', key, ttl)
`

const loadScript = script(`${lua} return { stored[3], stored[4] }`)

const saveScript = script(`${lua}
raise('offset', ARGV[4], stored[3])
raise('seq', ARGV[5], stored[4])
return isNewest and 1 or 0
`)
