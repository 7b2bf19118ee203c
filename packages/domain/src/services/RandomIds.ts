/**
 * Ids for callbacks of sockets, and ids that nobody can guess: of events that came without one, of chat sessions. In an
 * Effect, where unique is enough, `randomId` makes one.
 *
 * They come from the system's secure source, for Effect's `Random` can be predicted from what it gave before. A test or a
 * simulation puts its own in its place.
 */
import * as Context from "effect/Context"

export interface RandomIds {
  /** A UUID, version 4. */
  uuid(): string
}

/** The source of ids of the process. */
export const RandomIds = Context.Reference<RandomIds>("@nimbus/domain/RandomIds", {
  defaultValue: () => ({ uuid: () => crypto.randomUUID() }),
})
