/**
 * Datagrams to one gateway. They may be lost, delayed and reordered, and are not stored.
 *
 * Contract, checked by `podChannelSuite` of `@nimbus/domain/testing`: a publish that returns `false` had no receiver.
 * `true` guarantees nothing. A subscriber that falls behind loses whole publishes, and these return `false` if the
 * implementation can detect it.
 */
import { Context, type Effect, type Scope, type Stream } from "effect"
import type { ChannelUnavailable, PodTaken } from "../Errors.ts"
import type { PodId } from "../protocol/Ids.ts"
import type { PodMessage } from "../protocol/Records.ts"

/**
 * Carries pushes and operator commands to one gateway. Messages may be lost: the router then diverts to the mailbox.
 */
export class PodChannel extends Context.Service<
  PodChannel,
  {
    /** Sends a batch to a pod in one go; returns whether anyone received it. */
    publish(pod: PodId, messages: ReadonlyArray<PodMessage>): Effect.Effect<boolean, ChannelUnavailable>
    /**
     * From the moment this is done, what is published to the pod comes in on the stream, in batches. Refused where
     * another live pod has the channel that this one is to listen to.
     */
    subscribe(
      pod: PodId,
    ): Effect.Effect<
      Stream.Stream<ReadonlyArray<PodMessage>, ChannelUnavailable>,
      ChannelUnavailable | PodTaken,
      Scope.Scope
    >
  }
>()("@nimbus/domain/PodChannel") {}
