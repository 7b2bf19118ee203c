/**
 * The way of direct delivery's offsets into their store: the latest of each client only, a little later, all together.
 * A store that fails costs a longer catch-up: the next ack, or the sweep, saves again.
 */
import type { ClientId } from "@nimbus/domain/protocol"
import { type ClientOffset, ClientOffsets, type OffsetOwner } from "@nimbus/domain/services"
import { Effect, type Scope } from "effect"
import type { Counts } from "../../Metrics.ts"
import { makeFlusher } from "../Flusher.ts"

/** Whose offsets these are. */
export interface Saved {
  readonly clientId: ClientId
  /** What there is to save. */
  readonly fact: (OffsetOwner & ClientOffset) | undefined
  /** Somebody newer may be elsewhere. */
  sweep(): void
}

export interface OffsetSaver {
  /** Soon. Of a connection that closes: as it is now. */
  save(connection: Saved): void
  /** What waits of this client. */
  saveNow(clientId: ClientId): Effect.Effect<void>
}

export const makeOffsetSaver = (
  save_ms: number,
  counts: Counts,
): Effect.Effect<OffsetSaver, never, ClientOffsets | Scope.Scope> =>
  Effect.gen(function* () {
    const offsets = yield* ClientOffsets
    let waiting = new Map<ClientId, { readonly connection: Saved; fact: OffsetOwner & ClientOffset }>()

    const flush = Effect.suspend(() => {
      if (waiting.size === 0) return Effect.void
      const batch = [...waiting.values()]
      waiting = new Map()
      return Effect.match(offsets.save(batch.map(({ fact }) => fact)), {
        onFailure: () => counts.addTo("failed", "save offsets"),
        onSuccess: (newest) => batch.forEach(({ connection }, i) => newest[i] === false && connection.sweep()),
      })
    })
    const soon = yield* makeFlusher(flush, save_ms)
    return {
      save(connection) {
        const fact = connection.fact
        if (fact === undefined) return
        const known = waiting.get(connection.clientId)
        if (known !== undefined && known.fact.epoch > fact.epoch) return
        waiting.set(connection.clientId, { connection, fact })
        soon.wake()
      },
      saveNow: (clientId) => Effect.suspend(() => (waiting.has(clientId) ? flush : Effect.void)),
    }
  })
