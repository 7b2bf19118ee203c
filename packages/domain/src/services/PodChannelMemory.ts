/**
 * Pod channels within one process: for the embedded server, tests and simulation. Nothing is copied and nothing is
 * reordered; a subscriber that is `waiting_messages` behind loses whole publishes, and those answer `false`.
 */
import { Effect, Layer } from "effect"
import type { PodId } from "../protocol/Ids.ts"
import { makeInboxes } from "./Inbox.ts"
import { type ChannelLimits, channelLimits } from "../Limits.ts"
import { PodChannel } from "./PodChannel.ts"
import type { PodMessage } from "../protocol/Records.ts"

/** A channel between the pods of this process. */
export const layerMemory = (limits: ChannelLimits = channelLimits): Layer.Layer<PodChannel> =>
  Layer.sync(PodChannel, () => makeMemory(limits))

/** The same as a value. A subscriber with more than `waiting_messages` unread loses whole publishes. */
export const makeMemory = (limits: ChannelLimits = channelLimits): PodChannel["Service"] => {
  const inboxes = makeInboxes<PodId, PodMessage>(limits)
  return {
    publish: (pod, messages) => Effect.sync(() => inboxes.offer(pod, messages)),
    subscribe: (pod) => inboxes.subscribe(pod),
  }
}
