/**
 * The processes of an installation in Redis.
 *
 *     {<prefix>}:members    zset    member, as JSON ─▶ when its time is over, in ms by the clock of Redis
 */
import { RegistryUnavailable } from "@nimbus/domain/errors"
import { Member, Members } from "@nimbus/domain/services"
import { Effect, Layer, Option, Schema } from "effect"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { livePodsScript, renewScript } from "./Registry.ts"

const json = Schema.fromJsonString(Member)
const encode = Schema.encodeSync(json)
const decode = Schema.decodeOption(json)

/** Of the processes that run. */
export const membersKey = (prefix: string): string => `{${prefix}}:members`

/** None: it is no member, or another version has written it otherwise. */
export const decodeMember = (text: string): Option.Option<Member> => decode(text)

/** The members of a cluster in Redis. */
export const layer: Layer.Layer<Members, never, RedisConnection> = Layer.effect(
  Members,
  Effect.map(RedisConnection, (redis) => {
    const keys = [membersKey(redis.prefix)]
    return Members.of({
      announce: (member, ttl_ms) =>
        redis.run(renewScript, keys, [encode(member), ttl_ms], () => {}).pipe(Effect.mapError(unavailable("announce"))),
      withdraw: (member) =>
        redis.command("zrem", [...keys, encode(member)], () => {}).pipe(Effect.mapError(unavailable("withdraw"))),
      // One that another version has written otherwise is left out.
      all: redis
        .run(livePodsScript, keys, [], (reply) =>
          Reply.list(reply).flatMap((text) => Option.toArray(decodeMember(Reply.text(text) ?? ""))),
        )
        .pipe(Effect.mapError(unavailable("members"))),
    })
  }),
)

const unavailable = (operation: string) => (cause: unknown) => new RegistryUnavailable({ operation, cause })
