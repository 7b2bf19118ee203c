/**
 * Sends acks and nacks to the routers, and trims to the mailboxes, in batches. Only the latest of each is kept per client,
 * because acks are cumulative. What waits here is therefore bounded by the number of sessions.
 */
import { registerSize } from "@nimbus/domain/observability"
import type { AckMessage, ClientId, Cursor, RouteId } from "@nimbus/domain/protocol"
import { AckChannel, Mailbox } from "@nimbus/domain/services"
import { Effect, type Scope } from "effect"
import type { Counts } from "../Metrics.ts"
import { makeFlusher } from "./Flusher.ts"

export interface AckSender {
  ack(partition: number, clientId: ClientId, seq: Cursor): void
  nack(partition: number, clientId: ClientId, route: RouteId | undefined): void
  trim(clientId: ClientId, seq: Cursor): void
  /** Carries out a trim of this client that still waits. */
  trimNow(clientId: ClientId): Effect.Effect<void>
}

interface Waiting {
  readonly acks: Map<ClientId, AckMessage>
  readonly nacks: Map<ClientId, AckMessage>
}

export const makeAckSender = (
  trim_ms: number,
  counts: Counts,
): Effect.Effect<AckSender, never, AckChannel | Mailbox | Scope.Scope> =>
  Effect.gen(function* () {
    const channel = yield* AckChannel
    const mailbox = yield* Mailbox
    const waiting = new Map<number, Waiting>()
    let trims = new Map<ClientId, Cursor>()

    // Lost acks and nacks cost latency only, and a trim that failed is made again by the sweep.
    const tolerate = (operation: string) => () => Effect.sync(() => counts.addTo("failed", operation))

    const sendAcks = Effect.suspend(() => {
      const batches = [...waiting]
      waiting.clear()
      return Effect.forEach(
        batches,
        ([partition, { acks, nacks }]) =>
          Effect.catch(channel.publish(partition, [...nacks.values(), ...acks.values()]), tolerate("publish acks")),
        { discard: true },
      )
    })
    const sendTrims = Effect.suspend(() => {
      if (trims.size === 0) return Effect.void
      const batch = Array.from(trims, ([clientId, seq]) => ({ clientId, seq }))
      trims = new Map()
      return Effect.catch(mailbox.ack(batch), tolerate("trim mailboxes"))
    })
    yield* registerSize("outbox", {
      get size() {
        let [acks, nacks] = [0, 0]
        for (const batch of waiting.values()) {
          acks += batch.acks.size
          nacks += batch.nacks.size
        }
        return { acks, nacks, trims: trims.size }
      },
    })
    const acksSoon = yield* makeFlusher(sendAcks)
    const trimsSoon = yield* makeFlusher(sendTrims, trim_ms)

    const of = (partition: number): Waiting => {
      let batch = waiting.get(partition)
      if (batch === undefined) {
        batch = { acks: new Map(), nacks: new Map() }
        waiting.set(partition, batch)
        acksSoon.wake()
      }
      return batch
    }
    return {
      ack: (partition, clientId, seq) => void of(partition).acks.set(clientId, { _tag: "Ack", clientId, seq }),
      nack: (partition, clientId, route) =>
        void of(partition).nacks.set(clientId, { _tag: "Nack", clientId, ...(route === undefined ? {} : { route }) }),
      trim: (clientId, seq) => {
        if (trims.size === 0) trimsSoon.wake()
        trims.set(clientId, seq)
      },
      trimNow: (clientId) => Effect.suspend(() => (trims.has(clientId) ? sendTrims : Effect.void)),
    }
  })
