/**
 * Before anything is put or read: the mailboxes must belong to this log. A store of another incarnation or partition
 * count, or with seqs beyond the log's end, refuses to start; one that belongs to no log yet is bound to this one.
 *
 * Traffic goes on meanwhile: what is appended after the end was read may be in a mailbox before it is compared. So a
 * seq beyond the end counts only if it still is when the end is read again.
 *
 * A log or a store that does not answer in time, as when all of a cluster starts at once, is no reason not to start: it
 * is asked again until it does.
 */
import { Effect } from "effect"
import type { LogError, LogUnavailable, MailboxUnavailable, StoreMismatch } from "../Errors.ts"
import { EventLog } from "./EventLog.ts"
import { Mailbox } from "./Mailbox.ts"
import { untilItPasses } from "./FailureLog.ts"
import { Topics } from "./Topics.ts"

/** How often the end is read at most. Beyond: what the store said last stands. */
const max_tries = 20

/** Before a log or a store that did not answer is asked again. */
const retry_ms = 1_000

/** Made by every part that uses the mailboxes, when it starts. Idempotent. */
export const claimMailboxes = Effect.gen(function* () {
  const log = yield* EventLog
  const mailbox = yield* Mailbox
  const { dlq, events, results } = yield* Topics
  const all = Array.from({ length: log.partitions }, (_, partition) => partition)
  const claim = Effect.gen(function* () {
    const ends = yield* Effect.forEach(all, (partition) => log.end(events, partition), { concurrency: 16 })
    // A record may be written anew into the next topic as long as the one before it is kept.
    const retained_ms = [events, results, dlq].reduce((sum, topic) => sum + log.facts(topic).retention_ms, 0)
    yield* mailbox.claim({ incarnation: log.incarnation, partitions: log.partitions, ends, retained_ms })
  })
  const tryFrom = (tries: number, before: string | undefined): Effect.Effect<void, ClaimError> =>
    Effect.catchTag(claim, "StoreMismatch", (mismatch) =>
      mismatch.reason === "beyond-end" && mismatch.stored !== before && tries < max_tries
        ? tryFrom(tries + 1, mismatch.stored)
        : Effect.fail(mismatch),
    )
  yield* untilItPasses("claim mailboxes", tryFrom(1, undefined), isPassing, () => retry_ms)
})

type ClaimError = LogError | MailboxUnavailable | StoreMismatch

const isPassing = (error: ClaimError): error is LogUnavailable | MailboxUnavailable =>
  error._tag === "LogUnavailable" || error._tag === "MailboxUnavailable"
