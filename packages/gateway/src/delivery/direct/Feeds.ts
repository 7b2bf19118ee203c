/**
 * The shell of the feeds of direct delivery: one reader for each partition that has such a client here, from when the
 * first client connects until the last one leaves.
 *
 * ```
 *   reader ── at the end ─────────▶ ┌──────┐
 *          ── pass, when wanted ──▶ │ Feed │ ──▶ connections
 *          ── settle, when asked    └──────┘
 * ```
 *
 * - A reader that fails goes on where it was. A pass that fails, or gets nothing for `pass_patience_ms`, is over, and
 *   whoever was in it waits for the next one, which looks anew at what the log retains.
 * - A pass waits for its members as long as that; to one that is slower it is the next pass that comes.
 * - `settle`: the commit of the result consumers says up to where a result is acknowledged or in the backlog; once the
 *   mailboxes have the backlog up to its end, they have all of that.
 */
import type { LogError, MailboxUnavailable } from "@nimbus/domain/errors"
import { Feed } from "@nimbus/domain/protocol"
import { committedBy, EventLog, Mailbox, Topics } from "@nimbus/domain/services"
import { Effect, type Fiber, FiberSet, Latch, Pull, Schedule, type Scope, Semaphore, Stream } from "effect"
import type { DirectLimits } from "../../Limits.ts"
import type { Counts } from "../../Metrics.ts"
import type { DirectConnection, DirectShared } from "./DirectConnection.ts"

export type Feeds = DirectShared["feeds"]

interface PartitionReader {
  readonly partition: number
  readonly feed: Feed
  readonly residents: Set<DirectConnection>
  /** Somebody is behind. */
  readonly behind: Latch.Latch
  readonly asked: Latch.Latch
  settling: Array<DirectConnection>
  fiber: Fiber.Fiber<unknown> | undefined
}

export const makeFeeds = Effect.fnUntraced(function* (
  limits: DirectLimits,
  counts: Counts,
): Effect.fn.Return<Feeds, never, EventLog | Mailbox | Topics | Scope.Scope> {
  const log = yield* EventLog
  const mailbox = yield* Mailbox
  const topics = yield* Topics
  const permits = yield* Semaphore.make(limits.passes)
  const run = yield* FiberSet.makeRuntime<never>()
  const readers = new Map<number, PartitionReader>()

  const tolerate = (part: string) => (error: LogError | MailboxUnavailable) => {
    counts.addTo("failed", part)
    return Effect.andThen(
      Effect.logWarning(`direct delivery could not ${part}, and tries again`, error),
      Effect.sleep(limits.retry_ms),
    )
  }

  const readEnd = ({ feed, partition }: PartitionReader) =>
    Effect.gen(function* () {
      if (feed.next === undefined) feed.begin(yield* log.end(topics.results, partition))
      const chunks = log.tail(topics.results, partition, feed.next ?? "earliest")
      yield* Stream.runForEach(chunks, (chunk) => Effect.sync(() => feed.chunk(chunk)))
    }).pipe(Effect.catch(tolerate("read results")), Effect.forever)

  /** A reader that was cut off while all that it was to read went gets no chunk to tell it so. */
  const look = ({ feed, partition }: PartitionReader) =>
    Effect.sleep(limits.look_every_ms).pipe(
      Effect.andThen(log.earliest(topics.results, partition)),
      Effect.andThen((earliest) => Effect.sync(() => feed.retained(earliest))),
      Effect.catch(tolerate("look at what is retained")),
      Effect.forever,
    )

  const pass = (reader: PartitionReader) =>
    Effect.gen(function* () {
      const { feed, partition } = reader
      const from = feed.beginPass(yield* log.earliest(topics.results, partition))
      if (from === undefined) return
      counts.add("directPasses", 1)
      const pull = yield* Stream.toPull(log.tail(topics.results, partition, from))
      while (feed.passState !== "done") {
        const chunks = yield* Effect.timeoutOption(pull, limits.pass_patience_ms)
        if (chunks._tag === "None") return
        for (const chunk of chunks.value) feed.passChunk(chunk)
        if (feed.passState === "idle" && !(yield* somebodyComes(reader))) return
      }
    }).pipe(
      Effect.scoped,
      Pull.catchDone(() => Effect.void),
      Effect.ensuring(Effect.sync(() => reader.feed.endPass())),
      Effect.catch(tolerate("catch up")),
    )

  const somebodyComes = ({ behind, feed }: PartitionReader) =>
    Effect.gen(function* () {
      const coming = Effect.gen(function* () {
        while (feed.passState === "idle") {
          behind.closeUnsafe()
          yield* behind.await
        }
      })
      yield* Effect.timeoutOption(coming, limits.pass_patience_ms)
      return feed.passState === "more"
    })

  const passes = (reader: PartitionReader) =>
    Effect.gen(function* () {
      while (!reader.feed.wanted) {
        reader.behind.closeUnsafe()
        yield* reader.behind.await
      }
      yield* permits.withPermits(1)(pass(reader))
    }).pipe(Effect.forever)

  /** In this order: what the commit speaks of is in the backlog before its end is asked for. */
  const settled = ({ partition }: PartitionReader) =>
    Effect.gen(function* () {
      const earliest = yield* log.earliest(topics.results, partition)
      const committed = yield* committedBy(log, "result-consumer", topics, partition)
      const dlq = yield* log.end(topics.dlq, partition)
      yield* Effect.repeat(mailbox.offset(partition), {
        until: (offset) => (offset ?? 0) >= dlq,
        schedule: Schedule.spaced(limits.settle_every_ms),
      })
      return { handover: Math.max(earliest, committed?.next ?? earliest), dlq }
    })

  const settle = (reader: PartitionReader) =>
    Effect.gen(function* () {
      yield* reader.asked.await
      reader.asked.closeUnsafe()
      const asking = reader.settling
      reader.settling = []
      const { dlq, handover } = yield* Effect.tapError(settled(reader), () =>
        Effect.sync(() => {
          reader.settling.push(...asking)
          reader.asked.openUnsafe()
        }),
      )
      for (const connection of asking) {
        connection.dlq = dlq
        connection.session.settled(handover)
        connection.carryOut()
      }
    }).pipe(Effect.catch(tolerate("settle mailboxes")), Effect.forever)

  const open = (partition: number): PartitionReader => {
    const behind = Latch.makeUnsafe()
    const feed = new Feed({ recent_bytes: limits.recent_bytes, wake: () => void behind.openUnsafe() })
    const reader: PartitionReader = {
      partition,
      feed,
      residents: new Set(),
      behind,
      asked: Latch.makeUnsafe(),
      settling: [],
      fiber: undefined,
    }
    reader.fiber = run(
      Effect.all([readEnd(reader), look(reader), passes(reader), settle(reader)], { concurrency: 4, discard: true }),
    )
    readers.set(partition, reader)
    counts.add("directReaders", 1)
    return reader
  }

  const readerOf = ({ partition }: DirectConnection): PartitionReader => readers.get(partition) ?? open(partition)

  return {
    enter: (connection) => void readerOf(connection).residents.add(connection),
    leave: (connection) => {
      const reader = readers.get(connection.partition)
      if (reader === undefined) return
      reader.feed.leave(connection)
      reader.settling = reader.settling.filter((one) => one !== connection)
      reader.residents.delete(connection)
      if (reader.residents.size > 0) return
      readers.delete(reader.partition)
      reader.fiber?.interruptUnsafe()
    },
    follow: (connection) => readerOf(connection).feed.follow(connection),
    inform: (connection) => readers.get(connection.partition)?.feed.inform(connection),
    settle: (connection) => {
      const reader = readerOf(connection)
      reader.settling.push(connection)
      reader.asked.openUnsafe()
    },
  }
})
