/**
 * The schemas of what a client remembers, for applications that keep it in their own store. `Memory.ts` does not use them,
 * so that a page need not load the decoder of schemas.
 */
import { Cursor, EventId, EventName, Failure, Incarnation, Seq } from "@nimbus/domain/protocol"
import * as Schema from "effect/Schema"

/** An event that was not accepted yet. Its frame is encoded once, and sent again byte for byte. */
export const Outgoing = Schema.Struct({ id: EventId, frame: Schema.String })
export type Outgoing = typeof Outgoing.Type

/** `answered`: the seq of its first result; -1 for one in an earlier incarnation. */
export const Doubt = Schema.Struct({ id: EventId, answered: Schema.optionalKey(Cursor) })
export type Doubt = typeof Doubt.Type

/**
 * How a task has ended for its client: as the handler or a cancel ended it; `refused`, as no task came of its event; `lost`,
 * as parts will not arrive; `repeated`, as its id was used before, at the seq `first`.
 */
export const TaskEnd = Schema.Struct({
  as: Schema.Literals(["done", "failed", "cancelled", "refused", "lost", "repeated"]),
  error: Schema.optionalKey(Failure),
  first: Schema.optionalKey(Cursor),
})
export type TaskEnd = typeof TaskEnd.Type

/** A number of a part, or of an attempt. */
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A task that the client streams, with the parts of its answer that are kept. */
export const KeptTask = Schema.Struct({
  id: EventId,
  name: EventName,
  /** The seq that the client had received when it sent the event: an event of this id at or below is an earlier one. */
  since: Cursor,
  /** The seq of its latest item. */
  seq: Cursor,
  /** 0: nothing of it has come. */
  attempt: Count,
  /** The attempt that part 0 is of: the same as `attempt`, unless the task went on where an earlier attempt was. */
  began: Count,
  /** The number of the first part that is kept. */
  first: Count,
  parts: Schema.Array(Schema.Json),
  end: Schema.optionalKey(TaskEnd),
})
export type KeptTask = typeof KeptTask.Type

/** What a client remembers between its processes. */
export const Remembered = Schema.Struct({
  log: Schema.optionalKey(Incarnation),
  last: Cursor,
  /** Results up to here are processed, while items of tasks behind `last` are not kept. Missing: up to `last`. */
  consumed: Schema.optionalKey(Cursor),
  unaccepted: Schema.Array(Outgoing),
  doubtful: Schema.Array(Doubt),
  /** In the order in which they were started. Missing: none. */
  tasks: Schema.optionalKey(Schema.Array(KeptTask)),
  /** The events whose tasks are to be cancelled, which no gateway has confirmed. Missing: none. */
  cancels: Schema.optionalKey(Schema.Array(EventId)),
})
export type Remembered = typeof Remembered.Type

/** One change of what it remembers. */
export const Change = Schema.TaggedUnion({
  /** Seqs restart, after `last`: what is remembered of earlier seqs has no meaning any more. */
  Entered: { log: Incarnation, last: Cursor },
  /** The consumer has processed everything up to `last`, and items of tasks are kept up to there. */
  Reached: { last: Cursor },
  /** The consumer has processed everything up to here, which is behind `last`. */
  Consumed: { seq: Cursor },
  Sent: { events: Schema.Array(Outgoing) },
  /** Accepted, refused, or with a result: it is not sent again. */
  Settled: { ids: Schema.Array(EventId) },
  /** They have no result yet. A result that is remembered of one of them, and that no consumer has processed, counts no more. */
  Doubted: { ids: Schema.Array(EventId) },
  Answered: { answers: Schema.Array(Schema.Struct({ id: EventId, seq: Seq })) },
  /** No longer doubtful: refused, or the bound was reached. */
  Forgotten: { ids: Schema.Array(EventId) },
  /** The client streams the task of this event. */
  Started: { id: EventId, name: EventName, since: Cursor },
  /** A part of it. Where the numbers do not go on, but begin again, those before it are void. */
  Part: { id: EventId, seq: Cursor, attempt: Count, part: Count, data: Schema.Json },
  /** Behind `part` parts of this attempt. */
  Ended: { id: EventId, seq: Cursor, attempt: Count, part: Count, end: TaskEnd },
  /** The parts before `first` are kept no longer. */
  Trimmed: { id: EventId, first: Count },
  /** These tasks are kept no longer. */
  Discarded: { ids: Schema.Array(EventId) },
  Cancelled: { ids: Schema.Array(EventId) },
  /** The log has these cancels, or there is nothing to be cancelled any more. */
  CancelSettled: { ids: Schema.Array(EventId) },
})
export type Change = typeof Change.Type
