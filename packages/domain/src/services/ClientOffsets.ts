/**
 * Where direct delivery has got to with each client: an offset in the results topic, and the seq that the client has
 * acknowledged there. It makes a return cheap and decides nothing: lost, it is rebuilt from the mailbox's `acked`.
 *
 * Contract, checked by `clientOffsetsSuite` of `@nimbus/domain/testing`:
 *
 * - What is saved is a fact: *the client has every record of its own below `offset`, and everything up to `seq`*. A
 *   fact stays true, so a save of whoever it be, however late, does no harm: `offset` and `seq` only rise.
 * - Facts belong to one life of the topics: of another incarnation nothing is loaded, and a save replaces it.
 * - `load` marks the newest session that came by, and a save tells an older one so. It is a hint to ask the registry.
 * - Soft: any of it may be forgotten at any time, or roll back.
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
