/**
 * The archive: results of clients and messages of rooms, retained for as long as the operator wants, and queried by
 * page. Delivery never reads it.
 *
 * | kind | key of a record | place under that key |
 * | --- | --- | --- |
 * | `results` | client | seq: the offset of its event in the events topic |
 * | `messages` | room | offset in the chats topic |
 *
 * Contract, checked by `archiveSuite` of `@nimbus/domain/testing`:
 *
 * - A record is one row for (incarnation, kind, key, place). Of several writes of one row the first stays, even if the
 *   others differ. Records of different incarnations are separate.
 * - `write` succeeds when every store has durably stored the whole batch, and only then moves the position. A failed
 *   write may have stored some of its rows, and must be repeated.
 * - The position only rises. Everything below it is stored, by any writer and in any order.
 * - A record that a store can never take is refused with the reason, and does not block the others.
 * - A page is in order of place, above `after`, and without a hole.
 */
import { Context, Effect } from "effect"
import type { ArchiveUnavailable } from "../Errors.ts"
import type { Cursor, Incarnation } from "../protocol/Ids.ts"
import type { PageLimit } from "./Mailbox.ts"

/** What an archive keeps: results of clients, or messages of rooms. */
export type ArchiveKind = "results" | "messages"

/** One row of an archive. */
export interface ArchiveRecord {
  readonly key: string
  /** Under its key; grows in the order of the log. */
  readonly place: number
  /** The log's, in ms since 1970. */
  readonly timestamp: number
  /** The record's value: JSON, as it stands in the log. */
  readonly value: string
}

/** One partition of one topic, in one life of it. */
export interface ArchiveSource {
  readonly incarnation: Incarnation
  readonly kind: ArchiveKind
  readonly partition: number
}

/** What is written in one step: rows of one partition, and how far that partition is then stored. */
export interface ArchiveBatch {
  readonly source: ArchiveSource
  /** No two of them with the same key and place. */
  readonly records: ReadonlyArray<ArchiveRecord>
  /** The position afterwards: the offset to read on from. */
  readonly position: number
}

/** A record that a store can never take. */
export interface ArchiveRefusal {
  /** Which record of the batch. */
  readonly index: number
  readonly reason: string
}

/** Which page is wanted. */
export interface ArchiveQuestion {
  readonly incarnation: Incarnation
  readonly kind: ArchiveKind
  readonly key: string
  /** The place before the first that is wanted; -1 for the beginning. */
  readonly after: Cursor
  /** At least one record is given if there is one. */
  readonly limit: PageLimit
}

/** A page, in the order of places. */
export interface ArchivePage {
  readonly records: ReadonlyArray<Omit<ArchiveRecord, "key">>
  /** More are stored above the last of them. */
  readonly more: boolean
}

/** The methods of an archive. */
export interface ArchiveShape {
  /** Of each store, for messages. */
  readonly stores: ReadonlyArray<string>
  /** The offset to read on from; `undefined`: nothing was ever written. */
  position(source: ArchiveSource): Effect.Effect<number | undefined, ArchiveUnavailable>
  write(batch: ArchiveBatch): Effect.Effect<ReadonlyArray<ArchiveRefusal>, ArchiveUnavailable>
  page(question: ArchiveQuestion): Effect.Effect<ArchivePage, ArchiveUnavailable>
}

/**
 * Keeps results and chat messages for as long as the operator wants, and returns them by page. Delivery does not depend
 * on it.
 */
export class Archive extends Context.Service<Archive, ArchiveShape>()("@nimbus/domain/Archive") {}

/**
 * Several archives as one: what is written is in all of them. Each catches up with the one that is furthest ahead, and
 * pages come from the first that answers.
 */
export const archiveInAll = (archives: readonly [ArchiveShape, ...ReadonlyArray<ArchiveShape>]): ArchiveShape => {
  const [first, ...others] = archives
  return {
    stores: archives.flatMap(({ stores }) => stores),
    position: (source) =>
      Effect.map(
        inEach(archives, (archive) => archive.position(source)),
        (positions) =>
          positions.reduce((least, one) =>
            least === undefined || one === undefined ? undefined : Math.min(least, one),
          ),
      ),
    write: (batch) =>
      Effect.map(
        inEach(archives, (archive) => archive.write(batch)),
        (refusals) => refusals.flat(),
      ),
    page: (question) =>
      others.reduce((answer, archive) => Effect.catch(answer, () => archive.page(question)), first.page(question)),
  }
}

const inEach = <A, E>(archives: ReadonlyArray<ArchiveShape>, f: (archive: ArchiveShape) => Effect.Effect<A, E>) =>
  Effect.forEach(archives, f, { concurrency: "unbounded" })
