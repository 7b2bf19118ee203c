/**
 * Before anything is put or read: the mailboxes must belong to this log. A store of another incarnation or partition
 * count, or with seqs beyond the log's end, refuses to start; one that belongs to no log yet is bound to this one.
 */
import { Effect } from "effect"
import { EventLog } from "./EventLog.ts"
import { Mailbox } from "./Mailbox.ts"
import { Topics } from "./Topics.ts"

/** Made by every part that uses the mailboxes, when it starts. Twice is the same as once. */
export const claimMailboxes = Effect.gen(function* () {
  const { end, incarnation, partitions } = yield* EventLog
  const { events } = yield* Topics
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  const ends = yield* Effect.forEach(all, (partition) => end(events, partition), { concurrency: 16 })
  yield* (yield* Mailbox).claim({ incarnation, partitions, ends })
})
