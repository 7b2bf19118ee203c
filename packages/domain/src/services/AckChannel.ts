/**
 * Acks and nacks from gateways to the router of a partition. They may be lost and reordered, and are not stored.
 *
 * Contract, checked by `ackChannelSuite` of `@nimbus/domain/testing`. A loss costs latency only: a repeated push
 * repeats the ack, and the router diverts results that stay unacknowledged.
 */
import { Context, type Effect, type Scope, type Stream } from "effect"
import type { ChannelUnavailable } from "../Errors.ts"
import type { AckMessage } from "../protocol/Records.ts"

/**
 * Carries acks and nacks from gateways to the router of a partition. Messages may be lost: the router then waits for a
 * repetition.
 */
export class AckChannel extends Context.Service<
  AckChannel,
  {
    /** Sends a batch to the routers of this partition at present: none, one or several. */
    publish(partition: number, messages: ReadonlyArray<AckMessage>): Effect.Effect<void, ChannelUnavailable>
    subscribe(
      partition: number,
    ): Effect.Effect<Stream.Stream<ReadonlyArray<AckMessage>, ChannelUnavailable>, ChannelUnavailable, Scope.Scope>
  }
>()("@nimbus/domain/AckChannel") {}
