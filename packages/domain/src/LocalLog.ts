/**
 * The log within one process: everything of `EventLog` but the storing, which is a small driver.
 *
 * ```
 *   publish ─▶ queue ─▶ writer ─▶ LogStore.write ─▶ tail cache ─▶ readers at the tail
 *                       (one write at a time: what comes            │
 *                        meanwhile makes the next)      LogStore.read ─▶ readers further back
 * ```
 *
 * 1. Offsets are given by the one writer, in the order of the `publish` calls, when it takes records from the queue; a
 *    partition has no holes.
 * 2. Readers see records, and the publish succeeds, once the store says that they are durable: in that order.
 * 3. After a write that failed nobody knows what is stored: before the next one the end is read from the store again.
 * 4. Small publishes to one partition that wait together are stored, and read, as one block.
 * 5. `earliest` is raised before the store drops anything, and every chunk begins where its first record is.
 */
import { Cause, Clock, Deferred, Effect, type Scope, Stream } from "effect"
import { type LogError, LogUnavailable, PartitionRevoked, UnknownTopic } from "./Errors.ts"
import type { AssignedPartition, Chunk, EventLog, Position } from "./EventLog.ts"
import type { Incarnation } from "./Ids.ts"
import { type ChunkLimits, type LocalLogLimits, localLogLimits } from "./Limits.ts"
import { type Block, recordsOf, sizeOf, slice } from "./local/Block.ts"
import { ConsumerGroup, type Ownership } from "./local/ConsumerGroup.ts"
import { Fifo } from "./local/Fifo.ts"
import { TailCache } from "./local/TailCache.ts"
import type { LogRecord, StoredRecord } from "./Records.ts"

export type { Block } from "./local/Block.ts"

/** What a partition keeps. Whole blocks go, the oldest first, and never the newest, from which the end is known. */
export interface Retention {
  /** Per partition. Beyond: the oldest go. */
  readonly retention_bytes?: number | undefined
  /** What was published longer ago goes. */
  readonly retention_age_ms?: number | undefined
}

export interface Append {
  readonly topic: string
  readonly partition: number
  readonly block: Block
}

export interface GroupCommit {
  readonly topic: string
  readonly group: string
  readonly partition: number
  readonly next: number
}

/** Where a local log keeps its blocks. Errors of any kind become `LogUnavailable` with them as the cause. */
export interface LogStore<E> {
  readonly incarnation: Incarnation
  /** What is stored of a partition: the offsets `[earliest, end)`. */
  bounds(topic: string, partition: number): Effect.Effect<{ readonly earliest: number; readonly end: number }, E>
  /** All group commits stored. */
  readonly commits: Effect.Effect<ReadonlyArray<GroupCommit>, E>
  /**
   * Stores blocks and group commits in one step; succeeds once they are durable. Called one at a time. Each block begins
   * at its partition's end.
   */
  write(appends: ReadonlyArray<Append>, commits: ReadonlyArray<GroupCommit>): Effect.Effect<void, E>
  /**
   * Consecutive blocks from the one that holds `from` on, or the first after it: at least one if there is any, then whole ones up to
   * the limits. The first may begin at `from` instead of its own beginning.
   */
  read(topic: string, partition: number, from: number, limits: ChunkLimits): Effect.Effect<ReadonlyArray<Block>, E>
  /** The earliest offset to keep by this retention: the beginning of a block. Drops nothing. */
  retained(topic: string, partition: number, retention: Retention, now_ms: number): Effect.Effect<number, E>
  /** Drops the blocks that end at or before `earliest`. */
  drop(topic: string, partition: number, earliest: number): Effect.Effect<void, E>
}

export interface LocalLogOptions {
  /** The topics there are. */
  readonly topics: ReadonlyArray<string>
  /** The partition count of each. */
  readonly partitions: number
  /** By topic; one without keeps everything. */
  readonly retention?: Readonly<Record<string, Retention>> | undefined
  readonly limits?: Partial<LocalLogLimits> | undefined
}

/** Builds the log on a store. The scope's end writes what waits, and lets no reader wait on. */
export const make = Effect.fnUntraced(function* <E>(
  store: LogStore<E>,
  options: LocalLogOptions,
): Effect.fn.Return<EventLog["Service"], E, Scope.Scope> {
  const log = new LocalLog(store, options)
  yield* log.open
  yield* Effect.addFinalizer(() => log.close)
  yield* Effect.forkScoped(Effect.forever(log.writeNext))
  yield* Effect.forkScoped(Effect.forever(log.flushCommits))
  if (options.retention !== undefined) yield* Effect.forkScoped(Effect.forever(log.retain))
  return {
    partitions: options.partitions,
    incarnation: store.incarnation,
    publish: log.publish,
    subscribe: log.subscribe,
    tail: (topic, partition, position) =>
      Stream.unwrap(Effect.map(log.find(topic, partition), (found) => log.read(found, position, undefined))),
    earliest: (topic, partition) => Effect.map(log.find(topic, partition), (found) => found.earliest),
    end: (topic, partition) => Effect.map(log.find(topic, partition), (found) => found.end),
    committed: (topic, group, partition) =>
      Effect.map(log.find(topic, partition), () => log.committed(topic, group, partition)),
  }
})

interface Partition {
  readonly topic: string
  readonly partition: number
  earliest: number
  /** Of what readers may see. */
  end: number
  /** The newest blocks, up to the end. */
  readonly tail: Fifo<Block>
  readonly waiting: Set<() => void>
}

interface Publish {
  readonly partition: Partition
  readonly records: ReadonlyArray<LogRecord>
  readonly bytes: number
  readonly timestamp: number
  readonly resume: (effect: Effect.Effect<number, LogUnavailable>) => void
}

/** A publish in a write, with the offset of its first record. */
interface Placed {
  readonly publish: Publish
  readonly from: number
}

class LocalLog<E> {
  readonly #store: LogStore<E>
  readonly #options: LocalLogOptions
  readonly #limits: LocalLogLimits
  readonly #cache: TailCache
  readonly #topics = new Map<string, ReadonlyArray<Partition>>()
  readonly #groups = new Map<string, ConsumerGroup>()
  readonly #queue = new Fifo<Publish>()
  #queue_bytes = 0
  /** Group commits not yet stored, the last of each group and partition. */
  #commits = new Map<string, GroupCommit>()
  #commitsAreDue = false
  /** Partitions whose end must be read from the store again (invariant 3). */
  readonly #unsure = new Set<Partition>()
  #wakeWriter: (() => void) | undefined
  #wakeFlusher: (() => void) | undefined
  #closed = false
  readonly #ended = Deferred.makeUnsafe<never, Error>()

  constructor(store: LogStore<E>, options: LocalLogOptions) {
    this.#store = store
    this.#options = options
    this.#limits = { ...localLogLimits, ...options.limits }
    this.#cache = new TailCache(this.#limits.tail_cache_bytes)
  }

  readonly open: Effect.Effect<void, E> = Effect.gen({ self: this }, function* () {
    for (const topic of this.#options.topics) {
      const partitions: Array<Partition> = []
      for (let partition = 0; partition < this.#options.partitions; partition++) {
        const { earliest, end } = yield* this.#store.bounds(topic, partition)
        partitions.push({ topic, partition, earliest, end, tail: new Fifo(), waiting: new Set() })
      }
      this.#topics.set(topic, partitions)
    }
    for (const { group, next, partition, topic } of yield* this.#store.commits) {
      this.#group(topic, group).committed.set(partition, next)
    }
  })

  readonly find = (topic: string, partition: number): Effect.Effect<Partition, UnknownTopic> => {
    const partitions = this.#topics.get(topic)
    if (partitions === undefined) return Effect.fail(new UnknownTopic({ topic }))
    const found = partitions[partition]
    return found === undefined
      ? Effect.die(new RangeError(`${topic} has partitions 0 to ${partitions.length - 1}, not ${partition}`))
      : Effect.succeed(found)
  }

  committed(topic: string, group: string, partition: number): number | undefined {
    return this.#groups.get(groupKey(topic, group))?.committed.get(partition)
  }

  #group(topic: string, name: string): ConsumerGroup {
    const key = groupKey(topic, name)
    const known = this.#groups.get(key)
    if (known !== undefined) return known
    const group = new ConsumerGroup(this.#options.partitions)
    this.#groups.set(key, group)
    return group
  }

  // --- publishing

  readonly publish = (
    topic: string,
    partition: number,
    records: ReadonlyArray<LogRecord>,
  ): Effect.Effect<number, LogUnavailable | UnknownTopic> =>
    Effect.flatMap(this.find(topic, partition), (found) =>
      records.length === 0 ? Effect.succeed(found.end) : this.#enqueue(found, records),
    )

  #enqueue(partition: Partition, records: ReadonlyArray<LogRecord>): Effect.Effect<number, LogUnavailable> {
    return Effect.clockWith((clock) =>
      Effect.callback<number, LogUnavailable>((resume) => {
        if (this.#closed) return resume(Effect.fail(unavailable(partition, "publish", closedCause())))
        let bytes = 0
        for (const record of records) bytes += sizeOf(record)
        if (this.#queue.length > 0 && this.#queue_bytes + bytes > this.#limits.append_queue_bytes) {
          return resume(
            Effect.fail(unavailable(partition, "publish", new Error("too many records wait to be written"))),
          )
        }
        this.#queue.push({ partition, records, bytes, timestamp: clock.currentTimeMillisUnsafe(), resume })
        this.#queue_bytes += bytes
        this.#wakeWriter?.()
      }),
    )
  }

  /** Waits until there is something to write, then writes it. */
  readonly writeNext: Effect.Effect<void> = Effect.suspend(() =>
    this.#hasWork() ? this.#write : Effect.andThen(this.#work, this.#write),
  )

  #hasWork(): boolean {
    return this.#queue.length > 0 || this.#commitsAreDue
  }

  readonly #work = Effect.callback<void>((resume) => {
    if (this.#hasWork()) return resume(Effect.void)
    this.#wakeWriter = () => {
      this.#wakeWriter = undefined
      resume(Effect.void)
    }
  })

  /** Not to be interrupted: its publishers wait for it. */
  readonly #write: Effect.Effect<void> = Effect.suspend(() => {
    const batch = this.#take()
    return Effect.andThen(this.#makeSure, () => {
      const { appends, placed } = place(batch.publishes, this.#limits)
      return Effect.match(this.#store.write(appends, batch.commits), {
        onSuccess: () => this.#stored(appends, placed),
        onFailure: (cause) => this.#failed(batch, cause),
      })
    }).pipe(
      Effect.catch((cause) => Effect.sync(() => this.#failed(batch, cause))),
      Effect.uninterruptible,
    )
  })

  #take(): Batch {
    const publishes: Array<Publish> = []
    let bytes = 0
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      if (bytes > 0 && bytes + next.bytes > this.#limits.append_bytes) break
      bytes += next.bytes
      publishes.push(next)
      this.#queue.shift()
    }
    this.#queue_bytes -= bytes
    const commits = [...this.#commits.values()]
    this.#commits.clear()
    this.#commitsAreDue = false
    return { publishes, commits }
  }

  readonly #makeSure: Effect.Effect<void, E> = Effect.suspend(() =>
    this.#unsure.size === 0
      ? Effect.void
      : Effect.forEach(
          [...this.#unsure],
          (partition) =>
            Effect.map(this.#store.bounds(partition.topic, partition.partition), ({ end }) => {
              this.#unsure.delete(partition)
              if (end === partition.end) return
              this.#cache.trim(partition.tail, end)
              partition.end = end
              wakeAll(partition.waiting)
            }),
          { discard: true },
        ),
  )

  #stored(appends: ReadonlyArray<AppendTo>, placed: ReadonlyArray<Placed>): void {
    for (const { block, to } of appends) {
      to.end = block.next
      this.#cache.add(to.tail, block)
    }
    for (const { to } of appends) wakeAll(to.waiting)
    for (const { from, publish } of placed) publish.resume(Effect.succeed(from))
  }

  #failed(batch: Batch, cause: E): void {
    for (const commit of batch.commits) {
      const key = commitKey(commit)
      if (!this.#commits.has(key)) this.#commits.set(key, commit)
    }
    this.#wakeFlusher?.()
    for (const { partition, resume } of batch.publishes) {
      this.#unsure.add(partition)
      resume(Effect.fail(unavailable(partition, "publish", cause)))
    }
  }

  // --- reading

  /** `owner`: reads until it loses the partition. */
  read(
    partition: Partition,
    position: number | "earliest",
    owner: Ownership | undefined,
  ): Stream.Stream<Chunk, LogUnavailable> {
    return Stream.suspend(() => {
      let next = position === "earliest" ? partition.earliest : position
      const pull: Effect.Effect<readonly [Chunk], LogUnavailable | Cause.Done> = Effect.suspend(() => {
        if (owner?.isRevoked) return Cause.done()
        if (this.#closed) return Effect.fail(unavailable(partition, "read", closedCause()))
        next = Math.max(next, partition.earliest)
        if (next >= partition.end) return Effect.andThen(this.#wait(partition, next, owner), pull)
        return Effect.flatMap(this.#blocks(partition, next), (blocks) => {
          const chunk = toChunk(partition.partition, blocks, next)
          if (chunk === undefined)
            return Effect.fail(unavailable(partition, "read", new Error(`nothing is stored from ${next} on`)))
          next = chunk.next
          return Effect.succeed([chunk] as const)
        })
      })
      return Stream.fromPull(Effect.succeed(pull))
    })
  }

  /** Until something may have changed for a reader at `next`. */
  #wait(partition: Partition, next: number, owner: Ownership | undefined): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const wake = () => {
        partition.waiting.delete(wake)
        resume(Effect.void)
      }
      if (next < partition.end || owner?.isRevoked || this.#closed) return wake()
      partition.waiting.add(wake)
      if (owner !== undefined) owner.wake = wake
      return Effect.sync(() => void partition.waiting.delete(wake))
    })
  }

  #blocks(partition: Partition, from: number): Effect.Effect<ReadonlyArray<Block>, LogUnavailable> {
    const oldest = partition.tail.peek()
    if (oldest !== undefined && from >= oldest.from) return Effect.succeed(slice(partition.tail, from, this.#limits))
    return Effect.mapError(this.#store.read(partition.topic, partition.partition, from, this.#limits), (cause) =>
      unavailable(partition, "read", cause),
    )
  }

  // --- groups

  readonly subscribe = (topic: string, name: string): Stream.Stream<AssignedPartition, LogError> =>
    Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        yield* this.find(topic, 0)
        const group = this.#group(topic, name)
        const member = yield* Effect.acquireRelease(
          Effect.sync(() => group.join()),
          (member) => Effect.sync(() => group.leave(member)),
        )
        const ended = Effect.mapError(Deferred.await(this.#ended), (cause) =>
          unavailable({ topic }, "subscribe", cause),
        )
        const assigned = (ownership: Ownership) =>
          Effect.map(this.find(topic, ownership.partition), (found) => this.#assigned(found, name, group, ownership))
        return Stream.fromPull(
          Effect.succeed(
            Effect.flatMap(Effect.raceFirst(member.next, ended), ([first, ...rest]) =>
              Effect.all([assigned(first), ...rest.map(assigned)]),
            ),
          ),
        )
      }),
    )

  #assigned(partition: Partition, name: string, group: ConsumerGroup, ownership: Ownership): AssignedPartition {
    const { topic } = partition
    const owned = Effect.suspend(() =>
      ownership.isRevoked ? Effect.fail(new PartitionRevoked({ topic, partition: ownership.partition })) : Effect.void,
    )
    const committed = () => group.committed.get(ownership.partition)
    return {
      topic,
      partition: ownership.partition,
      committed: Effect.map(owned, committed),
      read: (position) => Stream.suspend(() => this.read(partition, resolve(position, committed()), ownership)),
      commit: (next) =>
        Effect.map(owned, () => {
          group.committed.set(ownership.partition, next)
          this.#saveLater({ topic, group: name, partition: ownership.partition, next })
        }),
      revoked: Deferred.await(ownership.revoked),
    }
  }

  #saveLater(commit: GroupCommit): void {
    this.#commits.set(commitKey(commit), commit)
    this.#wakeFlusher?.()
  }

  /** Lets group commits wait for a write to go with, but not for long. */
  readonly flushCommits: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.#wakeFlusher = () => {
      this.#wakeFlusher = undefined
      resume(Effect.void)
    }
    if (this.#commits.size > 0) this.#wakeFlusher()
  }).pipe(
    Effect.andThen(Effect.suspend(() => Effect.sleep(this.#limits.commit_delay_ms))),
    Effect.andThen(
      Effect.sync(() => {
        this.#commitsAreDue = this.#commits.size > 0
        this.#wakeWriter?.()
      }),
    ),
  )

  // --- retention and the end

  readonly retain: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      Effect.sleep(this.#limits.retention_every_ms),
      Effect.forEach([...this.#topics.values()].flat(), (partition) => this.#retainIn(partition), { discard: true }),
    ),
  )

  #retainIn(partition: Partition): Effect.Effect<void> {
    const { topic } = partition
    const retention = this.#options.retention?.[topic]
    if (retention === undefined) return Effect.void
    return Effect.gen({ self: this }, function* () {
      const now_ms = yield* Clock.currentTimeMillis
      const earliest = yield* this.#store.retained(topic, partition.partition, retention, now_ms)
      if (earliest <= partition.earliest) return
      partition.earliest = earliest
      this.#cache.trim(partition.tail, earliest)
      yield* this.#store.drop(topic, partition.partition, earliest)
    }).pipe(Effect.catch((cause) => Effect.logWarning("retention failed, it is tried again", { topic, cause })))
  }

  /** Runs after the writer has ended, and writes what it left. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.#closed = true
    Deferred.doneUnsafe(this.#ended, Effect.fail(closedCause()))
    for (const partitions of this.#topics.values()) for (const { waiting } of partitions) wakeAll(waiting)
    const rest: Effect.Effect<void> = Effect.suspend(() =>
      this.#queue.length > 0 ? Effect.andThen(this.#write, rest) : Effect.void,
    )
    return Effect.andThen(this.#write, rest)
  })
}

interface Batch {
  readonly publishes: ReadonlyArray<Publish>
  readonly commits: ReadonlyArray<GroupCommit>
}

type AppendTo = Append & { readonly to: Partition }

interface Builder {
  readonly from: number
  next: number
  bytes: number
  records: Array<StoredRecord>
}

/** Gives offsets (invariants 1 and 4), in blocks that keep within the limits of a chunk. */
const place = (publishes: ReadonlyArray<Publish>, limits: ChunkLimits) => {
  const appends: Array<AppendTo> = []
  const placed: Array<Placed> = []
  const builders = new Map<Partition, Builder>()
  for (const publish of publishes) {
    const { partition, timestamp } = publish
    let builder = builders.get(partition) ?? emptyBuilder(partition.end)
    placed.push({ publish, from: builder.next })
    for (const record of publish.records) {
      const bytes = sizeOf(record)
      if (isFull(builder, bytes, limits)) {
        appends.push(toAppend(partition, builder))
        builder = emptyBuilder(builder.next)
      }
      const { headers, key, value } = record
      builder.records.push({ key, value, headers, offset: builder.next, timestamp })
      builder.next++
      builder.bytes += bytes
    }
    builders.set(partition, builder)
  }
  for (const [partition, builder] of builders) appends.push(toAppend(partition, builder))
  return { appends, placed }
}

const emptyBuilder = (from: number): Builder => ({ from, next: from, bytes: 0, records: [] })

const isFull = (builder: Builder, bytes: number, limits: ChunkLimits): boolean =>
  builder.records.length > 0 &&
  (builder.records.length >= limits.chunk_records || builder.bytes + bytes > limits.chunk_bytes)

const toAppend = (to: Partition, { bytes, from, next, records }: Builder): AppendTo => ({
  topic: to.topic,
  partition: to.partition,
  to,
  block: { from, next, bytes, records },
})

/** The chunk that a reader at `next` gets; it begins further on where retention was faster (invariant 5). */
const toChunk = (partition: number, blocks: ReadonlyArray<Block>, next: number): Chunk | undefined => {
  const records = recordsOf(blocks, next)
  const first = records[0]
  const last = blocks.at(-1)
  return first === undefined || last === undefined
    ? undefined
    : { partition, from: first.offset, next: last.next, records }
}

const resolve = (position: Position, committed: number | undefined): number | "earliest" =>
  position === "committed" ? (committed ?? "earliest") : position

const wakeAll = (waiting: Set<() => void>): void => {
  // A copy: who is woken may run at once, and wait again.
  const woken = Array.from(waiting)
  for (const wake of woken) wake()
}

const groupKey = (topic: string, group: string): string => JSON.stringify([topic, group])
const commitKey = ({ group, partition, topic }: GroupCommit): string => JSON.stringify([topic, group, partition])

const closedCause = () => new Error("the log is closed")

const unavailable = ({ topic }: { readonly topic: string }, operation: string, cause: unknown): LogUnavailable =>
  new LogUnavailable({ topic, operation, cause })
