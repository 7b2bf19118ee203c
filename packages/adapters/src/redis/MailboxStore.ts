/**
 * Notes in Redis which store keeps the mailboxes, and by which protocol results are put there. Processes that disagreed
 * would each see a part of the results, or lose results of each other.
 *
 * ```
 *   no note                                ─▶ write ours
 *   our note                               ─▶ start
 *   the same store by the previous protocol, no process runs ─▶ write ours: the upgrade of docs/operations.md
 *                                             a process runs ─▶ refuse
 *   another store, or a later protocol      ─▶ refuse
 * ```
 *
 * The note remains when all processes have stopped, because the mailboxes remain too. An operator who moves to another
 * store removes the key `{<prefix>}:mailboxes` when the mailboxes are empty. A process with the previous protocol takes
 * this note for one of another store, and does not start either.
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

/**
 * The version of the rules by which the processes of an installation cooperate. The note of version 1 was only the
 * store.
 */
const protocol = 2

type Store = "redis" | "postgres"

const noteOf = (store: Store): string => `${store}, protocol ${protocol}`

/**
 * Writes a few bytes, also if Redis is full. Keys: the note, and those of the members. Arguments: our note, and that of
 * the previous protocol. Returns the present note and, if it is the previous one, the members that run.
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

/** Writes the note, and repeats that periodically, because Redis may have lost it; or fails. */
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

/** A member has its name and host, and a gateway also its pod. */
const nameOf = (running: string): string => {
  const member = decodeMember(running)
  return member._tag === "None" ? running : `${member.value.role} at ${member.value.address}`
}
