/**
 * Pod channels by pub/sub: one publish carries a chunk for one pod, as a frame.
 *
 * ```
 *   <prefix>:pod:<pod id>          the channel of a pod, unless it is configured
 *   {<prefix>}:channels    hash    channel ─▶ the pod that listens, of pods with a configured channel
 *   {<prefix>}:listeners   hash    pod ─▶ its channel, of these pods
 *   {<prefix>}:leases      zset    the leases of pods: see Registry.ts
 * ```
 *
 * 1. A configured channel is leased with its pod: no other pod can subscribe to it while the lease of the pod lasts.
 * 2. A publisher reads the channel of a pod once. It reads it again after a message had no receiver, because Redis may
 *    have lost the note, which the pod repeats periodically.
 * 3. Nothing is stored: a message is lost if its subscriber has no connection, or too many messages waiting.
 */
import { ChannelUnavailable, PodTaken } from "@nimbus/domain/errors"
import type { PodId } from "@nimbus/domain/protocol"
import { PodChannel, logFailure } from "@nimbus/domain/services"
import { Config, Effect, Layer, Option, Schedule, type Scope } from "effect"
import type { RedisUnavailable } from "../Errors.ts"
import { redisNoteLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import { decodePodFrame, encodeFrame } from "./Frames.ts"
import { listen } from "./Listening.ts"
import * as Reply from "./Reply.ts"
import { script } from "./Script.ts"

/** The options of the channel of this process. */
export interface PodChannelOptions {
  /** The channel of the pod of this process. Default: a channel with the id of the pod. */
  readonly channel?: string | undefined
}

/** The pod channel on the pub/sub of Redis. */
export const layerWith = (options: PodChannelOptions): Layer.Layer<PodChannel, never, RedisConnection> =>
  Layer.effect(PodChannel, make(options))

/** The channel is `NIMBUS_REDIS_EVENTS_CHANNEL`. */
export const config: Config.Config<PodChannelOptions> = Config.map(
  Config.option(Config.NonEmptyString("NIMBUS_REDIS_EVENTS_CHANNEL")),
  (channel) => ({ channel: Option.getOrUndefined(channel) }),
)

const make = Effect.fnUntraced(function* (options: PodChannelOptions) {
  const redis = yield* RedisConnection
  const names = makeNames(redis)
  return PodChannel.of({
    publish: Effect.fnUntraced(
      function* (pod, messages) {
        if (messages.length === 0) return true
        const channel = yield* names.of(pod)
        const received = yield* redis.publish(channel, encodeFrame(messages))
        if (received === 0) names.forget(pod)
        return received > 0
      },
      (effect, pod) => Effect.mapError(effect, unavailable(pod)),
    ),
    subscribe: Effect.fnUntraced(
      function* (pod) {
        const channel = options.channel ?? names.usual(pod)
        if (options.channel !== undefined) yield* names.keep(pod, options.channel)
        return yield* listen(redis, channel, decodePodFrame)
      },
      (effect, pod) =>
        Effect.catchTag(effect, "RedisUnavailable", (cause) => Effect.fail(unavailable(options.channel ?? pod)(cause))),
    ),
  })
})

const unavailable = (channel: string) => (cause: RedisUnavailable) => new ChannelUnavailable({ channel, cause })

/** The notes of which pod subscribes to which channel. */
const makeNames = (redis: RedisConnection["Service"]) => {
  const keys = ["leases", "channels", "listeners"].map((name) => `{${redis.prefix}}:${name}`)
  const known = new Map<PodId, string>()
  const usual = (pod: PodId) => `${redis.prefix}:pod:${pod}`

  /** Leases the channel, or fails with the pod that has it. */
  const note = Effect.fnUntraced(function* (pod: PodId, channel: string) {
    const holder = yield* redis.run(noteScript, keys, [channel, pod], Reply.text)
    if (holder !== undefined) return yield* new PodTaken({ pod: holder })
  })
  const drop = (pod: PodId, channel: string) => redis.run(dropScript, keys, [channel, pod], () => {})

  return {
    usual,
    of: (pod: PodId): Effect.Effect<string, RedisUnavailable> =>
      Effect.suspend(() => {
        const found = known.get(pod)
        if (found !== undefined) return Effect.succeed(found)
        return Effect.map(redis.command("hget", [keys[2]!, pod], Reply.text), (named) => {
          const channel = named ?? usual(pod)
          if (known.size >= redisNoteLimits.known_pods) known.clear()
          known.set(pod, channel)
          return channel
        })
      }),
    forget: (pod: PodId) => void known.delete(pod),
    /** Leases the channel until the scope closes. */
    keep: (pod: PodId, channel: string): Effect.Effect<void, PodTaken | RedisUnavailable, Scope.Scope> =>
      Effect.acquireRelease(note(pod, channel), () =>
        Effect.catch(drop(pod, channel), (error) => logFailure(`give back the channel ${channel}`, error)),
      ).pipe(
        Effect.andThen(
          Effect.catch(note(pod, channel), (error) => logFailure(`take the channel ${channel}`, error)).pipe(
            Effect.delay(redisNoteLimits.note_every_ms),
            Effect.repeat(Schedule.forever),
            Effect.forkScoped,
          ),
        ),
        Effect.asVoid,
      ),
  }
}

/** Notes that a pod subscribes to a channel. Returns the pod that has a lease on it, or nil. */
const noteScript = script(
  `
local channel, pod = ARGV[1], ARGV[2]
local holder = redis.call('HGET', KEYS[2], channel)
if holder and holder ~= pod then
  local time = redis.call('TIME')
  local ends = redis.call('ZSCORE', KEYS[1], holder)
  if ends and tonumber(ends) > time[1] * 1000 + math.floor(time[2] / 1000) then return holder end
  redis.call('HDEL', KEYS[3], holder)
end
redis.call('HSET', KEYS[2], channel, pod)
redis.call('HSET', KEYS[3], pod, channel)
return nil
`,
  ["allow-oom"],
)

const dropScript = script(`
local channel, pod = ARGV[1], ARGV[2]
redis.call('HDEL', KEYS[3], pod)
if redis.call('HGET', KEYS[2], channel) == pod then redis.call('HDEL', KEYS[2], channel) end
`)
