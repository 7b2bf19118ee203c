/**
 * Direct delivery at this gateway: begins its sessions. See docs/approaches.md for what it costs and when to use it.
 */
import type { LogError, MailboxUnavailable, OffsetsUnavailable } from "@nimbus/domain/errors"
import type { SessionLimits } from "@nimbus/domain/limits"
import { type ClientId, type Cursor, DirectSession, type Epoch, type PodId } from "@nimbus/domain/protocol"
import { ClientOffsets, EventLog, Mailbox, Topics } from "@nimbus/domain/services"
import { Effect, FiberSet, PartitionedSemaphore, type Scope } from "effect"
import type { GatewayLimits } from "../../Limits.ts"
import type { Direct, Shared } from "../Connection.ts"
import { giveTo, makeReads, type Read } from "../Reads.ts"
import { makeFeeds } from "./Feeds.ts"
import { makeOffsetSaver } from "./OffsetSaver.ts"

/** What a session of either kind begins with. */
export interface Arrival {
  readonly clientId: ClientId
  readonly partition: number
  readonly epoch: Epoch
  readonly pod: PodId
  readonly after: Cursor
  readonly limits: SessionLimits
}

/** Returns how a session of direct delivery begins, once earlier ones of the client are closed. */
export const makeDirect = Effect.fnUntraced(function* (
  limits: GatewayLimits,
  { ackSender, counts, failed, now, steps }: Shared,
): Effect.fn.Return<
  (arrival: Arrival) => Effect.Effect<Direct, LogError | MailboxUnavailable | OffsetsUnavailable>,
  never,
  ClientOffsets | EventLog | Mailbox | Topics | Scope.Scope
> {
  const log = yield* EventLog
  const mailbox = yield* Mailbox
  const offsets = yield* ClientOffsets
  const topics = yield* Topics
  const saver = yield* makeOffsetSaver(limits.direct.save_ms, counts)
  const feeds = yield* makeFeeds(limits.direct, { counts, failed, steps })
  // Thousands may wait after an outage, and to release one of `Semaphore` costs as much as there are.
  const pages = yield* PartitionedSemaphore.make<number>({ permits: limits.direct.pages })
  const run = yield* FiberSet.makeRuntime<never>()

  /** A page, if the store is as far as it was when it was settled. */
  const checked = Effect.fnUntraced(function* ({ after, connection, limit }: Read) {
    const found = yield* mailbox.page(connection.clientId, after, limit)
    const { settledDlq } = connection
    if (settledDlq === undefined) return found
    return ((yield* mailbox.offset(connection.partition)) ?? 0) >= settledDlq ? found : undefined
  })
  const read = yield* makeReads(limits, now, (read: Read) => {
    const { connection } = read
    run(giveTo(connection, pages.withPermit(connection.partition)(checked(read)), counts))
  })

  return Effect.fnUntraced(function* ({ after, clientId, epoch, limits, partition, pod }: Arrival) {
    // What an earlier session is still pushed would not come here: it goes to the mailbox.
    ackSender.nack(partition, clientId, undefined)
    yield* saver.saveNow(clientId)
    const { acked } = yield* mailbox.stats(clientId)
    const saved = yield* offsets.load({ clientId, epoch, log: log.incarnation })
    // An offset beyond the end is of no log that we know: without it the client would wait for ever.
    const isOurs = saved !== undefined && saved.offset <= (yield* log.end(topics.results, partition))
    const stored = isOurs ? saved : undefined
    const session = DirectSession.make({ clientId, epoch, pod, after, acked, stored, limits })
    return { _tag: "Direct", session, outputs: [], feeds, saver, read }
  })
})
