/** The messages of a channel as a stream of batches. Unread messages wait, up to a bound. */
import { channelLimits } from "@nimbus/domain/limits"
import { makeInboxes } from "@nimbus/domain/services"
import { Effect } from "effect"
import type { RedisConnection } from "./Connection.ts"

/** `decode` returns `undefined` for bytes that are not a frame. They count as lost. */
export const listen = Effect.fnUntraced(function* <A>(
  redis: RedisConnection["Service"],
  channel: string,
  decode: (frame: Uint8Array) => ReadonlyArray<A> | undefined,
) {
  // Each subscriber has its own queue, so a slow one does not delay the others.
  const inbox = makeInboxes<"own", A>(channelLimits)
  const batches = yield* inbox.subscribe("own")
  yield* redis.subscribe(channel, (frame) => {
    const messages = decode(frame)
    if (messages !== undefined) inbox.offer("own", messages)
  })
  return batches
})
