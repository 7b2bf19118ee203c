/**
 * The shell of direct delivery's feeds: one lane for each partition that has such a client here, from the first one's
 * coming to the last one's leaving.
 *
 * ```
 *   lane ── reader at the end ──▶ ┌──────┐
 *        ── pass, when wanted ──▶ │ Feed │ ──▶ connections
 *        ── settle, when asked    └──────┘
 * ```
 *
 * - A reader that fails goes on where it was. A pass that fails, or gets nothing for `pass_patience_ms`, is over, and
 *   whoever was in it waits for the next one, which looks anew at what the log retains.
 * - A pass waits for its members as long as that; to one that is slower it is the next pass that comes.
 * - `settle`: the commit of the result consumers says up to where a result is acknowledged or in the dlq; once the
 *   mailboxes have the dlq up to its end, they have all of that.
 */
import type { LogError, MailboxUnavailable } from "@nimbus/domain/errors"
import { Feed } from "@nimbus/domain/protocol"
import { committedBy, EventLog, Mailbox, Topics } from "@nimbus/domain/services"
import { Effect, type Fiber, FiberSet, Latch, Pull, Schedule, type Scope, Semaphore, Stream } from "effect"
import type { DirectLimits } from "../../Limits.ts"
import type { Counts } from "../../Metrics.ts"
import type { DirectConnection, DirectShared } from "./DirectConnection.ts"

export type Feeds = DirectShared["feeds"]

interface Lane {
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
  const lanes = new Map<number, Lane>()

  const tolerate = (part: string) => (error: LogError | MailboxUnavailable) => {
    counts.addTo("failed", part)
    return Effect.andThen(
      Effect.logWarning(`direct delivery could not ${part}, and tries again`, error),
      Effect.sleep(limits.retry_ms),
    )
  }

  const readEnd = ({ feed, partition }: Lane) =>
    Effect.gen(function* () {
      if (feed.next === undefined) feed.begin(yield* log.end(topics.results, partition))
      const chunks = log.tail(topics.results, partition, feed.next ?? "earliest")
      yield* Stream.runForEach(chunks, (chunk) => Effect.sync(() => feed.chunk(chunk)))
    }).pipe(Effect.catch(tolerate("read results")), Effect.forever)

  /** A reader that was cut off while all that it was to read went gets no chunk to tell it so. */
  const look = ({ feed, partition }: Lane) =>
    Effect.sleep(limits.look_every_ms).pipe(
      Effect.andThen(log.earliest(topics.results, partition)),
      Effect.andThen((earliest) => Effect.sync(() => feed.retained(earliest))),
      Effect.catch(tolerate("look at what is retained")),
      Effect.forever,
    )

  const pass = (lane: Lane) =>
    Effect.gen(function* () {
      const { feed, partition } = lane
      const from = feed.beginPass(yield* log.earliest(topics.results, partition))
      if (from === undefined) return
      counts.add("directPasses", 1)
      const pull = yield* Stream.toPull(log.tail(topics.results, partition, from))
      while (feed.passState !== "done") {
        const chunks = yield* Effect.timeoutOption(pull, limits.pass_patience_ms)
        if (chunks._tag === "None") return
        for (const chunk of chunks.value) feed.passChunk(chunk)
        if (feed.passState === "idle" && !(yield* somebodyComes(lane))) return
      }
    }).pipe(
      Effect.scoped,
      Pull.catchDone(() => Effect.void),
      Effect.ensuring(Effect.sync(() => lane.feed.endPass())),
      Effect.catch(tolerate("catch up")),
    )

  const somebodyComes = ({ behind, feed }: Lane) =>
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

  const passes = (lane: Lane) =>
    Effect.gen(function* () {
      while (!lane.feed.wanted) {
        lane.behind.closeUnsafe()
        yield* lane.behind.await
      }
      yield* permits.withPermits(1)(pass(lane))
    }).pipe(Effect.forever)

  /** In this order: what the commit speaks of is in the dlq before its end is asked for. */
  const settled = ({ partition }: Lane) =>
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

  const settle = (lane: Lane) =>
    Effect.gen(function* () {
      yield* lane.asked.await
      lane.asked.closeUnsafe()
      const asking = lane.settling
      lane.settling = []
      const { dlq, handover } = yield* Effect.tapError(settled(lane), () =>
        Effect.sync(() => {
          lane.settling.push(...asking)
          lane.asked.openUnsafe()
        }),
      )
      for (const connection of asking) {
        connection.dlq = dlq
        connection.session.settled(handover)
        connection.carryOut()
      }
    }).pipe(Effect.catch(tolerate("settle mailboxes")), Effect.forever)

  const open = (partition: number): Lane => {
    const behind = Latch.makeUnsafe()
    const feed = new Feed({ recent_bytes: limits.recent_bytes, wake: () => void behind.openUnsafe() })
    const lane: Lane = {
      partition,
      feed,
      residents: new Set(),
      behind,
      asked: Latch.makeUnsafe(),
      settling: [],
      fiber: undefined,
    }
    lane.fiber = run(
      Effect.all([readEnd(lane), look(lane), passes(lane), settle(lane)], { concurrency: 4, discard: true }),
    )
    lanes.set(partition, lane)
    counts.add("directReaders", 1)
    return lane
  }

  const laneOf = ({ partition }: DirectConnection): Lane => lanes.get(partition) ?? open(partition)

  return {
    enter: (connection) => void laneOf(connection).residents.add(connection),
    leave: (connection) => {
      const lane = lanes.get(connection.partition)
      if (lane === undefined) return
      lane.feed.leave(connection)
      lane.settling = lane.settling.filter((one) => one !== connection)
      lane.residents.delete(connection)
      if (lane.residents.size > 0) return
      lanes.delete(lane.partition)
      lane.fiber?.interruptUnsafe()
    },
    follow: (connection) => laneOf(connection).feed.follow(connection),
    inform: (connection) => lanes.get(connection.partition)?.feed.inform(connection),
    settle: (connection) => {
      const lane = laneOf(connection)
      lane.settling.push(connection)
      lane.asked.openUnsafe()
    },
  }
})
