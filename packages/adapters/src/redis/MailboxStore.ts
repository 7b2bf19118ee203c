/**
 * Which store keeps the mailboxes, and by which protocol results get there, noted in Redis: processes that disagreed
 * would each see half of the results, or lose some of each other's.
 *
 * ```
 *   nothing is noted      ─▶ note ours
 *   ours                  ─▶ start
 *   the same store by the protocol before, and nobody runs ─▶ note ours: the change-over of docs/operations.md
 *                                           and somebody runs ─▶ refuse
 *   another store, or a later protocol      ─▶ refuse
 * ```
 *
 * It stays noted when all have stopped, for the mailboxes stay too: an operator who moves to another store, when they
 * are empty, removes the key `{<prefix>}:mailboxes`. A process of the protocol before takes our note for that of
 * another store, and refuses too.
 */
import { logFailure } from "@nimbus/domain/services"
import { Effect, Layer, Schedule } from "effect"
import { OtherMailboxStore, OtherProtocol, type RedisUnavailable } from "../Errors.ts"
import { redisNoteLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import { decodeMember, membersKey } from "./Members.ts"
import { leasesKey } from "./Registry.ts"
import * as Reply from "./Reply.ts"
import { script } from "./Script.ts"

/** By which processes of one installation work together. 1: the order of a partition; its note was the store alone. */
const protocol = 2

type Store = "redis" | "postgres"

const noteOf = (store: Store): string => `${store}, protocol ${protocol}`

/**
 * A few bytes, which a full Redis takes too. Keys: the note, and those of who runs. Arguments: our note, and that of
 * the protocol before. Returns the note that stands, and if that is the one before, who runs.
 */
const noteScript = script(
  `
local stored = redis.call('GET', KEYS[1])
if stored == ARGV[1] then return { stored } end
if stored and stored ~= ARGV[2] then return { stored } end
if stored then
  local time = redis.call('TIME')
  local now = string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  local running = redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')
  for _, pod in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], now, '+inf')) do running[#running + 1] = pod end
  if #running > 0 then return { stored, unpack(running, 1, math.min(#running, 32)) } end
end
redis.call('SET', KEYS[1], ARGV[1])
return { ARGV[1] }
`,
  ["allow-oom"],
)

/** Notes the store, and again periodically for a Redis that has lost it; or refuses. */
export const layer = (
  store: Store,
): Layer.Layer<never, OtherMailboxStore | OtherProtocol | RedisUnavailable, RedisConnection> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const redis = yield* RedisConnection
      const key = `{${redis.prefix}}:mailboxes`
      const keys = [key, membersKey(redis.prefix), leasesKey(redis.prefix)]
      const note = redis
        .run(noteScript, keys, [noteOf(store), store], (reply) =>
          Reply.list(reply).map((text) => Reply.text(text) ?? ""),
        )
        .pipe(Effect.flatMap(([stored = "", ...running]) => judge(store, key, stored, running)))
      yield* note
      yield* Effect.catch(note, (error) => logFailure("note the mailbox store", error)).pipe(
        Effect.delay(redisNoteLimits.note_every_ms),
        Effect.repeat(Schedule.forever),
        Effect.forkScoped,
      )
    }),
  )

const judge = (
  store: Store,
  key: string,
  stored: string,
  running: ReadonlyArray<string>,
): Effect.Effect<void, OtherMailboxStore | OtherProtocol> => {
  if (stored === noteOf(store)) return Effect.void
  const { by, where } = read(stored)
  return where === store && by !== protocol
    ? Effect.fail(new OtherProtocol({ stored: by, ours: protocol, running: running.map(nameOf), key }))
    : Effect.fail(new OtherMailboxStore({ stored: where, configured: store, key }))
}

const read = (note: string) => {
  const [where = note, by = "protocol 1"] = note.split(", ")
  return { where, by: Number(by.replace("protocol ", "")) }
}

/** A member says who it is and where; of a gateway there is its pod as well. */
const nameOf = (running: string): string => {
  const member = decodeMember(running)
  return member._tag === "None" ? running : `${member.value.role} at ${member.value.address}`
}
