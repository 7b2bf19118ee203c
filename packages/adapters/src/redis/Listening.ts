/** What is published to a channel as a stream of batches: what is not read in time waits, up to a bound. */
import { channelLimits } from "@nimbus/domain/limits"
import { makeInboxes } from "@nimbus/domain/services"
import { Effect } from "effect"
import type { RedisConnection } from "./Connection.ts"

/** `decode` returns `undefined` for what is no frame of ours: it counts as lost. */
export const listen = Effect.fnUntraced(function* <A>(
  redis: RedisConnection["Service"],
  channel: string,
  decode: (frame: Uint8Array) => ReadonlyArray<A> | undefined,
) {
  // Of its own: another subscriber of the channel that falls behind holds back nothing here.
  const inbox = makeInboxes<"own", A>(channelLimits)
  const batches = yield* inbox.subscribe("own")
  yield* redis.subscribe(channel, (frame) => {
    const messages = decode(frame)
    if (messages !== undefined) inbox.offer("own", messages)
  })
  return batches
})
