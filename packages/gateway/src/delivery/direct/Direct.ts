/**
 * Direct delivery at this gateway: opens its sessions. See docs/approaches.md for what it costs and when to use it.
 */
import type { LogError, MailboxUnavailable, OffsetsUnavailable } from "@nimbus/domain/errors"
import type { SessionLimits } from "@nimbus/domain/limits"
import { type ClientId, type Cursor, DirectSession, type Epoch, partitionOf, type PodId } from "@nimbus/domain/protocol"
import { ClientOffsets, EventLog, Mailbox, Topics } from "@nimbus/domain/services"
import { Effect, FiberSet, PartitionedSemaphore, type Scope } from "effect"
import type { Transport } from "../../Transport.ts"
import type { GatewayLimits } from "../../Limits.ts"
import type { ResidentShared } from "../Resident.ts"
import { makeReads, type Read } from "../Reads.ts"
import { DirectConnection, type DirectShared } from "./DirectConnection.ts"
import { makeFeeds } from "./Feeds.ts"
import { makeOffsetSaver } from "./OffsetSaver.ts"

export interface Arrival {
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  readonly after: Cursor
  readonly transport: Transport
  readonly limits: SessionLimits
}

export interface Direct {
  /** Once earlier sessions of the client are closed. */
  open(arrival: Arrival): Effect.Effect<DirectConnection, LogError | MailboxUnavailable | OffsetsUnavailable>
}

export const makeDirect = Effect.fnUntraced(function* (
  limits: GatewayLimits,
  residents: ResidentShared,
): Effect.fn.Return<Direct, never, ClientOffsets | EventLog | Mailbox | Topics | Scope.Scope> {
  const log = yield* EventLog
  const mailbox = yield* Mailbox
  const offsets = yield* ClientOffsets
  const topics = yield* Topics
  const saver = yield* makeOffsetSaver(limits.direct.save_ms, residents.counts)
  const feeds = yield* makeFeeds(limits.direct, residents)
  // Thousands may wait after an outage, and to release one of `Semaphore` costs as much as there are.
  const pages = yield* PartitionedSemaphore.make<number>({ permits: limits.direct.pages })
  const run = yield* FiberSet.makeRuntime<never>()

  /** A page, if the store is as far as it was when it was settled. */
  const read = yield* makeReads(limits, residents.now, ({ after, connection, limit }: Read<DirectConnection>) => {
    const page = mailbox.page(connection.clientId, after, limit)
    const checked = Effect.gen(function* () {
      const found = yield* page
      const { dlq } = connection
      if (dlq === undefined) return found
      return ((yield* mailbox.offset(connection.partition)) ?? 0) >= dlq ? found : undefined
    })
    run(
      Effect.match(pages.withPermit(connection.partition)(checked), {
        onSuccess: (page) => connection.step(page === undefined ? { _tag: "PageFailed" } : { _tag: "Page", page }),
        onFailure: () => {
          residents.counts.addTo("failed", "read mailbox")
          connection.step({ _tag: "PageFailed" })
        },
      }).pipe(Effect.andThen(Effect.sync(() => connection.carryOut()))),
    )
  })
  const shared: DirectShared = { ...residents, feeds, read, save: saver.save }

  const open = Effect.fnUntraced(function* ({ after, clientId, transport, epoch, limits, pod }: Arrival) {
    const partition = partitionOf(clientId, log.partitions)
    // What an earlier session is still pushed would not come here: it goes to the mailbox.
    residents.ackSender.nack(partition, clientId, undefined)
    yield* saver.saveNow(clientId)
    const { acked } = yield* mailbox.stats(clientId)
    const saved = yield* offsets.load({ clientId, epoch, log: log.incarnation })
    // An offset beyond the end is of no log that we know: without it the client would wait for ever.
    const isOurs = saved !== undefined && saved.offset <= (yield* log.end(topics.results, partition))
    const stored = isOurs ? saved : undefined
    const session = DirectSession.make({ clientId, epoch, pod, after, acked, stored, limits })
    return new DirectConnection(session, partition, transport, shared)
  })
  return { open }
})
