/**
 * The source of random ids: of events that came without one, of instances and logs, of chat sessions.
 *
 * An id must be unique, and that of a chat session must be one that nobody can guess: a client resumes by it. All of them
 * therefore come from the secure source of the system. Effect's `Random` is no such source: what it returns can be
 * predicted from what it returned before. A test or a simulation provides a source of its own.
 */
import * as Context from "effect/Context"

export interface RandomIds {
  /** A UUID, version 4: 122 random bits. */
  uuid(): string
}

/** The source of ids of the process. */
export const RandomIds = Context.Reference<RandomIds>("@nimbus/domain/RandomIds", {
  defaultValue: () => ({ uuid: () => crypto.randomUUID() }),
})
