/**
 * The schemas of what a client remembers, for applications that keep it in their own store. `Memory.ts` does not use them,
 * so that a page need not load the decoder of schemas.
 */
import { Cursor, EventId, Incarnation, Seq } from "@nimbus/domain/protocol"
import * as Schema from "effect/Schema"

/** An event that was not accepted yet. Its frame is encoded once, and sent again byte for byte. */
export const Outgoing = Schema.Struct({ id: EventId, frame: Schema.String })
export type Outgoing = typeof Outgoing.Type

/** `answered`: the seq of its first result; -1 for one in an earlier incarnation. */
export const Doubt = Schema.Struct({ id: EventId, answered: Schema.optionalKey(Cursor) })
export type Doubt = typeof Doubt.Type

/** What a client remembers between its processes. */
export const Remembered = Schema.Struct({
  log: Schema.optionalKey(Incarnation),
  last: Cursor,
  unaccepted: Schema.Array(Outgoing),
  doubtful: Schema.Array(Doubt),
})
export type Remembered = typeof Remembered.Type

/** One change of what it remembers. */
export const Change = Schema.TaggedUnion({
  /** Seqs restart, after `last`: what is remembered of earlier seqs has no meaning any more. */
  Entered: { log: Incarnation, last: Cursor },
  /** The consumer has processed everything up to `last`. */
  Reached: { last: Cursor },
  Sent: { events: Schema.Array(Outgoing) },
  /** Accepted, refused, or with a result: it is not sent again. */
  Settled: { ids: Schema.Array(EventId) },
  Doubted: { ids: Schema.Array(EventId) },
  Answered: { answers: Schema.Array(Schema.Struct({ id: EventId, seq: Seq })) },
  /** No longer doubtful: refused, or the bound was reached. */
  Forgotten: { ids: Schema.Array(EventId) },
})
export type Change = typeof Change.Type
