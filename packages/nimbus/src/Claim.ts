/**
 * Before anything is read or written: the mailboxes must belong to this log. A store of another incarnation or
 * partition count, or with seqs beyond the log's end, refuses to start.
 */
import { EventLog, Mailbox, Topics } from "@nimbus/domain"
import { Effect, Layer } from "effect"

const claim = Effect.gen(function* () {
  const { end, incarnation, partitions } = yield* EventLog
  const { events } = yield* Topics
  const ends = yield* Effect.forEach(Array.from({ length: partitions }).keys(), (partition) => end(events, partition))
  yield* (yield* Mailbox).claim({ incarnation, partitions, ends })
})

export const layer = Layer.effectDiscard(claim)
