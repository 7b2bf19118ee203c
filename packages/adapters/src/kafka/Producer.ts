/**
 * Writes to Kafka: idempotent, acknowledged by all replicas that are in sync, in the order of the calls.
 *
 * ```
 *   publish ─▶ lane of its partition ─┐
 *   publish ─▶ lane of its partition ─┼─▶ one request to each leader: a batch of every lane that has something
 *                                     │   and nothing under way ─▶ publishes succeed
 *              the same batch again ◀─┘ after a failure
 * ```
 *
 * 1. A lane has one batch under way at a time. Whoever publishes meanwhile is in its next one: nothing waits for a timer,
 *    and no request is made for a single record while there are more.
 * 2. A batch that failed is the lane's next batch, unchanged and with the same sequence number, so that a broker which
 *    has it already says so and does not write it twice.
 * 3. Where sequence numbers are in doubt (the broker disputes one, or a batch was given up that may have been written)
 *    the lane goes on with another producer id, from zero: the disputed batch first, which may then be there twice.
 *    Kafka takes a number that it has seen for a repeat, and would drop a later batch in its place.
 * 4. A batch that is not acknowledged within `delivery_timeout_ms` fails, and so do those behind it, each by its own time.
 */
import { LogUnavailable, type LogRecord } from "@nimbus/domain"
import { Clock, Effect, FiberSet, Latch, type Scope } from "effect"
import type { Broker, Message } from "kafkajs"
import { KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { backoff_ms } from "./Backoff.ts"
import { sizeOf, toMessage } from "./Codec.ts"
import { call, codeOf, codes, isRefusal, producerBroker, type ProduceResponse } from "./KafkaJs.ts"
import type { Link } from "./Link.ts"

export interface Producer {
  publish(topic: string, partition: number, records: ReadonlyArray<LogRecord>): Effect.Effect<number, LogUnavailable>
}

/** Once the scope closes nothing more is taken, and what waits is written as far as `close_timeout_ms` allows. */
export const makeProducer = Effect.fnUntraced(function* (
  link: Link,
  limits: KafkaLimits,
): Effect.fn.Return<Producer, never, Scope.Scope> {
  const clock = yield* Clock.clockWith(Effect.succeed)
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  const writer = new Writer(link, limits, clock, fork)
  yield* Effect.addFinalizer(() => writer.close)
  return { publish: (topic, partition, records) => writer.publish(topic, partition, records) }
})

interface Waiting {
  readonly records: ReadonlyArray<LogRecord>
  readonly bytes: number
  readonly since_ms: number
  readonly resume: (answer: Effect.Effect<number, LogUnavailable>) => void
}

/** Written in one piece: whole publishes. */
interface Batch {
  readonly publishes: ReadonlyArray<Waiting>
  readonly messages: Array<Message>
  readonly bytes: number
}

/** What sequence numbers belong to. */
interface Identity {
  readonly producerId: number
  readonly producerEpoch: number
}

/** One partition. */
class Lane {
  readonly topic: string
  readonly partition: number
  waiting: Array<Waiting> = []
  /** Under way, or to be sent again. */
  batch: Batch | undefined
  isUnderWay = false
  /** None yet, or none any more (invariant 3). */
  identity: Identity | undefined
  /** Of the batch's first record. */
  sequence = 0
  /** To be sent in a request of its own, since one lane spoiled a request for several and Kafka does not say which. */
  isAlone = false
  failures = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** The batch that is next: the same again after a failure. */
  nextBatch(limits: KafkaLimits): Batch {
    this.batch ??= takeBatch(this.waiting, limits)
    return this.batch
  }
}

type Fork = (effect: Effect.Effect<void>) => unknown

class Writer {
  readonly #link: Link
  readonly #limits: KafkaLimits
  readonly #clock: Clock.Clock
  readonly #fork: Fork
  readonly #lanes = new Map<string, Lane>()
  /** Lanes with something to send and nothing under way. */
  readonly #ready = new Set<Lane>()
  /** Requests under way, by leader. */
  readonly #requests = new Map<string | undefined, number>()
  /** For lanes that have none. */
  #identity: Identity | undefined
  #publishes = 0
  #bytes = 0
  #isScheduled = false
  #isFailing = false
  #isClosed = false
  readonly #isEmpty = Latch.makeUnsafe(true)

  constructor(link: Link, limits: KafkaLimits, clock: Clock.Clock, fork: Fork) {
    this.#link = link
    this.#limits = limits
    this.#clock = clock
    this.#fork = fork
  }

  publish(topic: string, partition: number, records: ReadonlyArray<LogRecord>): Effect.Effect<number, LogUnavailable> {
    return Effect.callback<number, LogUnavailable>((resume) => {
      let bytes = 0
      for (const record of records) bytes += sizeOf(record)
      const refusal = this.#refusal(bytes)
      if (refusal !== undefined) return resume(unavailable(topic, new Error(refusal)))
      const lane = this.#lane(topic, partition)
      lane.waiting.push({ records, bytes, since_ms: this.#clock.currentTimeMillisUnsafe(), resume })
      this.#publishes++
      this.#bytes += bytes
      this.#isEmpty.closeUnsafe()
      if (!lane.isUnderWay) this.#makeReady(lane)
    })
  }

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.#isClosed = true
    return this.#isEmpty.await.pipe(Effect.interruptible, Effect.timeoutOption(this.#limits.close_timeout_ms))
  }).pipe(
    Effect.andThen(
      Effect.sync(() => {
        for (const lane of this.#lanes.values()) {
          this.#settle(lane.topic, [...(lane.batch?.publishes ?? []), ...lane.waiting], new Error(closed))
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

  #lane(topic: string, partition: number): Lane {
    const key = `${partition} ${topic}`
    const known = this.#lanes.get(key)
    if (known !== undefined) return known
    const lane = new Lane(topic, partition)
    this.#lanes.set(key, lane)
    return lane
  }

  /** What becomes ready in one turn goes together. */
  #makeReady(lane: Lane): void {
    this.#ready.add(lane)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#sendReady()
    })
  }

  #sendReady(): void {
    const byLeader = Map.groupBy(this.#ready, (lane) => this.#link.leaderOf(lane.topic, lane.partition))
    for (const [leader, lanes] of byLeader) {
      const underWay = this.#requests.get(leader) ?? 0
      if (underWay >= this.#limits.produce_requests) continue
      const chosen = chooseLanes(lanes, this.#limits)
      for (const lane of chosen) {
        this.#ready.delete(lane)
        lane.isUnderWay = true
      }
      this.#requests.set(leader, underWay + 1)
      this.#fork(this.#send(leader, chosen))
      if (chosen.length < lanes.length) this.#schedule()
    }
  }

  #send(leader: string | undefined, lanes: ReadonlyArray<Lane>): Effect.Effect<void> {
    return Effect.matchEffect(this.#produce(leader, lanes), {
      onSuccess: (response) => this.#written(lanes, response),
      onFailure: (error) => this.#failed(lanes, error),
    }).pipe(
      // The next request does not wait until these lanes are tried again.
      Effect.tap(() => Effect.sync(() => this.#requests.set(leader, (this.#requests.get(leader) ?? 1) - 1))),
      Effect.flatMap((again) => again),
      Effect.andThen(
        Effect.sync(() => {
          for (const lane of lanes) {
            lane.isUnderWay = false
            if (lane.batch !== undefined || lane.waiting.length > 0) this.#ready.add(lane)
          }
          if (this.#ready.size > 0) this.#schedule()
        }),
      ),
    )
  }

  /** All lanes have the same identity, or none. */
  readonly #produce = Effect.fnUntraced(function* (
    this: Writer,
    leader: string | undefined,
    lanes: ReadonlyArray<Lane>,
  ): Effect.fn.Return<ProduceResponse, KafkaUnavailable> {
    if (leader === undefined) return yield* new KafkaUnavailable({ cause: new Error("no leader is known") })
    const broker = yield* this.#link.broker(leader)
    const identity = lanes[0]?.identity ?? this.#identity ?? (yield* newIdentity(broker))
    this.#identity ??= identity
    for (const lane of lanes) lane.identity = identity
    const byTopic = Map.groupBy(lanes, ({ topic }) => topic)
    return yield* call(() =>
      broker.produce({
        ...identity,
        acks: -1,
        timeout: this.#limits.request_timeout_ms,
        topicData: Array.from(byTopic, ([topic, lanes]) => ({
          topic,
          partitions: lanes.map((lane) => ({
            partition: lane.partition,
            firstSequence: lane.sequence,
            messages: lane.nextBatch(this.#limits).messages,
          })),
        })),
      }),
    )
  })

  /** Answers what is left to do before the lanes go on: nothing. */
  #written(lanes: ReadonlyArray<Lane>, response: ProduceResponse): Effect.Effect<Effect.Effect<void>> {
    const offsets = new Map<string, number>()
    for (const { partitions, topicName } of response.topics) {
      for (const { baseOffset, partition } of partitions) offsets.set(`${partition} ${topicName}`, Number(baseOffset))
    }
    for (const lane of lanes) {
      const { messages, publishes } = lane.nextBatch(this.#limits)
      let offset = offsets.get(`${lane.partition} ${lane.topic}`) ?? Number.NaN
      lane.sequence = advance(lane.sequence, messages.length)
      lane.batch = undefined
      lane.isAlone = false
      lane.failures = 0
      for (const { records, resume } of publishes) {
        resume(Effect.succeed(offset))
        offset += records.length
      }
      this.#forget(publishes)
    }
    if (!this.#isFailing) return nothing
    this.#isFailing = false
    return Effect.as(Effect.logInfo("Kafka takes records again"), Effect.void)
  }

  /** Answers what is left to do before the lanes are tried again. */
  #failed(lanes: ReadonlyArray<Lane>, error: KafkaUnavailable): Effect.Effect<Effect.Effect<void>> {
    const code = codeOf(error)
    const isDisputed = code !== undefined && disputes.has(code)
    const isHopeless = isRefusal(error) || code === codes.messageTooLarge || code === codes.recordListTooLarge
    if ((isDisputed || isHopeless) && lanes.length > 1) {
      for (const lane of lanes) lane.isAlone = true
      return nothing
    }
    for (const lane of lanes) {
      if (isDisputed) this.#renew(lane)
      else if (isHopeless || this.#isLate(lane)) this.#giveUp(lane, error)
    }
    if (isDisputed) return Effect.as(Effect.logWarning("Kafka disputes a sequence number", error), Effect.void)
    const failures = Math.max(...lanes.map((lane) => lane.failures++))
    const again = Effect.andThen(Effect.ignore(this.#link.recover), Effect.sleep(backoff_ms(failures, this.#limits)))
    if (this.#isFailing) return Effect.succeed(again)
    this.#isFailing = true
    return Effect.as(Effect.logWarning(`Kafka does not take records, trying again: ${error.message}`), again)
  }

  #isLate({ batch }: Lane): boolean {
    const since_ms = batch?.publishes[0]?.since_ms ?? Infinity
    return this.#clock.currentTimeMillisUnsafe() - since_ms > this.#limits.delivery_timeout_ms
  }

  #giveUp(lane: Lane, cause: unknown): void {
    const publishes = lane.batch?.publishes ?? []
    lane.batch = undefined
    this.#renew(lane)
    this.#settle(lane.topic, publishes, cause)
  }

  /** Invariant 3. Another lane's numbers are not in doubt: it keeps the identity. */
  #renew(lane: Lane): void {
    if (this.#identity === lane.identity) this.#identity = undefined
    lane.identity = undefined
    lane.sequence = 0
  }

  #settle(topic: string, publishes: ReadonlyArray<Waiting>, cause: unknown): void {
    for (const { resume } of publishes) resume(unavailable(topic, cause))
    this.#forget(publishes)
  }

  #forget(publishes: ReadonlyArray<Waiting>): void {
    this.#publishes -= publishes.length
    for (const { bytes } of publishes) this.#bytes -= bytes
    if (this.#publishes === 0) this.#isEmpty.openUnsafe()
  }
}

/** Kafka's count of sequence numbers, which begins again at zero after the largest. */
export const advance = (sequence: number, count: number): number => {
  const largest = 0x7fff_ffff
  return sequence > largest - count ? count - (largest - sequence) - 1 : sequence + count
}

/** Whole publishes up to the bound; one that is larger goes by itself. */
const takeBatch = (waiting: Array<Waiting>, limits: KafkaLimits): Batch => {
  let count = 0
  let bytes = 0
  for (const publish of waiting) {
    if (count > 0 && bytes + publish.bytes > limits.batch_bytes) break
    bytes += publish.bytes
    count++
  }
  const publishes = waiting.splice(0, count)
  const messages: Array<Message> = []
  for (const { records } of publishes) for (const record of records) messages.push(toMessage(record))
  return { publishes, messages, bytes }
}

/** Those that can share the next request: in turn, up to its bound, of one identity. */
const chooseLanes = (lanes: ReadonlyArray<Lane>, limits: KafkaLimits): ReadonlyArray<Lane> => {
  const [first] = lanes
  if (first === undefined || first.isAlone) return lanes.slice(0, 1)
  const chosen: Array<Lane> = []
  let bytes = 0
  for (const lane of lanes) {
    if (lane.isAlone || lane.identity !== first.identity) continue
    bytes += lane.nextBatch(limits).bytes
    if (chosen.length > 0 && bytes > limits.produce_bytes) break
    chosen.push(lane)
  }
  return chosen
}

const newIdentity = (broker: Broker): Effect.Effect<Identity, KafkaUnavailable> =>
  Effect.map(
    // The timeout is for transactions, of which there are none.
    call(() => producerBroker(broker).initProducerId({ transactionTimeout: 60_000 })),
    ({ producerEpoch, producerId }) => ({ producerId: Number(producerId), producerEpoch }),
  )

const disputes: ReadonlySet<number> = new Set([
  codes.outOfOrderSequence,
  codes.duplicateSequence,
  codes.invalidProducerEpoch,
  codes.unknownProducer,
])

const nothing = Effect.succeed(Effect.void)

const unavailable = (topic: string, cause: unknown) =>
  Effect.fail(new LogUnavailable({ topic, operation: "publish", cause }))

const closed = "the log is closed"
