import { assert, describe, it } from "@effect/vitest"
import type { LogRecord } from "@nimbus/domain/protocol"
import { type AssignedPartition, type Chunk, EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Exit, Fiber, Layer, Logger, Scope, Stream } from "effect"
import { Kafka, logLevel } from "kafkajs"
import { inject } from "vitest"
import type { KafkaLimits } from "../Limits.ts"
import { apis, type BrokerProxy, makeBrokerProxy } from "./testing/BrokerProxy.ts"
import { layerWith } from "./EventLog.ts"

const { kafka } = inject("services")
const broker = kafka?.brokers ?? ""
const run = Math.random().toString(36).slice(2, 8)
const partitions = 6
/** Other files use the same broker at the same time, and a group has one name there whatever topics it reads. */
const ownGroup = `${run}-g`

const layerOf = (topic: string, proxy?: BrokerProxy, limits?: Partial<KafkaLimits>) =>
  layerWith({
    brokers: [broker],
    topics: [`${run}-${topic}`],
    partitions,
    limits: { retry_min_ms: 5, retry_max_ms: 50, heartbeat_ms: 100, session_timeout_ms: 3_000, ...limits },
    socketFactory: proxy?.socketFactory,
  }).pipe(Layer.provide(Topics.layerDefault))

/** A log of one's own, for as long as the scope lives. */
const open = (topic: string, proxy?: BrokerProxy, limits?: Partial<KafkaLimits>) =>
  Effect.map(Layer.build(Layer.fresh(layerOf(topic, proxy, limits))), (context) =>
    EventLog.pipe(Effect.provide(context)),
  ).pipe(Effect.flatten)

const records = (count: number, name = ""): ReadonlyArray<LogRecord> =>
  Array.from({ length: count }, (_, i) => ({ key: "k", value: new TextEncoder().encode(`${name}${i}`) }))

/** Everything that was ever assigned, the latest of each partition last. */
const join = Effect.fnUntraced(function* (log: EventLog["Service"], topic: string, group = ownGroup) {
  const assigned: Array<AssignedPartition> = []
  const revoked = new Set<AssignedPartition>()
  yield* Stream.runForEach(log.subscribe(`${run}-${topic}`, group), (partition) =>
    Effect.gen(function* () {
      assigned.push(partition)
      yield* Effect.forkScoped(Effect.map(partition.revoked, () => revoked.add(partition)))
    }),
  ).pipe(Effect.forkScoped)
  const owned = () => assigned.filter((partition) => !revoked.has(partition))
  return { assigned, owned, partitions: () => owned().map(({ partition }) => partition) }
})

const when = (what: string, condition: () => boolean) => eventually(what, Effect.sync(condition), 60_000)

const offsets = (chunks: ReadonlyArray<Chunk>) => chunks.flatMap(({ records }) => records.map(({ offset }) => offset))

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i)

describe.skipIf(kafka === undefined)("Consumers on Kafka", () => {
  it.live("a member that reads nothing for longer than a session keeps its partitions: heartbeats go on", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(broker)
      const log = yield* open("heartbeats", proxy)
      for (const n of upTo(3)) yield* log.publish(`${run}-heartbeats`, 0, records(1_000, `${n}`))
      const member = yield* join(log, "heartbeats")
      yield* when("all are ours", () => member.owned().length === partitions)
      const first = member.owned().find(({ partition }) => partition === 0)
      // Taken once, and then left alone.
      const pull = yield* Stream.toPull(first!.read("earliest"))
      yield* pull
      const before = proxy.count(apis.heartbeat)
      yield* when("heartbeats for twice a session", () => proxy.count(apis.heartbeat) - before > 2 * 30)
      assert.lengthOf(member.assigned, partitions)
      yield* first!.commit(1)
    }).pipe(Effect.scoped),
  )

  it.live("nothing is fetched beyond the bound for a reader that does not pull", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(broker)
      const log = yield* open("bound", proxy, { read_ahead_bytes: 50_000, chunk_bytes: 10_000, fetch_wait_ms: 20 })
      const topic = `${run}-bound`
      for (const _ of upTo(40)) yield* log.publish(topic, 0, [{ key: "k", value: new Uint8Array(10_000) }])
      const pull = yield* Stream.toPull(log.tail(topic, 0, 0))
      const [first] = yield* pull
      let fetched = 0
      // It has had its fill once fetching stops, while another tail goes on.
      const other = yield* Stream.toPull(log.tail(topic, 1, 0))
      yield* Effect.forkScoped(other)
      yield* when("the first one is left out", () => {
        const before = fetched
        fetched = proxy.count(apis.fetch)
        return fetched > before && fetched > 20
      })
      let next = first.next
      while (next < 40) for (const chunk of yield* pull) next = chunk.next
      assert.strictEqual(next, 40)
    }).pipe(Effect.scoped),
  )

  it.live("a partition that is revoked gives nothing more, and a member that has left reads nothing", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(broker)
      const log = yield* open("stop", proxy)
      const topic = `${run}-stop`
      for (const p of upTo(partitions)) yield* log.publish(topic, p, records(10))
      const connections = proxy.connections
      const scope = yield* Scope.make()
      const member = yield* Scope.provide(join(log, "stop"), scope)
      yield* when("all are ours", () => member.owned().length === partitions)
      const [one] = member.owned()
      const pull = yield* Stream.toPull(one!.read("earliest"))
      yield* pull
      // More is there and on its way when the member leaves.
      yield* log.publish(topic, one!.partition, records(10))
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(pull)) === false)
      assert.deepStrictEqual(yield* Stream.runCollect(one!.read("earliest")), [])
      assert.strictEqual((yield* Effect.flip(one!.commit(1)))._tag, "PartitionRevoked")
      yield* when("its connections are closed", () => proxy.connections === connections)
    }).pipe(Effect.scoped),
  )

  it.live("who joins takes its share and no more; the others get the rest back, as new assignments", () =>
    Effect.gen(function* () {
      const log = yield* open("sticky")
      const old = yield* join(log, "sticky")
      yield* when("all are its own", () => old.owned().length === partitions)
      const before = old.owned()
      const young = yield* join(log, "sticky")
      yield* when("shared", () => old.owned().length === 3 && young.owned().length === 3)
      const kept = old.owned()
      assert.deepStrictEqual(
        old.partitions().sort(),
        before.map(({ partition }) => partition).filter((p) => !young.partitions().includes(p)),
      )
      for (const assigned of kept) assert.notInclude(before, assigned)
      for (const assigned of before) {
        assert.strictEqual((yield* Effect.flip(assigned.commit(1)))._tag, "PartitionRevoked")
      }
      for (const assigned of kept) yield* assigned.commit(0)
    }).pipe(Effect.scoped),
  )

  it.live("a member that reads another topic takes no partition of ours, and we say that it is there", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function* () {
      const group = `${run}-shared`
      const ours = yield* join(yield* open("ours"), "ours", group)
      yield* when("all are ours", () => ours.owned().length === partitions)
      const stranger = yield* join(yield* open("strange"), "strange", group)
      yield* when("it is told", () => lines.some((line) => line.includes(`members that read ${run}-strange`)))
      yield* when("all are ours again", () => ours.owned().length === partitions)
      assert.deepStrictEqual(stranger.assigned, [])
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
  })

  it.live("a member that the group no longer hears knows that it has lost its partitions, and joins again", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(broker)
      const cutOff = yield* join(yield* open("cut-off", proxy), "cut-off")
      yield* when("all are its own", () => cutOff.owned().length === partitions)
      const other = yield* join(yield* open("cut-off"), "cut-off")
      yield* when("shared", () => cutOff.owned().length === 3 && other.owned().length === 3)
      proxy.close()
      yield* when("it has none", () => cutOff.owned().length === 0)
      yield* when("the other has all", () => other.owned().length === partitions)
      proxy.open()
      yield* when("shared again", () => cutOff.owned().length === 3 && other.owned().length === 3)
      assert.deepStrictEqual([...cutOff.partitions(), ...other.partitions()].sort(), upTo(partitions))
    }).pipe(Effect.scoped),
  )

  it.live("a broken connection costs nobody a partition or a record", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(broker)
      const log = yield* open("blip", proxy)
      const topic = `${run}-blip`
      const member = yield* join(log, "blip")
      yield* when("all are ours", () => member.owned().length === partitions)
      const [one] = member.owned()
      const reading = yield* Effect.forkScoped(
        Stream.runCollect(Stream.takeUntil(one!.read("earliest"), ({ next }) => next === 50)),
      )
      for (const n of upTo(5)) {
        yield* log.publish(topic, one!.partition, records(10, `${n}`))
        proxy.close()
        proxy.open()
      }
      assert.deepStrictEqual(offsets(yield* Fiber.join(reading)), upTo(50))
      const heartbeats = proxy.count(apis.heartbeat)
      yield* when("heartbeats again", () => proxy.count(apis.heartbeat) > heartbeats + 3)
      assert.lengthOf(member.assigned, partitions)
      yield* one!.commit(50)
      assert.strictEqual((yield* log.committed(topic, ownGroup, one!.partition))?.next, 50)
    }).pipe(Effect.scoped),
  )

  it.live("where records are gone a read begins at the earliest, and tells", () =>
    Effect.gen(function* () {
      const log = yield* open("gone", undefined, { read_ahead_bytes: 1, chunk_bytes: 100 })
      const topic = `${run}-gone`
      for (const n of upTo(10)) yield* log.publish(topic, 0, records(10, `${n}`))
      const overtaken = yield* Stream.toPull(log.tail(topic, 0, 0))
      assert.deepStrictEqual(offsets(yield* overtaken), upTo(10))
      yield* deleteBefore(topic, 0, 45)
      assert.strictEqual(yield* log.earliest(topic, 0), 45)
      assert.strictEqual(yield* log.end(topic, 0), 100)
      for (const position of [0, 44, "earliest"] as const) {
        const [chunk] = yield* Stream.runCollect(Stream.take(log.tail(topic, 0, position), 1))
        assert.strictEqual(chunk?.from, 45)
      }
      // What it had fetched already it still has.
      let from = 0
      while (from < 45) for (const chunk of yield* overtaken) from = chunk.from
      assert.strictEqual(from, 45)
    }).pipe(Effect.scoped),
  )

  it.live("a read from beyond the end fails: it never begins anywhere else", () =>
    Effect.gen(function* () {
      const log = yield* open("beyond")
      const topic = `${run}-beyond`
      yield* log.publish(topic, 0, records(10))
      const failure = yield* Effect.flip(Stream.runDrain(log.tail(topic, 0, 11)))
      assert.strictEqual(failure._tag, "LogUnavailable")
      const waiting = yield* Effect.forkScoped(Stream.runCollect(Stream.take(log.tail(topic, 0, 10), 1)))
      yield* log.publish(topic, 0, records(1))
      assert.deepStrictEqual(offsets(yield* Fiber.join(waiting)), [10])
    }).pipe(Effect.scoped),
  )

  it.live("questions are asked together, and fail while Kafka is away", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(broker)
      const log = yield* open("questions", proxy, { question_timeout_ms: 2_000 })
      const topic = `${run}-questions`
      yield* log.publish(topic, 0, records(3))
      const before = proxy.count(apis.listOffsets)
      const ends = yield* Effect.forEach(upTo(500), (i) => log.end(topic, i % partitions), { concurrency: "unbounded" })
      assert.deepStrictEqual(new Set(ends), new Set([3, 0]))
      assert.isAtMost(proxy.count(apis.listOffsets) - before, 2)
      proxy.close()
      assert.strictEqual((yield* Effect.flip(log.end(topic, 0)))._tag, "LogUnavailable")
      assert.strictEqual((yield* Effect.flip(log.committed(topic, ownGroup, 0)))._tag, "LogUnavailable")
      proxy.open()
      assert.strictEqual(yield* log.end(topic, 0), 3)
    }).pipe(Effect.scoped),
  )
})

/** As retention does. */
const deleteBefore = (topic: string, partition: number, offset: number) =>
  Effect.promise(async () => {
    const admin = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    // It looks for the leader in what is known of the topic, and does not ask.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
    await admin.disconnect()
  })
