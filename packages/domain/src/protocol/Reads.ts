/** What is read of the services, as data: a chunk of the log, a commit, a page of a mailbox, the offset of a client. */
import type { Cursor } from "./Ids.ts"
import type { Item, StoredRecord } from "./Records.ts"

/** The records of one partition at offsets `[from, next)`. */
export interface Chunk {
  readonly partition: number
  readonly from: number
  readonly next: number
  readonly records: ReadonlyArray<StoredRecord>
}

/** What a group has committed of a partition. */
export interface Committed {
  /** The next offset to read. */
  readonly next: number
  /** What was committed with it; empty where that was nothing. */
  readonly metadata: string
}

/** At most so much in a page: whichever comes first. */
export interface PageLimit {
  readonly results: number
  readonly bytes: number
}

/** Of one mailbox, as of one moment. */
export interface Page {
  /** In order of seq, all above `after` and above `acked`. */
  readonly records: ReadonlyArray<Item>
  /** Nothing is left above the last of them. */
  readonly short: boolean
  readonly acked: Cursor
  /** Everything up to here was removed by the limits if it was not acknowledged. -1: nothing was. */
  readonly floor: Cursor
  /**
   * Records of this client below this seq may be missing: the backlog has lost them, or it was forgotten. -1: none are.
   */
  readonly hole: Cursor
}

/** How far a client has got, in the results topic and in its own results. */
export interface ClientOffset {
  /** The next offset of the results topic to read for this client. */
  readonly offset: number
  /** Everything up to here the client has. */
  readonly seq: Cursor
}
