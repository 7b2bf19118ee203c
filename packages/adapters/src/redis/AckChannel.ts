/**
 * Ack channels by pub/sub: `<prefix>:acks:<partition>`. One publish carries a batch, as a frame. Nothing is stored: a
 * message is lost if its subscriber has no connection, or too many messages waiting.
 */
import { ChannelUnavailable } from "@nimbus/domain/errors"
import { AckChannel } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { RedisConnection } from "./Connection.ts"
import { decodeAckFrame, encodeFrame } from "./Frames.ts"
import { listen } from "./Listening.ts"

/** The ack channel on the pub/sub of Redis. */
export const layer: Layer.Layer<AckChannel, never, RedisConnection> = Layer.effect(
  AckChannel,
  Effect.gen(function* () {
    const redis = yield* RedisConnection
    const channelOf = (partition: number) => `${redis.prefix}:acks:${partition}`
    const unavailable = (partition: number) =>
      Effect.mapError((cause: unknown) => new ChannelUnavailable({ channel: channelOf(partition), cause }))

    return AckChannel.of({
      publish: (partition, messages) =>
        messages.length === 0
          ? Effect.void
          : Effect.suspend(() => redis.publish(channelOf(partition), encodeFrame(messages))).pipe(
              Effect.asVoid,
              unavailable(partition),
            ),
      subscribe: (partition) => listen(redis, channelOf(partition), decodeAckFrame).pipe(unavailable(partition)),
    })
  }),
)
