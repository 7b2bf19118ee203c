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
import { type ClientId, type DirectSession, Feed, type StepsShape } from "@nimbus/domain/protocol"
import { committedBy, EventLog, Mailbox, Topics } from "@nimbus/domain/services"
import { Effect, type Fiber, FiberSet, Latch, Pull, Schedule, type Scope, Semaphore, Stream } from "effect"
import type { DirectLimits } from "../../Limits.ts"
import type { Counts } from "../../Metrics.ts"

/** A connection, as the feed of its partition sees it. */
export interface Follower {
  readonly clientId: ClientId
  readonly partition: number
  /** A page counts only while the mailboxes have the backlog up to here. */
  settledDlq: number | undefined
  /** `carryOut` follows. */
  news(input: DirectSession.Input): void
  carryOut(): void
  unavailable(): void
}

/** What feeds need of the gateway. */
interface FeedParts {
  readonly counts: Counts
  readonly failed: (part: string, defect: unknown) => void
  readonly steps: Pick<StepsShape, "feed">
}

/** The place of connections in the feeds of their partitions. */
export interface Feeds {
  readonly enter: (connection: Follower) => void
  readonly leave: (connection: Follower) => void
  /** From this offset of the results topic on. */
  readonly follow: (connection: Follower, position: number) => void
  readonly unfollow: (connection: Follower) => void
  /** Tells the session how far it has got. */
  readonly inform: (connection: Follower) => void
  readonly settle: (connection: Follower) => void
}

interface PartitionReader {
  readonly partition: number
  readonly feed: Feed.State
  /** By client: whom the feed speaks of. */
  readonly followers: Map<ClientId, Follower>
  /** Outputs of so many steps are being carried out: a follower is not told yet where it is. */
  telling: number
  isBroken: boolean
  readonly connections: Set<Follower>
  /** Somebody is behind. */
  readonly behind: Latch.Latch
  readonly asked: Latch.Latch
  settling: Array<Follower>
  fiber: Fiber.Fiber<unknown> | undefined
}

export const makeFeeds = Effect.fnUntraced(function* (
  limits: DirectLimits,
  { counts, failed, steps }: FeedParts,
): Effect.fn.Return<Feeds, never, EventLog | Mailbox | Topics | Scope.Scope> {
  const log = yield* EventLog
  const mailbox = yield* Mailbox
  const topics = yield* Topics
  const permits = yield* Semaphore.make(limits.passes)
  const run = yield* FiberSet.makeRuntime<never>()
  const readers = new Map<number, PartitionReader>()

  const step = (reader: PartitionReader, input: Feed.Input): void => {
    if (reader.isBroken) return
    reader.telling++
    try {
      for (const output of steps.feed(reader.feed, input)) {
        if (output._tag === "Wake") reader.behind.openUnsafe()
        else tell(reader.followers.get(output.clientId), output)
      }
    } catch (defect) {
      failed("follow a partition", defect)
      giveUp(reader)
    } finally {
      reader.telling--
    }
  }

  /** What a feed that broke an invariant has in memory is not to be relied on: its clients come again, to another. */
  const giveUp = (reader: PartitionReader): void => {
    reader.isBroken = true
    for (const connection of reader.connections) connection.unavailable()
  }

  /** Before the feed is stepped again: it may leave. */
  const tell = (connection: Follower | undefined, news: Feed.FeedNews): void => {
    connection?.news(news)
    connection?.carryOut()
  }

  const unfollow = (reader: PartitionReader, connection: Follower): void => {
    if (reader.followers.get(connection.clientId) !== connection) return
    reader.followers.delete(connection.clientId)
    step(reader, { _tag: "Leave", clientId: connection.clientId })
  }

  const tolerate = (part: string) => (error: LogError | MailboxUnavailable) => {
    counts.addTo("failed", part)
    return Effect.andThen(
      Effect.logWarning(`direct delivery could not ${part}, and tries again`, error),
      Effect.sleep(limits.retry_ms),
    )
  }

  const readEnd = (reader: PartitionReader) =>
    Effect.gen(function* () {
      const { feed, partition } = reader
      if (feed.next === undefined) step(reader, { _tag: "Begin", at: yield* log.end(topics.results, partition) })
      const chunks = log.tail(topics.results, partition, feed.next ?? "earliest")
      yield* Stream.runForEach(chunks, (chunk) => Effect.sync(() => step(reader, { _tag: "Chunk", chunk })))
    }).pipe(Effect.catch(tolerate("read results")), Effect.forever)

  /** A reader that was cut off while all that it was to read went gets no chunk to tell it so. */
  const look = (reader: PartitionReader) =>
    Effect.sleep(limits.look_every_ms).pipe(
      Effect.andThen(log.earliest(topics.results, reader.partition)),
      Effect.andThen((earliest) => Effect.sync(() => step(reader, { _tag: "Retained", earliest }))),
      Effect.catch(tolerate("look at what is retained")),
      Effect.forever,
    )

  const pass = (reader: PartitionReader) =>
    Effect.gen(function* () {
      const { feed, partition } = reader
      step(reader, { _tag: "BeginPass", earliest: yield* log.earliest(topics.results, partition) })
      const from = Feed.passFrom(feed)
      if (from === undefined) return
      counts.add("directPasses", 1)
      const pull = yield* Stream.toPull(log.tail(topics.results, partition, from))
      while (Feed.passState(feed) !== "done") {
        const chunks = yield* Effect.timeoutOption(pull, limits.pass_patience_ms)
        if (chunks._tag === "None") return
        for (const chunk of chunks.value) step(reader, { _tag: "PassChunk", chunk })
        if (Feed.passState(feed) === "idle" && !(yield* somebodyComes(reader))) return
      }
    }).pipe(
      Effect.scoped,
      Pull.catchDone(() => Effect.void),
      Effect.ensuring(Effect.sync(() => step(reader, { _tag: "EndPass" }))),
      Effect.catch(tolerate("catch up")),
    )

  const somebodyComes = ({ behind, feed }: PartitionReader) =>
    Effect.gen(function* () {
      const coming = Effect.gen(function* () {
        while (Feed.passState(feed) === "idle") {
          behind.closeUnsafe()
          yield* behind.await
        }
      })
      yield* Effect.timeoutOption(coming, limits.pass_patience_ms)
      return Feed.passState(feed) === "more"
    })

  const passes = (reader: PartitionReader) =>
    Effect.gen(function* () {
      while (!Feed.isWanted(reader.feed)) {
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
        connection.settledDlq = dlq
        connection.news({ _tag: "Settled", handover })
        connection.carryOut()
      }
    }).pipe(Effect.catch(tolerate("settle mailboxes")), Effect.forever)

  const open = (partition: number): PartitionReader => {
    const reader: PartitionReader = {
      partition,
      feed: Feed.make(limits),
      followers: new Map(),
      telling: 0,
      isBroken: false,
      connections: new Set(),
      behind: Latch.makeUnsafe(),
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

  const readerOf = ({ partition }: Follower): PartitionReader => readers.get(partition) ?? open(partition)

  return {
    enter: (connection) => void readerOf(connection).connections.add(connection),
    leave: (connection) => {
      const reader = readers.get(connection.partition)
      if (reader === undefined) return
      unfollow(reader, connection)
      reader.settling = reader.settling.filter((one) => one !== connection)
      reader.connections.delete(connection)
      if (reader.connections.size > 0) return
      readers.delete(reader.partition)
      reader.fiber?.interruptUnsafe()
    },
    follow: (connection, position) => {
      const { clientId } = connection
      const reader = readerOf(connection)
      reader.followers.set(clientId, connection)
      step(reader, { _tag: "Follow", clientId, position })
    },
    unfollow: (connection) => {
      const reader = readers.get(connection.partition)
      if (reader !== undefined) unfollow(reader, connection)
    },
    inform: (connection) => {
      const { clientId, partition } = connection
      const reader = readers.get(partition)
      if (reader === undefined || reader.telling > 0 || reader.followers.get(clientId) !== connection) return
      const next = Feed.passedUpTo(reader.feed, clientId)
      if (next !== undefined) connection.news({ _tag: "Passed", clientId, next })
    },
    settle: (connection) => {
      const reader = readerOf(connection)
      reader.settling.push(connection)
      reader.asked.openUnsafe()
    },
  }
})
