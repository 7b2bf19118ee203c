/**
 * The progress of direct delivery for each client: an offset in the results topic, and the seq that the client has
 * acknowledged there. It makes a reconnect cheap, and no decision depends on it. If it is lost, it is rebuilt from the
 * `acked` of the mailbox.
 *
 * Contract, checked by `clientOffsetsSuite` of `@nimbus/domain/testing`:
 *
 * - A save is a fact: *the client has every record of its own below `offset`, and everything up to `seq`*. A fact stays
 *   true, so a late save by any session is harmless: `offset` and `seq` only rise.
 * - Facts belong to one incarnation of the topics. Facts of another incarnation are not loaded, and a save replaces
 *   them.
 * - `load` marks the newest session, and a save returns to an older session that there is a newer one. This is a hint
 *   to read the registry.
 * - It is soft state: any of it may be forgotten or roll back at any time.
 */
import { Context, type Effect } from "effect"
import type { OffsetsUnavailable } from "../Errors.ts"
import type { ClientId, Epoch, Incarnation } from "../protocol/Ids.ts"
import type { ClientOffset } from "../protocol/Reads.ts"

export type { ClientOffset } from "../protocol/Reads.ts"

/** Whose offset: of which client, in which session and in which life of the topics. */
export interface OffsetOwner {
  readonly clientId: ClientId
  /** Of the session that asks. */
  readonly epoch: Epoch
  readonly log: Incarnation
}

/**
 * Remembers how far direct delivery has got with each client. Any of it may be lost: it is rebuilt from the mailbox.
 */
export class ClientOffsets extends Context.Service<
  ClientOffsets,
  {
    /** For a new session. `undefined`: nothing is known. */
    load(owner: OffsetOwner): Effect.Effect<ClientOffset | undefined, OffsetsUnavailable>
    /**
     * Returns for each, in order: `false` if a session of a higher epoch has been here. The fact is kept either way.
     */
    save(facts: ReadonlyArray<OffsetOwner & ClientOffset>): Effect.Effect<ReadonlyArray<boolean>, OffsetsUnavailable>
  }
>()("@nimbus/domain/ClientOffsets") {}
