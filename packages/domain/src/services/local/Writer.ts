/**
 * The one writer of a local log.
 *
 * ```
 *   publish ─▶ queue ────────┐
 *                            ├─▶ one write at a time ─▶ tail cache, readers woken ─▶ publishes succeed
 *   commit ─▶ last of each ──┘   (what comes meanwhile makes the next)
 * ```
 *
 * 1. Offsets are given in the order of the `publish` calls, when records are taken from the queue: no holes.
 * 2. Readers are woken, and publishes succeed, once the store says that the records are durable.
 * 3. After a write that failed nobody knows what is stored: before the next one the end is read from the store again.
 * 4. Group commits go with the next write, or cause one after `commit_delay_ms`. One that failed is tried again.
 */
import { Effect, Latch } from "effect"
import type { LogUnavailable } from "../../Errors.ts"
import type { LocalLogLimits } from "../../Limits.ts"
import { logFailure } from "../FailureLog.ts"
import type { LogRecord } from "../../protocol/Records.ts"
import { recordBytes } from "../../protocol/Records.ts"
import { Fifo } from "./Fifo.ts"
import type { GroupCommit, LogStore } from "./LogStore.ts"
import { closed, type Partition, unavailable } from "./Partition.ts"
import { place, type Placement, type Publish } from "./Placing.ts"
import type { TailCache } from "./TailCache.ts"

interface Waiting extends Publish {
  readonly bytes: number
  readonly resume: (effect: Effect.Effect<number, LogUnavailable>) => void
}

interface Batch {
  readonly publishes: ReadonlyArray<Waiting>
  readonly commits: ReadonlyArray<GroupCommit>
}

export class Writer<E> {
  readonly #store: LogStore<E>
  readonly #cache: TailCache
  readonly #limits: LocalLogLimits
  readonly #queue = new Fifo<Waiting>()
  #queue_bytes = 0
  /** The last commit of each group and partition that is not yet stored. */
  readonly #commits = new Map<string, GroupCommit>()
  /** Partitions whose end must be read again (invariant 3). */
  readonly #unsure = new Set<Partition>()
  readonly #hasWork = Latch.makeUnsafe()
  readonly #hasCommits = Latch.makeUnsafe()
  #isClosed = false

  constructor(store: LogStore<E>, cache: TailCache, limits: LocalLogLimits) {
    this.#store = store
    this.#cache = cache
    this.#limits = limits
  }

  publish(partition: Partition, records: ReadonlyArray<LogRecord>): Effect.Effect<number, LogUnavailable> {
    return Effect.clockWith((clock) =>
      Effect.callback<number, LogUnavailable>((resume) => {
        let bytes = 0
        for (const record of records) bytes += recordBytes(record)
        const refusal = this.#refusal(partition, bytes)
        if (refusal !== undefined) return resume(Effect.fail(refusal))
        this.#queue.push({ partition, records, bytes, timestamp: clock.currentTimeMillisUnsafe(), resume })
        this.#queue_bytes += bytes
        this.#hasWork.openUnsafe()
      }),
    )
  }

  commit(commit: GroupCommit): void {
    this.#commits.set(commitKey(commit), commit)
    this.#hasCommits.openUnsafe()
  }

  /** Never ends. */
  readonly run: Effect.Effect<never> = Effect.suspend(() =>
    Effect.all([this.#writing, this.#flushing], { concurrency: 2 }).pipe(Effect.andThen(Effect.never)),
  )

  /** Once `run` was stopped: refuses what comes, and writes what waits. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.#isClosed = true
    const rest: Effect.Effect<void> = Effect.suspend(() =>
      this.#queue.length > 0 ? Effect.andThen(this.#write, rest) : Effect.void,
    )
    return Effect.andThen(this.#write, rest)
  })

  #refusal(partition: Partition, bytes: number): LogUnavailable | undefined {
    if (this.#isClosed) return closed(partition, "publish")
    return this.#queue.length > 0 && this.#queue_bytes + bytes > this.#limits.append_queue_bytes
      ? unavailable(partition, "publish", new Error("too many records wait to be written"))
      : undefined
  }

  readonly #writing: Effect.Effect<never> = Effect.forever(
    Effect.andThen(
      this.#hasWork.await,
      Effect.suspend(() => {
        this.#hasWork.closeUnsafe()
        return this.#write
      }),
    ),
  )

  readonly #flushing: Effect.Effect<never> = Effect.forever(
    Effect.suspend(() =>
      this.#hasCommits.await.pipe(
        Effect.andThen(this.#hasCommits.close),
        Effect.andThen(Effect.sleep(this.#limits.commit_delay_ms)),
        Effect.andThen(this.#hasWork.open),
      ),
    ),
  )

  /** Not to be interrupted: publishers wait for it. */
  readonly #write: Effect.Effect<void> = Effect.suspend(() => {
    const batch = this.#take()
    if (batch.publishes.length === 0 && batch.commits.length === 0) return Effect.void
    return Effect.andThen(this.#makeSure, () => {
      const placement = place(batch.publishes, this.#limits)
      return Effect.map(this.#store.write(placement.appends, batch.commits), () => this.#stored(placement))
    }).pipe(
      Effect.catch((cause) => this.#failed(batch, cause)),
      Effect.uninterruptible,
    )
  })

  #take(): Batch {
    const publishes: Array<Waiting> = []
    let bytes = 0
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      if (bytes > 0 && bytes + next.bytes > this.#limits.append_bytes) break
      bytes += next.bytes
      publishes.push(next)
      this.#queue.shift()
    }
    this.#queue_bytes -= bytes
    if (this.#queue.length > 0) this.#hasWork.openUnsafe()
    const commits = [...this.#commits.values()]
    this.#commits.clear()
    return { publishes, commits }
  }

  readonly #makeSure: Effect.Effect<void, E> = Effect.suspend(() =>
    this.#unsure.size === 0
      ? Effect.void
      : Effect.forEach([...this.#unsure], (partition) => this.#readEnd(partition), { discard: true }),
  )

  #readEnd(partition: Partition): Effect.Effect<void, E> {
    return Effect.map(this.#store.bounds(partition.topic, partition.partition), ({ end }) => {
      this.#unsure.delete(partition)
      if (end === partition.end) return
      // The cache is a run of blocks up to the end, and does not have these.
      this.#cache.trim(partition.tail, end)
      partition.end = end
      partition.wakeAll()
    })
  }

  #stored({ appends, placed }: Placement<Waiting>): void {
    for (const { block, to } of appends) {
      to.end = block.next
      this.#cache.add(to.tail, block)
    }
    for (const { to } of appends) to.wakeAll()
    for (const { from, publish } of placed) publish.resume(Effect.succeed(from))
  }

  #failed({ commits, publishes }: Batch, cause: E): Effect.Effect<void> {
    for (const commit of commits) if (!this.#commits.has(commitKey(commit))) this.commit(commit)
    for (const { partition, resume } of publishes) {
      this.#unsure.add(partition)
      resume(Effect.fail(unavailable(partition, "publish", cause)))
    }
    return commits.length === 0 ? Effect.void : logFailure("store group commits", cause)
  }
}

const commitKey = ({ group, partition, topic }: GroupCommit): string => JSON.stringify([topic, group, partition])
