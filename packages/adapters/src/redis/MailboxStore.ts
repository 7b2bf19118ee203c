/**
 * Which store keeps the mailboxes, noted in Redis: processes that disagreed would each see half of the results. The first
 * to start notes it; one configured otherwise refuses to start. It stays noted when all have stopped, for the mailboxes
 * stay too: whoever moves to another store, when they are empty, removes the key `{<prefix>}:mailboxes`.
 */
import { tellFailure } from "@nimbus/domain"
import { Effect, Layer, Schedule } from "effect"
import { OtherMailboxStore, type RedisUnavailable } from "../Errors.ts"
import { redisNoteLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { script } from "./Script.ts"

/** A few bytes, which a full Redis takes too. */
const noteScript = script(
  `
local stored = redis.call('GET', KEYS[1])
if stored then return stored end
redis.call('SET', KEYS[1], ARGV[1])
return nil
`,
  ["allow-oom"],
)

/** Notes the store, and again now and then for a Redis that has lost it; or refuses. */
export const layer = (
  store: "redis" | "postgres",
): Layer.Layer<never, OtherMailboxStore | RedisUnavailable, RedisConnection> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const redis = yield* RedisConnection
      const key = `{${redis.prefix}}:mailboxes`
      const note = redis
        .run(noteScript, [key], [store], Reply.text)
        .pipe(
          Effect.flatMap((stored = store) =>
            stored === store ? Effect.void : Effect.fail(new OtherMailboxStore({ stored, configured: store, key })),
          ),
        )
      yield* note
      yield* Effect.catch(note, (error) => tellFailure("note the mailbox store", error)).pipe(
        Effect.delay(redisNoteLimits.note_every_ms),
        Effect.repeat(Schedule.forever),
        Effect.forkScoped,
      )
    }),
  )
