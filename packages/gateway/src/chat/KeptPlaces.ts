/**
 * Where sockets that name themselves have come to, for clients that don't give back an offset: Socket.IO's for Python, for
 * Java, and those for JavaScript before 4.6.
 *
 * A place only rises, whichever socket of that name says so: it means that this client has everything below it. It is
 * saved a little later, all together; what is lost on the way, with a gateway or a store, makes messages come again.
 */
import { createHash } from "node:crypto"
import type { OffsetsUnavailable } from "@nimbus/domain/errors"
import { ClientId, Epoch, start } from "@nimbus/domain/protocol"
import { type ClientOffset, ClientOffsets, type OffsetOwner } from "@nimbus/domain/services"
import { Effect } from "effect"
import { makeFlusher } from "../delivery/Flusher.ts"
import type { Counts } from "../Metrics.ts"
import type { Conversation } from "./Conversation.ts"

export interface KeptPlace {
  /** The next offset that the client needs. `undefined`: nothing is known. */
  readonly load: Effect.Effect<number | undefined, OffsetsUnavailable>
  /** It has everything below `next`. */
  save(next: number): void
}

export interface KeptPlaces {
  /** That of the client with this name; where there are locks of the one of its subject. */
  of(conversation: Conversation, name: string, subject?: ReadonlyArray<string>): KeptPlace
}

export const makeKeptPlaces = Effect.fnUntraced(function* (save_ms: number, counts: Counts) {
  const offsets = yield* ClientOffsets
  /** What is not in the store yet, and what is on its way there. */
  let waiting = new Map<ClientId, OffsetOwner & ClientOffset>()
  let saving: typeof waiting = new Map()

  const flush = Effect.suspend(() => {
    if (waiting.size === 0) return Effect.void
    saving = waiting
    waiting = new Map()
    return offsets.save([...saving.values()]).pipe(
      Effect.catch(() => Effect.sync(() => counts.addTo("failed", "save chat offsets"))),
      Effect.ensuring(Effect.sync(() => (saving = new Map()))),
    )
  })
  const soon = yield* makeFlusher(flush, save_ms)

  const places: KeptPlaces = {
    of(conversation, name, subject = []) {
      const owner = ownerOf(conversation, [name, ...subject])
      const { clientId } = owner
      return {
        load: Effect.suspend(() => {
          const here = waiting.get(clientId) ?? saving.get(clientId)
          if (here !== undefined) return Effect.succeed(here.offset)
          return offsets.load(owner).pipe(
            Effect.map((known) => known?.offset),
            Effect.tapError(() => Effect.sync(() => counts.addTo("failed", "load chat offsets"))),
          )
        }),
        save(next) {
          if ((waiting.get(clientId)?.offset ?? -1) >= next) return
          waiting.set(clientId, { ...owner, offset: next, seq: start })
          soon.wake()
        },
      }
    },
  }
  return places
})

/**
 * Names are anything, and those of one client in two rooms are two. No client of the other transports has such an id by
 * chance.
 */
const ownerOf = ({ home, isOpen, room }: Conversation, name: ReadonlyArray<string>): OffsetOwner => {
  const digest = createHash("sha256")
    .update(JSON.stringify([isOpen, room, ...name]))
    .digest("hex")
  return { clientId: ClientId.make(`chat:${digest}`), epoch: Epoch.make(0), log: home }
}
