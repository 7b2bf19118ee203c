/**
 * Reads partitions from Kafka, without a group.
 *
 * ```
 *   open ─▶ reader ─ room? ─▶ one request to its leader at a time, for all readers with room ─▶ chunks ─▶ pull
 *             ▲                                                                                  │
 *             └─────────────────────── room again ◀──────────────────────────────────────────────┘
 * ```
 *
 * 1. Nothing is fetched for a reader that has `read_ahead_bytes` waiting, so nothing is read for a reader that does not
 *    pull.
 * 2. A request is a long poll, to which the broker responds as soon as it has records. It is short while a reader is
 *    left out of it, because that reader may have room at any moment.
 * 3. The chunks of a reader follow each other without a gap. If retention was faster, the next chunk begins later, and
 *    says so. A position beyond the end fails the read, because the position is from another log.
 * 4. A reader that received records is last in the next request: the broker fills a response in order, and a full
 *    response has nothing for the last ones.
 * 5. Every wait has a visible reason. Batches that can't be read are counted and logged, and so is a transaction that
 *    stays open.
 * 6. While Kafka is unavailable, readers wait, and continue at their positions. They receive no error.
 */
import { LogUnavailable } from "@nimbus/domain/errors"
import { recordBytes } from "@nimbus/domain/protocol"
import { type Chunk, logFailure, failureReporter, type FailureReporter } from "@nimbus/domain/services"
import { type Cause, Effect, FiberSet, type Scope } from "effect"
import { KafkaBatchUnreadable, KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { backoff } from "./Backoff.ts"
import { readChunks } from "./Batches.ts"
import { alarmIfRefused, codes, PartitionError } from "./Failures.ts"
import { send } from "./KafkaInternals.ts"
import { call } from "./KafkaJs.ts"
import type { Link } from "./Link.ts"
import { countUnreadable } from "./Metrics.ts"
import { makeOpenTransactions, type OpenTransactions } from "./OpenTransactions.ts"
import { fetch, type Fetched } from "./Requests.ts"

/** The present bounds of a partition at the broker. */
export type Bounds = (
  topic: string,
  partition: number,
) => Effect.Effect<{ readonly earliest: number; readonly end: number }, LogUnavailable>

/** Reads until the scope closes. */
export const makeFetcher = Effect.fnUntraced(function* (
  link: Link,
  bounds: Bounds,
  limits: KafkaLimits,
): Effect.fn.Return<Fetcher, never, Scope.Scope> {
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const transactions = yield* makeOpenTransactions(limits)
  return new Fetcher(link, bounds, limits, fork, yield* failureReporter("read from Kafka"), transactions)
})

/** The reader of one partition, from one position on. */
export class Reader {
  readonly topic: string
  readonly partition: number
  /** The next offset to fetch. */
  next: number
  /** The offset of a batch that had a wrong checksum in the last fetch. */
  doubted: number | undefined
  readonly #limits: KafkaLimits
  readonly #hasRoom: () => void
  readonly #chunks: Array<{ readonly chunk: Chunk; readonly bytes: number }> = []
  #bytes = 0
  #end: Effect.Effect<never, LogUnavailable | Cause.Done> | undefined
  #wake: (() => void) | undefined

  /** Calls `hasRoom` when it has room again. */
  constructor(topic: string, partition: number, next: number, limits: KafkaLimits, hasRoom: () => void) {
    this.topic = topic
    this.partition = partition
    this.next = next
    this.#limits = limits
    this.#hasRoom = hasRoom
  }

  get isFull(): boolean {
    return this.#bytes >= this.#limits.read_ahead_bytes
  }

  /** Waits for the next chunk, and returns it. */
  readonly pull: Effect.Effect<readonly [Chunk], LogUnavailable | Cause.Done> = Effect.suspend(() => {
    if (this.#end !== undefined) return this.#end
    const oldest = this.#chunks.shift()
    if (oldest === undefined) return Effect.andThen(this.#waiting, this.pull)
    const wasFull = this.isFull
    this.#bytes -= oldest.bytes
    if (wasFull && !this.isFull) this.#hasRoom()
    return Effect.succeed([oldest.chunk] as const)
  })

  readonly #waiting = Effect.callback<void>((resume) => {
    this.#wake = () => resume(Effect.void)
    return Effect.sync(() => {
      this.#wake = undefined
    })
  })

  offer(chunks: ReadonlyArray<Chunk>): void {
    for (const chunk of chunks) {
      let bytes = record_bytes
      for (const record of chunk.records) bytes += recordBytes(record) + record_bytes
      this.#chunks.push({ chunk, bytes })
      this.#bytes += bytes
      this.next = chunk.next
    }
    if (chunks.length > 0) this.#rouse()
  }

  /** Ends the reader. The chunks that wait are dropped. */
  end(how: Effect.Effect<never, LogUnavailable | Cause.Done>): void {
    this.#end ??= how
    this.#rouse()
  }

  #rouse(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}

/** About how much memory a record, or a chunk, uses besides its bytes. */
const record_bytes = 64

export class Fetcher {
  readonly #link: Link
  readonly #bounds: Bounds
  readonly #limits: KafkaLimits
  readonly #fork: (effect: Effect.Effect<void>) => unknown
  readonly #readers = new Set<Reader>()
  /** The leaders with a request in flight. */
  readonly #busy = new Set<string | undefined>()
  /** For leaders that can't be read, the number of consecutive failures. */
  readonly #failures = new Map<string | undefined, number>()
  readonly #outage: FailureReporter
  readonly #transactions: OpenTransactions
  #isScheduled = false

  constructor(
    link: Link,
    bounds: Bounds,
    limits: KafkaLimits,
    fork: (effect: Effect.Effect<void>) => unknown,
    reading: FailureReporter,
    transactions: OpenTransactions,
  ) {
    this.#link = link
    this.#outage = reading
    this.#transactions = transactions
    this.#bounds = bounds
    this.#limits = limits
    this.#fork = fork
  }

  /** Reads from `position` on, or from the earliest offset after it. */
  open(topic: string, partition: number, position: number): Reader {
    const reader = new Reader(topic, partition, position, this.#limits, () => this.#schedule())
    this.#readers.add(reader)
    this.#schedule()
    return reader
  }

  close(reader: Reader): void {
    this.#readers.delete(reader)
  }

  /** Readers that open or pull in one turn share a request. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#fetchAll()
    })
  }

  #fetchAll(): void {
    const byLeader = Map.groupBy(this.#readers, ({ partition, topic }) => this.#link.leaderOf(topic, partition))
    // A broker that no longer leads a partition is not needed.
    for (const leader of this.#failures.keys()) if (!byLeader.has(leader)) this.#failures.delete(leader)
    for (const [leader, readers] of byLeader) {
      const hungry = readers.filter(({ isFull }) => !isFull)
      if (hungry.length === 0 || this.#busy.has(leader)) continue
      this.#busy.add(leader)
      const wait_ms = hungry.length === readers.length ? this.#limits.fetch_wait_ms : this.#limits.fetch_hurry_ms
      this.#fork(this.#fetch(leader, hungry, wait_ms))
    }
  }

  #fetch(leader: string | undefined, readers: ReadonlyArray<Reader>, wait_ms: number): Effect.Effect<void> {
    return this.#request(leader, readers, wait_ms).pipe(
      Effect.flatMap((fetched) => this.#deliver(readers, fetched)),
      Effect.andThen(Effect.suspend(() => this.#recovered(leader))),
      Effect.catch((error) => this.#recover(leader, error)),
      Effect.andThen(
        Effect.sync(() => {
          this.#busy.delete(leader)
          this.#schedule()
        }),
      ),
    )
  }

  readonly #request = Effect.fnUntraced(function* (
    this: Fetcher,
    leader: string | undefined,
    readers: ReadonlyArray<Reader>,
    wait_ms: number,
  ): Effect.fn.Return<ReadonlyArray<Fetched>, KafkaUnavailable> {
    if (leader === undefined) return yield* new KafkaUnavailable({ cause: new Error("no leader is known") })
    const broker = yield* this.#link.broker(leader)
    const { chunk_bytes: partition_bytes, fetch_bytes, question_timeout_ms } = this.#limits
    const request = fetch(readers, { wait_ms, fetch_bytes, partition_bytes })
    return yield* call(() => send(broker, request, wait_ms + question_timeout_ms))
  })

  /** Returns the work to do before the next request. */
  #deliver(readers: ReadonlyArray<Reader>, fetched: ReadonlyArray<Fetched>): Effect.Effect<void, KafkaUnavailable> {
    const todo: Array<Effect.Effect<void>> = []
    let failure: Error | undefined
    for (const answer of fetched) {
      const { batches, code, partition, topic } = answer
      const reader = readers.find((reader) => reader.partition === partition && reader.topic === topic)
      if (reader === undefined || !this.#readers.has(reader)) continue
      if (code === codes.offsetOutOfRange) todo.push(this.#relocate(reader))
      else if (code !== 0) failure = new PartitionError(code)
      else {
        todo.push(this.#transactions.see(answer))
        if (batches.length === 0) continue
        const offered = this.#offer(reader, answer)
        if (offered === undefined) failure = new Error(`${topic}/${partition} gave no whole batch`)
        else todo.push(offered)
      }
    }
    const done = Effect.all(todo, { discard: true })
    return failure === undefined ? done : Effect.andThen(done, Effect.fail(new KafkaUnavailable({ cause: failure })))
  }

  /** Returns what to log. `undefined`: nothing could be read, now or by another fetch. */
  #offer(reader: Reader, answer: Fetched): Effect.Effect<void> | undefined {
    try {
      const { chunks, doubted } = readChunks(reader.partition, answer, reader.next, this.#limits, reader.doubted)
      reader.doubted = doubted
      // Invariant 4.
      this.#readers.delete(reader)
      this.#readers.add(reader)
      if (chunks.length === 0) return doubted === undefined ? undefined : Effect.void
      const unreadable = unreadableOf(reader.topic, chunks)
      if (unreadable.length > 0) {
        // First: the receiver of the chunks may want no more.
        return Effect.andThen(
          tellUnreadable(reader.topic, unreadable),
          Effect.sync(() => reader.offer(chunks)),
        )
      }
      reader.offer(chunks)
      return Effect.void
    } catch (cause) {
      this.#fail(reader, cause)
      return Effect.void
    }
  }

  #fail(reader: Reader, cause: unknown): void {
    this.close(reader)
    reader.end(Effect.fail(new LogUnavailable({ topic: reader.topic, operation: "read", cause })))
  }

  /** Each leader has its own back-off: an unavailable broker must not slow down the partitions of the others. */
  #recover(leader: string | undefined, error: KafkaUnavailable): Effect.Effect<void> {
    const failures = this.#failures.get(leader) ?? 0
    this.#failures.set(leader, failures + 1)
    const again = Effect.andThen(Effect.ignore(this.#link.recover), backoff(failures, this.#limits))
    const told = Effect.andThen(this.#outage.failed(error), alarmIfRefused("read", error, this.#limits))
    return Effect.andThen(told, again)
  }

  #recovered(leader: string | undefined): Effect.Effect<void> {
    this.#failures.delete(leader)
    return this.#failures.size > 0 ? Effect.void : this.#outage.worked
  }

  /** Invariant 3. */
  #relocate(reader: Reader): Effect.Effect<void> {
    return Effect.matchEffect(this.#bounds(reader.topic, reader.partition), {
      onSuccess: ({ earliest, end }) =>
        Effect.sync(() => {
          if (reader.next < earliest) reader.next = earliest
          if (reader.next <= end) return
          const cause = new Error(`the position ${reader.next} is beyond the end ${end}`)
          this.#fail(reader, cause)
        }),
      // The request was long enough before that.
      onFailure: (error) => logFailure("ask for the bounds of a partition", error),
    })
  }
}

/** Invariant 5. */
const tellUnreadable = (topic: string, unreadable: ReadonlyArray<KafkaBatchUnreadable>): Effect.Effect<void> =>
  Effect.andThen(
    countUnreadable(topic, unreadable.length),
    Effect.forEach(unreadable, (one) => logFailure(`decode ${topic}`, one), { discard: true }),
  )

const unreadableOf = (topic: string, chunks: ReadonlyArray<Chunk>): ReadonlyArray<KafkaBatchUnreadable> =>
  chunks.flatMap(({ partition, records }) =>
    records.flatMap(({ offset, unreadable: reason }) =>
      reason === undefined ? [] : [new KafkaBatchUnreadable({ topic, partition, offset, reason })],
    ),
  )
