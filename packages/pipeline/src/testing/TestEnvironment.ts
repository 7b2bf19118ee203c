/**
 * What the roles stand on in tests: every service in memory with one partition, a log that can be told to fail, to wait
 * or to hand out partitions by hand, and the few questions that tests ask.
 */
import { Context, Deferred, Effect, Exit, Layer, Logger, Metric, Queue, Result as Res, Scope, Stream } from "effect"
import { type LogError, LogUnavailable, PartitionRevoked, type PublishError } from "@nimbus/domain/errors"
import { mailboxLimits } from "@nimbus/domain/limits"
import {
  type ClientId,
  clientIdUnsafe,
  decodeResult,
  encode,
  encodePlacedBarrier,
  encodeResult,
  Epoch,
  type Event,
  EventId,
  type LogRecord,
  PodId,
  Seq,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import {
  AckChannelMemory,
  type AssignedPartition,
  type Chunk,
  EventLog,
  EventLogMemory,
  Mailbox,
  MailboxMemory,
  PodChannelMemory,
  type Position,
  RegistryMemory,
  Topics,
} from "@nimbus/domain/services"
import { eventually as waitFor } from "@nimbus/domain/testing"

/** What a test does to the log; by default nothing. */
export class Hooks extends Context.Service<
  Hooks,
  {
    /** Before a publish; fails or delays it. */
    publishing: (topic: string, records: ReadonlyArray<LogRecord>) => Effect.Effect<void, PublishError>
    /** The most that a publish may take up, as the log says. */
    publish_bytes: number
    /** After a publish; fails it though it was appended. */
    published: (topic: string, records: ReadonlyArray<LogRecord>) => Effect.Effect<void, LogError>
    /** On each chunk that a consumer has read; fails or delays the read. */
    read: (topic: string, chunk: Chunk) => Effect.Effect<void, LogError>
    /** Where retention has come to, for readers without a group. */
    tailFrom: number
    /** What a consumer is given for a record. */
    given: (record: StoredRecord) => StoredRecord
    /** Partitions handed out by hand, in place of the log's own groups. */
    assigned: ReadonlyMap<string, Queue.Queue<AssignedPartition>>
  }
>()("@nimbus/pipeline/testing/Hooks") {}

const hooks = Layer.sync(Hooks, () => ({
  publishing: () => Effect.void,
  publish_bytes: Infinity,
  published: () => Effect.void,
  read: () => Effect.void,
  tailFrom: 0,
  given: (record: StoredRecord) => record,
  assigned: new Map(),
}))

const hooked = Layer.effect(
  EventLog,
  Effect.gen(function* () {
    const log = yield* EventLog
    const hooks = yield* Hooks
    const hookedRead = (topic: string, chunks: Stream.Stream<Chunk, LogError>) =>
      chunks.pipe(
        Stream.tap((chunk) => hooks.read(topic, chunk)),
        Stream.map((chunk): Chunk =>
          Object.assign({}, chunk, { records: chunk.records.map((record) => hooks.given(record)) }),
        ),
      )
    return {
      ...log,
      facts: (topic) => ({ ...log.facts(topic), publish_bytes: hooks.publish_bytes }),
      tail: (topic, partition, position) =>
        Stream.suspend(() =>
          log.tail(topic, partition, typeof position === "number" ? Math.max(position, hooks.tailFrom) : position),
        ),
      publish: (topic, partition, records) =>
        Effect.suspend(() => hooks.publishing(topic, records)).pipe(
          Effect.andThen(log.publish(topic, partition, records)),
          Effect.tap(() => hooks.published(topic, records)),
        ),
      subscribe: (topic, group) => {
        const byHand = hooks.assigned.get(topic)
        const partitions = byHand === undefined ? log.subscribe(topic, group) : Stream.fromQueue(byHand)
        return Stream.map(partitions, (partition) => ({
          ...partition,
          read: (position: Position) => hookedRead(topic, partition.read(position)),
        }))
      },
    }
  }),
)

/** The mailboxes' store, with which a test can go back in time. */
export class MailboxStore extends Context.Service<MailboxStore, MailboxMemory.MailboxMemory>()(
  "@nimbus/pipeline/testing/MailboxStore",
) {}

/** Records older than this leave the mailboxes when they are told to look. */
export const mailbox_age_ms = 60_000

const mailboxes = Layer.effect(
  Mailbox,
  Effect.map(MailboxStore, (store) => store.mailbox),
).pipe(
  Layer.provideMerge(Layer.sync(MailboxStore, () => MailboxMemory.makeMemory({ ...mailboxLimits, mailbox_age_ms }))),
)

/** All services, with one partition. */
const testEnvironment = (options: EventLogMemory.EventLogMemoryOptions = {}, topics = Topics.layerDefault) =>
  Layer.mergeAll(
    hooked.pipe(Layer.provide(EventLogMemory.layerMemory({ partitions: 1, ...options }))),
    mailboxes,
    RegistryMemory.layerMemory(),
    PodChannelMemory.layerMemory(),
    AckChannelMemory.layerMemory(),
  ).pipe(Layer.provideMerge(Layer.mergeAll(hooks, topics, Logger.layer([]))))

/** Runs a test on a ground of its own. What the test started ends before the ground does. */
export const inTestEnvironment =
  (options?: EventLogMemory.EventLogMemoryOptions, topics?: Layer.Layer<Topics>) =>
  <A, E, R>(test: Effect.Effect<A, E, R>) =>
    test.pipe(
      Effect.scoped,
      Effect.provide(testEnvironment(options, topics)),
      Effect.provideService(Metric.MetricRegistry, new Map()),
    )

/** The counters of this test's ground now, as `name label`. */
export const counts = Effect.map(Metric.snapshot, (all) => {
  const now: Record<string, number | bigint> = {}
  for (const { attributes = {}, id, state, type } of all) {
    if (type === "Counter") now[`${id} ${Object.values(attributes).join(" ")}`] = state.count
  }
  return now
})

/** The same of gauges. */
export const gauges = Effect.map(Metric.snapshot, (all) => {
  const now: Record<string, number | bigint> = {}
  for (const { attributes = {}, id, state, type } of all) {
    if (type === "Gauge") now[`${id} ${Object.values(attributes).join(" ")}`] = state.value
  }
  return now
})

export const down = (topic: string) => new LogUnavailable({ topic, operation: "test", cause: "told to fail" })

/** A role that runs until it is stopped, or until the test ends. */
export const start = Effect.fnUntraced(function* <A, E, R>(layer: Layer.Layer<A, E, R>) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* Layer.buildWithScope(Layer.fresh(layer), scope)
  return { stop: Scope.close(scope, Exit.void) }
})

/** A partition handed out by hand. */
export interface ByHand {
  /** Where each read began. */
  readonly positions: ReadonlyArray<Position>
  readonly commits: ReadonlyArray<number>
  readonly revoke: Effect.Effect<void>
}

/** Hands a partition out; `committed`: what the group says. */
export const assign = Effect.fnUntraced(function* (topic: string, committed: number | undefined, metadata = "") {
  const log = yield* EventLog
  const hooks = yield* Hooks
  const queue = hooks.assigned.get(topic) ?? (yield* Queue.unbounded<AssignedPartition>())
  hooks.assigned = new Map(hooks.assigned).set(topic, queue)
  const revoked = yield* Deferred.make<void>()
  const positions: Array<Position> = []
  const commits: Array<number> = []
  const ifOurs = <A>(value: () => A) =>
    Effect.suspend(() =>
      Deferred.isDoneUnsafe(revoked)
        ? Effect.fail(new PartitionRevoked({ topic, partition: 0 }))
        : Effect.succeed(value()),
    )
  yield* Queue.offer(queue, {
    topic,
    partition: 0,
    committed: ifOurs(() => (committed === undefined ? undefined : { next: committed, metadata })),
    read: (position) => {
      positions.push(position)
      const from = position === "committed" ? (committed ?? "earliest") : position
      return Stream.interruptWhen(log.tail(topic, 0, from), Deferred.await(revoked))
    },
    commit: (next) => ifOurs(() => void commits.push(next)),
    revoked: Deferred.await(revoked),
  })
  const byHand: ByHand = { positions, commits, revoke: Effect.asVoid(Deferred.succeed(revoked, undefined)) }
  return byHand
})

/** Looks every few ms until it holds. */
export const eventually = <E = never, R = never>(
  what: string,
  condition: Effect.Effect<boolean, E, R> | (() => boolean),
) => waitFor(what, Effect.isEffect(condition) ? condition : Effect.sync(condition))

/** Lets everything run that can without the clock. */
export const settle = Effect.yieldNow.pipe(Effect.repeat({ times: 200 }))

export const append = Effect.fnUntraced(function* (topic: string, ...records: ReadonlyArray<LogRecord>) {
  return yield* (yield* EventLog).publish(topic, 0, records)
})

/** All records of a topic now. */
export const contents = Effect.fnUntraced(function* (topic: string) {
  const log = yield* EventLog
  const end = yield* log.end(topic, 0)
  if (end === (yield* log.earliest(topic, 0))) return []
  const chunks = yield* log.tail(topic, 0, "earliest").pipe(
    Stream.takeUntil((chunk) => chunk.next >= end),
    Stream.runCollect,
  )
  return chunks.flatMap((chunk): ReadonlyArray<StoredRecord> => chunk.records)
})

/** Waits until a topic has at least `n` records, and returns them. */
export const hasRecords = Effect.fnUntraced(function* (topic: string, n: number) {
  const log = yield* EventLog
  yield* eventually(
    `${n} records in ${topic}`,
    Effect.map(log.end(topic, 0), (end) => end >= n),
  )
  return yield* contents(topic)
})

export const client = (name: string): ClientId => clientIdUnsafe(name)
export const pod = PodId.make("pod-1")

const encoder = new TextEncoder()
const decoder = new TextDecoder()
export const text = (value: Uint8Array): string => decoder.decode(value)
export const textOf = (record: { readonly value: Uint8Array } | undefined): string =>
  record === undefined ? "nothing" : text(record.value)
export const raw = (key: string, value: string): LogRecord => ({ key, value: encoder.encode(value) })

export const event = (clientId: string, id: string, name: string, data: Event["data"]): LogRecord => ({
  key: clientId,
  value: encode({ type: "event", id: EventId.make(id), name, data }),
})
export const message = (clientId: string, id: string, data: string): LogRecord => ({
  key: clientId,
  value: encode({ type: "message", id: EventId.make(id), name: "news", data }),
})
export const barrier = (clientId: string, epoch: number, to: PodId = pod, number = 1): LogRecord => ({
  key: clientId,
  value: encode({ type: "barrier", epoch: Epoch.make(epoch), pod: to, number }),
})
export const result = (clientId: string, seq: number): LogRecord => ({
  key: clientId,
  value: encodeResult({ seq: Seq.make(seq), id: EventId.make(`e${seq}`), name: "sq", data: seq }),
})
export const placedBarrier = (clientId: string, seq: number, to: PodId = pod): LogRecord => ({
  key: clientId,
  value: encodePlacedBarrier(Seq.make(seq), { epoch: Epoch.make(1), pod: to }),
})

/** What a test compares of a result: its seq, and its data or its error's code. */
export const summary = (record: {
  readonly value: Uint8Array
}): { readonly seq: number; readonly id: string; readonly says: unknown } => {
  const { data, error, id, seq } = Res.getOrThrow(decodeResult(record.value))
  return { seq, id, says: error === undefined ? data : error.code }
}
