/**
 * The processes of an installation in Redis.
 *
 *     {<prefix>}:members    zset    member, as JSON ─▶ the end of its lease, in ms by the clock of Redis
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

/** The members that run. */
export const membersKey = (prefix: string): string => `{${prefix}}:members`

/** `None` if it is not a member, or if another version wrote it in another way. */
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
      // A member that another version wrote in another way is left out.
      all: redis
        .run(livePodsScript, keys, [], (reply) =>
          Reply.list(reply).flatMap((text) => Option.toArray(decodeMember(Reply.text(text) ?? ""))),
        )
        .pipe(Effect.mapError(unavailable("members"))),
    })
  }),
)

const unavailable = (operation: string) => (cause: unknown) => new RegistryUnavailable({ operation, cause })
