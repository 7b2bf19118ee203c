/**
 * The log within one process: everything of `EventLog` but the storing, which is a driver (`LogStore`).
 *
 * ```
 *   publish ─▶ Writer ─▶ LogStore.write ─▶ TailCache ─▶ readers at the tail
 *                        LogStore.read ──────────────▶ readers further back
 *   subscribe ─▶ ConsumerGroup, within the process
 * ```
 *
 * It is part of the domain because the memory log stands on it, which embedders and all suites use: order, groups, retention,
 * chunks and bounds are the same for every store. An adapter brings its driver, and nothing else of a log.
 *
 * 1. A chunk begins where its first record is: retention raises `earliest` before it drops anything, and a read that it
 *    overtook begins later.
 * 2. A chunk is the rest of one block or some whole ones: small publishes are read together, none is cut twice.
 * 3. Nothing is read from the store but for a pull.
 */
import { Cause, Clock, Deferred, Effect, type Scope, Stream } from "effect"
import { type LogError, type LogUnavailable, PartitionRevoked, UnknownTopic } from "../Errors.ts"
import type { AssignedPartition, Chunk, Committed, EventLog, Position } from "./EventLog.ts"
import { type LocalLogLimits, localLogLimits } from "../Limits.ts"
import { logFailure } from "./FailureLog.ts"
import { type Block, recordsOf, slice } from "./local/Block.ts"
import { ConsumerGroup, type Ownership } from "./local/ConsumerGroup.ts"
import type { LogStore, Retention } from "./local/LogStore.ts"
import { closed, Partition, unavailable } from "./local/Partition.ts"
import { TailCache } from "./local/TailCache.ts"
import { Writer } from "./local/Writer.ts"

export type { Block } from "./local/Block.ts"
export type { Append, GroupCommit, LogStore, Retention } from "./local/LogStore.ts"

/** What a log within one process is made of. */
export interface LocalLogOptions {
  /** The topics there are. */
  readonly topics: ReadonlyArray<string>
  /** The partition count of each. */
  readonly partitions: number
  /** By topic; one without keeps everything. */
  readonly retention?: Readonly<Record<string, Retention>> | undefined
  readonly limits?: Partial<LocalLogLimits> | undefined
}

/** Builds the log on a store. When the scope closes, what waits is written and what reads fails. */
export const make = Effect.fnUntraced(function* <E>(
  store: LogStore<E>,
  options: LocalLogOptions,
): Effect.fn.Return<EventLog["Service"], E, Scope.Scope> {
  const log = new LocalLog(store, options)
  yield* log.open
  yield* Effect.addFinalizer(() => log.close)
  yield* Effect.forkScoped(log.run)
  return {
    partitions: options.partitions,
    incarnation: store.incarnation,
    facts: (topic) => ({
      partitions: options.partitions,
      incarnation: store.incarnation,
      publish_bytes: Infinity,
      retention_ms: options.retention?.[topic]?.retention_age_ms ?? Infinity,
    }),
    publish: (topic, partition, records) =>
      Effect.flatMap(log.find(topic, partition), (found) => log.publish(found, records)),
    subscribe: (topic, group) => log.subscribe(topic, group),
    tail: (topic, partition, position) =>
      Stream.unwrap(Effect.map(log.find(topic, partition), (found) => log.read(found, position, undefined))),
    earliest: (topic, partition) => Effect.map(log.find(topic, partition), (found) => found.earliest),
    end: (topic, partition) => Effect.map(log.find(topic, partition), (found) => found.end),
    committed: (topic, group, partition) =>
      Effect.map(log.find(topic, partition), () => log.committed(topic, group, partition)),
  }
})

class LocalLog<E> {
  readonly #store: LogStore<E>
  readonly #options: LocalLogOptions
  readonly #limits: LocalLogLimits
  readonly #cache: TailCache
  readonly #writer: Writer<E>
  readonly #topics = new Map<string, ReadonlyArray<Partition>>()
  readonly #groups = new Map<string, ConsumerGroup>()
  readonly #closed = Deferred.makeUnsafe<void>()
  #isClosed = false

  constructor(store: LogStore<E>, options: LocalLogOptions) {
    this.#store = store
    this.#options = options
    this.#limits = { ...localLogLimits, ...options.limits }
    this.#cache = new TailCache(this.#limits.tail_cache_bytes)
    this.#writer = new Writer(store, this.#cache, this.#limits)
  }

  readonly open: Effect.Effect<void, E> = Effect.gen({ self: this }, function* () {
    for (const topic of this.#options.topics) {
      const partitions: Array<Partition> = []
      for (let partition = 0; partition < this.#options.partitions; partition++) {
        partitions.push(new Partition(topic, partition, yield* this.#store.bounds(topic, partition)))
      }
      this.#topics.set(topic, partitions)
    }
    for (const { group, metadata, next, partition, topic } of yield* this.#store.commits) {
      this.#group(topic, group).committed.set(partition, { next, metadata })
    }
  })

  readonly run: Effect.Effect<void> = Effect.suspend(() =>
    Effect.all([this.#writer.run, this.#options.retention === undefined ? Effect.void : this.#retaining], {
      concurrency: 2,
      discard: true,
    }),
  )

  /** Once `run` was stopped. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.#isClosed = true
    Deferred.doneUnsafe(this.#closed, Effect.void)
    for (const partition of this.#partitions()) partition.wakeAll()
    return this.#writer.close
  })

  find(topic: string, partition: number): Effect.Effect<Partition, UnknownTopic> {
    const partitions = this.#topics.get(topic)
    if (partitions === undefined) return Effect.fail(new UnknownTopic({ topic }))
    const found = partitions[partition]
    return found === undefined
      ? Effect.die(new RangeError(`${topic} has the partitions below ${partitions.length}, not ${partition}`))
      : Effect.succeed(found)
  }

  publish(...[partition, records]: Parameters<Writer<E>["publish"]>): Effect.Effect<number, LogUnavailable> {
    return records.length === 0 ? Effect.succeed(partition.end) : this.#writer.publish(partition, records)
  }

  #partitions(): ReadonlyArray<Partition> {
    return [...this.#topics.values()].flat()
  }

  // Reading

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
        if (this.#isClosed) return Effect.fail(closed(partition, "read"))
        next = Math.max(next, partition.earliest)
        if (next >= partition.end) return Effect.andThen(this.#wait(partition, next, owner), pull)
        return Effect.flatMap(this.#blocks(partition, next), (blocks) => {
          const chunk = toChunk(partition.partition, blocks, next)
          if (chunk === undefined) return Effect.fail(unavailable(partition, "read", new Error(`no block at ${next}`)))
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
      if (next < partition.end || owner?.isRevoked || this.#isClosed) return resume(Effect.void)
      const wake = () => {
        giveUp()
        resume(Effect.void)
      }
      const giveUp = partition.onWake(wake)
      if (owner !== undefined) owner.wake = wake
      return Effect.sync(giveUp)
    })
  }

  #blocks(partition: Partition, from: number): Effect.Effect<ReadonlyArray<Block>, LogUnavailable> {
    const oldest = partition.tail.peek()
    if (oldest !== undefined && from >= oldest.from) return Effect.succeed(slice(partition.tail, from, this.#limits))
    return Effect.mapError(this.#store.read(partition.topic, partition.partition, from, this.#limits), (cause) =>
      unavailable(partition, "read", cause),
    )
  }

  // Groups

  subscribe(topic: string, name: string): Stream.Stream<AssignedPartition, LogError> {
    return Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        yield* this.find(topic, 0)
        const group = this.#group(topic, name)
        const member = yield* Effect.acquireRelease(
          Effect.sync(() => group.join()),
          (member) => Effect.sync(() => group.leave(member)),
        )
        const whenClosed = Effect.andThen(Deferred.await(this.#closed), Effect.fail(closed({ topic }, "subscribe")))
        const assigned = (ownership: Ownership) =>
          Effect.map(this.find(topic, ownership.partition), (found) => this.#assigned(found, name, group, ownership))
        const pull = Effect.flatMap(Effect.raceFirst(member.next, whenClosed), ([first, ...rest]) =>
          Effect.all([assigned(first), ...rest.map(assigned)]),
        )
        return Stream.fromPull(Effect.succeed(pull))
      }),
    )
  }

  #assigned(found: Partition, group: string, { committed }: ConsumerGroup, ownership: Ownership): AssignedPartition {
    const { partition, topic } = found
    const owned = Effect.suspend(() =>
      ownership.isRevoked ? Effect.fail(new PartitionRevoked({ topic, partition })) : Effect.void,
    )
    return {
      topic,
      partition,
      committed: Effect.map(owned, () => committed.get(partition)),
      read: (position) =>
        Stream.suspend(() => this.read(found, resolve(position, committed.get(partition)?.next), ownership)),
      commit: (next, metadata = "") =>
        Effect.map(owned, () => {
          committed.set(partition, { next, metadata })
          this.#writer.commit({ topic, group, partition, next, metadata })
        }),
      revoked: Deferred.await(ownership.revoked),
    }
  }

  committed(topic: string, group: string, partition: number): Committed | undefined {
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

  // Retention

  readonly #retaining: Effect.Effect<never> = Effect.forever(
    Effect.suspend(() =>
      Effect.andThen(
        Effect.sleep(this.#limits.retention_every_ms),
        Effect.forEach(this.#partitions(), (partition) => this.#retain(partition), { discard: true }),
      ),
    ),
  )

  #retain(found: Partition): Effect.Effect<void> {
    const { partition, topic } = found
    const retention = this.#options.retention?.[topic]
    if (retention === undefined) return Effect.void
    return Effect.gen({ self: this }, function* () {
      const earliest = yield* this.#store.retained(topic, partition, retention, yield* Clock.currentTimeMillis)
      if (earliest <= found.earliest) return
      found.earliest = earliest
      this.#cache.trim(found.tail, earliest)
      yield* this.#store.drop(topic, partition, earliest)
    }).pipe(Effect.catch((error) => logFailure(`retention of ${topic}`, error)))
  }
}

/** Invariant 1. */
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

const groupKey = (topic: string, group: string): string => JSON.stringify([topic, group])
