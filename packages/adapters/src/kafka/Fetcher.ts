/**
 * Reads partitions from Kafka, without a group.
 *
 * ```
 *   open ─▶ reader ─ room? ─▶ one request to its leader at a time, for all readers with room ─▶ chunks ─▶ pull
 *             ▲                                                                                  │
 *             └─────────────────────── room again ◀──────────────────────────────────────────────┘
 * ```
 *
 * 1. Nothing is fetched for a reader that has `read_ahead_bytes` waiting: nothing is read for a reader that does not
 *    pull.
 * 2. A request is a long poll, answered as soon as there is anything; it is short while a reader is left out of it,
 *    which may have room any moment.
 * 3. What a reader gets joins without a hole. Where retention was faster, the next chunk begins later, and tells so. A
 *    position beyond the end fails the read: the log is not the one that the position is from.
 * 4. Who was given something is last in the next request: the broker fills an answer in order, and who comes late in a
 *    full one gets nothing.
 * 5. Nobody waits in silence. What can't be read is counted and told where it is read, and so is a transaction that
 *    stays open.
 * 6. While Kafka is away readers wait, and go on where they were. Nobody is given an error for that.
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

/** The bounds of a partition as the broker knows them now. */
export type Bounds = (
  topic: string,
  partition: number,
) => Effect.Effect<{ readonly earliest: number; readonly end: number }, LogUnavailable>

/** Reads for as long as the scope lives. */
export const makeFetcher = Effect.fnUntraced(function* (
  link: Link,
  bounds: Bounds,
  limits: KafkaLimits,
): Effect.fn.Return<Fetcher, never, Scope.Scope> {
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const transactions = yield* makeOpenTransactions(limits)
  return new Fetcher(link, bounds, limits, fork, yield* failureReporter("read from Kafka"), transactions)
})

/** Of one partition, from one position on. */
export class Reader {
  readonly topic: string
  readonly partition: number
  /** The next offset to fetch. */
  next: number
  /** Where a batch had a wrong checksum when it was fetched last. */
  doubted: number | undefined
  readonly #limits: KafkaLimits
  readonly #hasRoom: () => void
  readonly #chunks: Array<{ readonly chunk: Chunk; readonly bytes: number }> = []
  #bytes = 0
  #end: Effect.Effect<never, LogUnavailable | Cause.Done> | undefined
  #wake: (() => void) | undefined

  /** Calls `hasRoom` when it has some again. */
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

  /** The next chunk; waits for it. */
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

  /** Nothing comes any more, also of what waits. */
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

/** What a record, or a chunk, takes up beside its bytes, about. */
const record_bytes = 64

export class Fetcher {
  readonly #link: Link
  readonly #bounds: Bounds
  readonly #limits: KafkaLimits
  readonly #fork: (effect: Effect.Effect<void>) => unknown
  readonly #readers = new Set<Reader>()
  /** Leaders with a request under way. */
  readonly #busy = new Set<string | undefined>()
  /** Of leaders that can't be read: how often in a row. */
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

  /** From `position` on, or the earliest after it. */
  open(topic: string, partition: number, position: number): Reader {
    const reader = new Reader(topic, partition, position, this.#limits, () => this.#schedule())
    this.#readers.add(reader)
    this.#schedule()
    return reader
  }

  close(reader: Reader): void {
    this.#readers.delete(reader)
  }

  /** Those who open or pull in one turn are fetched for together. */
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
    // A broker that no longer leads a partition is not missed.
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

  /** Returns what is to be done before the next request. */
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

  /** Returns what there is to tell; `undefined`: there was nothing to be read, now or by fetching it again. */
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
        // First: who gets the chunks may want nothing more.
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

  /** Each by its own back-off: a broker that is gone must not slow down what the others lead. */
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
      // Asked for long enough before that.
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
