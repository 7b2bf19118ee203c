/**
 * Ack channels within one process: for the embedded server, tests and simulation. Every subscriber of a partition gets
 * every publish, in order and uncopied; one that is `waiting_messages` behind loses whole publishes.
 */
import { Effect, Layer } from "effect"
import { AckChannel } from "./AckChannel.ts"
import { makeInboxes } from "./Inbox.ts"
import { type ChannelLimits, channelLimits } from "../Limits.ts"
import type { AckMessage } from "../protocol/Records.ts"

/** A channel between the gateways and the routers of this process. */
export const layerMemory = (limits: ChannelLimits = channelLimits): Layer.Layer<AckChannel> =>
  Layer.sync(AckChannel, () => makeMemory(limits))

/** The same as a value. A subscriber with more than `waiting_messages` unread loses whole publishes. */
export const makeMemory = (limits: ChannelLimits = channelLimits): AckChannel["Service"] => {
  const inboxes = makeInboxes<number, AckMessage>(limits)
  return {
    publish: (partition, messages) => Effect.sync(() => void inboxes.offer(partition, messages)),
    subscribe: (partition) => inboxes.subscribe(partition),
  }
}
