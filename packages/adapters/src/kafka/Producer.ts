/**
 * Writes to Kafka: idempotent, acknowledged by all replicas that are in sync, in the order of the calls.
 *
 * ```
 *   publish ─▶ queue of its partition ─┐
 *   publish ─▶ queue of its partition ─┼─▶ one request to each leader: a batch of every queue that has something
 *                                      │   and nothing in flight ─▶ publishes succeed
 *               the same batch again ◀─┘ after a failure
 * ```
 *
 * 1. A queue has one batch in flight at a time. Later publishes go into its next batch. Nothing waits for a timer, and
 *    no request is made for a single record while there are more.
 * 2. A batch that failed is the queue's next batch, unchanged and with the same sequence number, so that a broker that
 *    already has it reports a duplicate and does not write it twice.
 * 3. If sequence numbers are in doubt (the broker disputes one, or a batch was given up that may have been written),
 *    the queue continues with another producer id, from zero. The disputed batch goes first, and may then be there
 *    twice. Kafka takes a number that it has seen for a repeat, and would drop a later batch in its place.
 * 4. Publishes that exceed the bound of the topic are written in several batches, but a publish is never split. A
 *    publish that Kafka refuses permanently fails immediately with `LogRefused`, and the others continue. Unless the
 *    reason is its size, this also raises an alarm.
 * 5. A batch that is not acknowledged within `delivery_timeout_ms` fails, and so do those behind it, each after its own
 *    time.
 */
import { type LogRefused, LogUnavailable } from "@nimbus/domain/errors"
import { Elapsed } from "@nimbus/domain/observability"
import { type LogRecord, roomOf } from "@nimbus/domain/protocol"
import { Alarms, failureReporter, type FailureReporter } from "@nimbus/domain/services"
import { Clock, Effect, FiberSet, Latch, Result, type Scope } from "effect"
import { KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { backoff } from "./Backoff.ts"
import { codeOf, codes, PartitionError, refusalOf } from "./Failures.ts"
import { type KafkaBroker, send } from "./KafkaInternals.ts"
import { call } from "./KafkaJs.ts"
import type { Link } from "./Link.ts"
import { produce, type Written } from "./Requests.ts"
import type { TopicStates } from "./TopicWatch.ts"

export interface Producer {
  publish(topic: string, partition: number, records: ReadonlyArray<LogRecord>): Effect.Effect<number, PublishFailure>
}

export type PublishFailure = LogUnavailable | LogRefused

/** When the scope closes, it accepts no more, and writes what waits for up to `close_timeout_ms`. */
export const makeProducer = Effect.fnUntraced(function* (
  link: Link,
  topics: Pick<TopicStates, "facts">,
  limits: KafkaLimits,
): Effect.fn.Return<Producer, never, Scope.Scope> {
  const clock = yield* Clock.clockWith(Effect.succeed)
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const writer = new Writer(link, topics, limits, clock, fork, yield* Alarms, yield* failureReporter("write to Kafka"))
  yield* Effect.addFinalizer(() => writer.close)
  return { publish: (topic, partition, records) => writer.publish(topic, partition, records) }
})

interface Waiting {
  readonly records: ReadonlyArray<LogRecord>
  readonly bytes: number
  readonly since_ms: number
  readonly resume: (answer: Effect.Effect<number, PublishFailure>) => void
}

/** A batch, which has whole publishes. */
interface Batch {
  readonly publishes: ReadonlyArray<Waiting>
  readonly records: ReadonlyArray<LogRecord>
  readonly bytes: number
}

/** The identity to which sequence numbers belong. */
interface Identity {
  readonly producerId: number
  readonly producerEpoch: number
}

/** The queue of one partition. */
class PartitionQueue {
  readonly topic: string
  readonly partition: number
  waiting: Array<Waiting> = []
  /** The batch in flight, or to be sent again. */
  batch: Batch | undefined
  isUnderWay = false
  /** `undefined`: there is none yet, or it was given up (invariant 3). */
  identity: Identity | undefined
  /** The sequence number of the first record of the batch. */
  sequence = 0
  failures = 0
  /** Half the size that Kafka found too large, until Kafka accepts a batch. */
  most_bytes = Infinity

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** The next batch: after a failure, the same one. */
  nextBatch(most_bytes: number): Batch {
    this.batch ??= takeBatch(this.waiting, Math.min(most_bytes, this.most_bytes))
    return this.batch
  }

  /** Returns the batch to the queue, to be sent in smaller ones. */
  halve({ bytes, publishes }: Batch): void {
    this.batch = undefined
    this.waiting.unshift(...publishes)
    this.most_bytes = bytes / 2
  }
}

type Fork = (effect: Effect.Effect<void>) => unknown

class Writer {
  readonly #link: Link
  readonly #topics: Pick<TopicStates, "facts">
  readonly #limits: KafkaLimits
  readonly #clock: Clock.Clock
  readonly #alarms: Alarms
  readonly #fork: Fork
  readonly #outage: FailureReporter
  readonly #queues = new Map<string, PartitionQueue>()
  /** The queues with records to send and no batch in flight. */
  readonly #ready = new Set<PartitionQueue>()
  /** The requests in flight, by leader. */
  readonly #requests = new Map<string | undefined, number>()
  /** The identity for queues without one. */
  #identity: Identity | undefined
  #publishes = 0
  #bytes = 0
  /** The queues whose batch has failed and waits to be sent again. */
  readonly #failing = new Set<PartitionQueue>()
  #isScheduled = false
  #isClosed = false
  readonly #isEmpty = Latch.makeUnsafe(true)

  constructor(
    link: Link,
    topics: Pick<TopicStates, "facts">,
    limits: KafkaLimits,
    clock: Clock.Clock,
    fork: Fork,
    alarms: Alarms,
    writing: FailureReporter,
  ) {
    this.#link = link
    this.#topics = topics
    this.#alarms = alarms
    this.#outage = writing
    this.#limits = limits
    this.#clock = clock
    this.#fork = fork
  }

  publish(topic: string, partition: number, records: ReadonlyArray<LogRecord>): Effect.Effect<number, PublishFailure> {
    return Effect.callback<number, PublishFailure>((resume) => {
      let bytes = 0
      for (const record of records) bytes += roomOf(record)
      const refusal = this.#refusal(bytes)
      if (refusal !== undefined) return resume(unavailable(topic, new Error(refusal)))
      const queue = this.#queueOf(topic, partition)
      queue.waiting.push({ records, bytes, since_ms: Elapsed.msUnsafe(this.#clock), resume })
      this.#publishes++
      this.#bytes += bytes
      this.#isEmpty.closeUnsafe()
      if (!queue.isUnderWay) this.#makeReady(queue)
    })
  }

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.#isClosed = true
    return this.#isEmpty.await.pipe(Effect.interruptible, Effect.timeoutOption(this.#limits.close_timeout_ms))
  }).pipe(
    Effect.andThen(
      Effect.sync(() => {
        for (const queue of this.#queues.values()) {
          const left = [...(queue.batch?.publishes ?? []), ...queue.waiting]
          for (const { resume } of left) resume(unavailable(queue.topic, new Error(closed)))
        }
      }),
    ),
  )

  #refusal(bytes: number): string | undefined {
    if (this.#isClosed) return closed
    return this.#publishes > 0 && this.#bytes + bytes > this.#limits.publish_queue_bytes
      ? "too many records wait to be written"
      : undefined
  }

  #queueOf(topic: string, partition: number): PartitionQueue {
    const key = queueKey(topic, partition)
    const known = this.#queues.get(key)
    if (known !== undefined) return known
    const queue = new PartitionQueue(topic, partition)
    this.#queues.set(key, queue)
    return queue
  }

  /** Batches that become ready in one turn are sent together. */
  #makeReady(queue: PartitionQueue): void {
    this.#ready.add(queue)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#fork(this.#soon)
  }

  readonly #soon: Effect.Effect<void> = Effect.andThen(
    Effect.yieldNow,
    Effect.sync(() => {
      this.#isScheduled = false
      this.#sendReady()
    }),
  )

  #sendReady(): void {
    for (const queue of this.#ready) queue.identity ??= this.#identity
    const byLeader = Map.groupBy(this.#ready, (queue) => this.#link.leaderOf(queue.topic, queue.partition))
    for (const [leader, queues] of byLeader) {
      const underWay = this.#requests.get(leader) ?? 0
      if (underWay >= this.#limits.produce_requests) continue
      const chosen = chooseQueues(queues, (queue) => this.#batchOf(queue).bytes, this.#limits)
      for (const queue of chosen) {
        this.#ready.delete(queue)
        queue.isUnderWay = true
      }
      this.#requests.set(leader, underWay + 1)
      this.#fork(this.#send(leader, chosen))
      if (chosen.length < queues.length) this.#schedule()
    }
  }

  #batchOf(queue: PartitionQueue): Batch {
    return queue.nextBatch(Math.min(this.#limits.batch_bytes, this.#topics.facts(queue.topic).publish_bytes))
  }

  #send(leader: string | undefined, queues: ReadonlyArray<PartitionQueue>): Effect.Effect<void> {
    return Effect.flatMap(Effect.result(this.#produce(leader, queues)), (answer) => {
      this.#requests.set(leader, (this.#requests.get(leader) ?? 1) - 1)
      const failed: Array<PartitionQueue> = []
      const refusals: Array<LogRefused> = []
      let cause: unknown
      for (const queue of queues) {
        const error = Result.isFailure(answer) ? answer.failure : this.#written(queue, answer.success)
        const refusal = error === undefined ? undefined : refusalOf(queue.topic, error)
        if (refusal !== undefined) refusals.push(refusal)
        if (error === undefined || this.#isSettled(queue, error, refusal)) {
          this.#failing.delete(queue)
          this.#release(queue)
        } else {
          this.#failing.add(queue)
          failed.push(queue)
        }
        cause ??= error
      }
      // Given up meanwhile, with nothing after it: nothing waits for its records.
      if (cause === undefined)
        for (const queue of this.#failing) if (queue.batch === undefined) this.#failing.delete(queue)
      this.#schedule()
      return Effect.andThen(this.#tell(cause), Effect.andThen(this.#raise(refusals), this.#again(failed)))
    })
  }

  /** All queues have the same identity, or none. */
  readonly #produce = Effect.fnUntraced(function* (
    this: Writer,
    leader: string | undefined,
    queues: ReadonlyArray<PartitionQueue>,
  ): Effect.fn.Return<ReadonlyMap<string, Written>, KafkaUnavailable> {
    if (leader === undefined) return yield* new KafkaUnavailable({ cause: new Error("no leader is known") })
    const broker = yield* this.#link.broker(leader)
    const identity = queues[0]?.identity ?? (yield* newIdentity(broker))
    this.#identity ??= identity
    const batches = queues.map((queue) => {
      queue.identity = identity
      const { partition, sequence, topic } = queue
      return { ...identity, topic, partition, sequence, records: this.#batchOf(queue).records }
    })
    const timeout_ms = this.#limits.request_timeout_ms
    const request = produce(batches, timeout_ms, this.#clock.currentTimeMillisUnsafe())
    const written = yield* call(() => send(broker, request, timeout_ms))
    return new Map(written.map((answer) => [queueKey(answer.topic, answer.partition), answer]))
  })

  /** Returns the error if it was not written. */
  #written(queue: PartitionQueue, written: ReadonlyMap<string, Written>): Error | undefined {
    const answer = written.get(queueKey(queue.topic, queue.partition))
    if (answer === undefined) return new Error("Kafka has not answered for the partition")
    if (answer.code !== 0) return new PartitionError(answer.code)
    const { publishes, records } = this.#batchOf(queue)
    queue.sequence = advance(queue.sequence, records.length)
    queue.batch = undefined
    queue.failures = 0
    queue.most_bytes = Infinity
    let offset = answer.baseOffset
    for (const { records, resume } of publishes) {
      resume(Effect.succeed(offset))
      offset += records.length
    }
    this.#forget(publishes)
    return undefined
  }

  /** Whether the queue continues without waiting, with the same batch or the next one. */
  #isSettled(queue: PartitionQueue, error: unknown, refusal: LogRefused | undefined): boolean {
    const code = codeOf(error)
    if (code !== undefined && disputes.has(code)) {
      this.#renew(queue)
      return true
    }
    if (refusal === undefined && !this.#isLate(queue)) return false
    const { batch } = queue
    this.#renew(queue)
    if (refusal?.reason === "too-large" && batch !== undefined && batch.publishes.length > 1) {
      queue.halve(batch)
      return true
    }
    const publishes = batch?.publishes ?? []
    queue.batch = undefined
    const failure = refusal === undefined ? unavailable(queue.topic, error) : Effect.fail(refusal)
    for (const { resume } of publishes) resume(failure)
    this.#forget(publishes)
    // While Kafka is unavailable, it accepts no other batch either.
    return refusal !== undefined
  }

  /** Only an operator can fix these. A record that is too large is reported only to its sender. */
  #raise(refusals: ReadonlyArray<LogRefused>): Effect.Effect<void> {
    const lasting = refusals.filter(({ reason }) => reason !== "too-large")
    return Effect.forEach(
      lasting,
      (fault) => this.#alarms.raise(fault.topic, fault, { blocks: true, lasts_ms: this.#limits.refusal_ms }),
      { discard: true },
    )
  }

  #release(queue: PartitionQueue): void {
    queue.isUnderWay = false
    if (queue.batch !== undefined || queue.waiting.length > 0) this.#ready.add(queue)
  }

  #again(queues: ReadonlyArray<PartitionQueue>): Effect.Effect<void> {
    if (queues.length === 0) return Effect.void
    const failures = Math.max(...queues.map((queue) => queue.failures++))
    return Effect.ignore(this.#link.recover).pipe(
      Effect.andThen(backoff(failures, this.#limits)),
      Effect.andThen(
        Effect.sync(() => {
          for (const queue of queues) this.#release(queue)
          this.#schedule()
        }),
      ),
    )
  }

  /** Failures are one outage until no queue waits for a retry. Each dispute is logged separately. */
  #tell(error: unknown): Effect.Effect<void> {
    const code = codeOf(error)
    if (code !== undefined && disputes.has(code))
      return Effect.logWarning(`Kafka disputes a sequence number: ${messageOf(error)}`)
    if (this.#failing.size === 0) return this.#outage.worked
    return error === undefined ? Effect.void : this.#outage.failed(error)
  }

  #isLate({ batch }: PartitionQueue): boolean {
    const since_ms = batch?.publishes[0]?.since_ms ?? Infinity
    return Elapsed.msUnsafe(this.#clock) - since_ms > this.#limits.delivery_timeout_ms
  }

  /** Invariant 3. The numbers of other queues are not in doubt, so they keep the identity. */
  #renew(queue: PartitionQueue): void {
    if (this.#identity === queue.identity) this.#identity = undefined
    queue.identity = undefined
    queue.sequence = 0
  }

  #forget(publishes: ReadonlyArray<Waiting>): void {
    this.#publishes -= publishes.length
    for (const { bytes } of publishes) this.#bytes -= bytes
    if (this.#publishes === 0) this.#isEmpty.openUnsafe()
  }
}

/** The next sequence number of Kafka, which starts again at zero after the largest. */
export const advance = (sequence: number, count: number): number => {
  const largest = 0x7fff_ffff
  return sequence > largest - count ? count - (largest - sequence) - 1 : sequence + count
}

/** Takes whole publishes up to the bound. A larger publish is sent alone. */
const takeBatch = (waiting: Array<Waiting>, most_bytes: number): Batch => {
  let count = 0
  let bytes = 0
  for (const publish of waiting) {
    if (count > 0 && bytes + publish.bytes > most_bytes) break
    bytes += publish.bytes
    count++
  }
  const publishes = waiting.splice(0, count)
  const [first] = publishes
  const records = publishes.length === 1 && first !== undefined ? first.records : publishes.flatMap(recordsOf)
  return { publishes, records, bytes }
}

const recordsOf = ({ records }: Waiting): ReadonlyArray<LogRecord> => records

/** The batches that can share the next request: in turn, up to its bound, with one identity. */
const chooseQueues = (
  queues: ReadonlyArray<PartitionQueue>,
  bytesOf: (queue: PartitionQueue) => number,
  limits: KafkaLimits,
): ReadonlyArray<PartitionQueue> => {
  const [first] = queues
  const chosen: Array<PartitionQueue> = []
  let bytes = 0
  for (const queue of queues) {
    if (queue.identity !== first?.identity) continue
    bytes += bytesOf(queue)
    if (chosen.length > 0 && bytes > limits.produce_bytes) break
    chosen.push(queue)
  }
  return chosen
}

const newIdentity = (broker: KafkaBroker): Effect.Effect<Identity, KafkaUnavailable> =>
  Effect.map(
    // The timeout is for transactions, which are not used.
    call(() => broker.initProducerId({ transactionTimeout: 60_000 })),
    ({ producerEpoch, producerId }) => ({ producerId: Number(producerId), producerEpoch }),
  )

const disputes: ReadonlySet<number> = new Set([
  codes.outOfOrderSequence,
  codes.duplicateSequence,
  codes.invalidProducerEpoch,
  codes.unknownProducer,
])

const queueKey = (topic: string, partition: number): string => `${partition} ${topic}`

const unavailable = (topic: string, cause: unknown) =>
  Effect.fail(new LogUnavailable({ topic, operation: "publish", cause }))

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const closed = "the log is closed"
