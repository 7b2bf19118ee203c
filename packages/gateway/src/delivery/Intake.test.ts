import { assert, describe, it } from "@effect/vitest"
import { LogRefused, LogUnavailable } from "@nimbus/domain/errors"
import { EventId } from "@nimbus/domain/protocol"
import { Alarms, EventLog, EventLogMemory, makeAlarms, Topics } from "@nimbus/domain/services"
import { Deferred, Effect, Layer, Metric } from "effect"
import { Counts } from "../Metrics.ts"
import { makeIntake, type Sender } from "./Intake.ts"

const utf8 = new TextEncoder()
const text = new TextDecoder()

const record = (key: string, text = "x") => ({ key, value: utf8.encode(text) })

/** A sender that remembers what it was told. */
const sender = () => {
  const told: Array<string> = []
  const from: Sender = {
    accepted: (ids, offsets, cancels) =>
      void told.push(`accepted ${ids.join(" ")}`, ...cancels.map((id) => `cancels ${id} of ${offsets.length}`)),
    unavailable: () => void told.push("unavailable"),
    pause: () => void told.push("pause"),
    resume: () => void told.push("resume"),
  }
  const of = (id: string, isCancel = false) => ({ sender: from, id: EventId.make(id), isCancel })
  return { told, of }
}

/** The log of one partition, whose publishes a test holds back or lets fail. */
const gated = Effect.gen(function* () {
  const log = yield* EventLog
  const asked: Array<{
    readonly keys: ReadonlyArray<string>
    readonly texts: ReadonlyArray<string>
    readonly answer: Deferred.Deferred<void, LogUnavailable | LogRefused>
  }> = []
  const publish: typeof log.publish = (topic, partition, records) =>
    Effect.gen(function* () {
      const answer = yield* Deferred.make<void, LogUnavailable | LogRefused>()
      const texts = records.map(({ value }) => text.decode(value))
      asked.push({ keys: records.map(({ key }) => key), texts, answer })
      yield* Deferred.await(answer)
      return yield* log.publish(topic, partition, records)
    })
  const next = Effect.sync(() => asked.shift()).pipe(
    Effect.tap(Effect.yieldNow),
    Effect.repeat({ until: (publish) => publish !== undefined }),
    Effect.map((publish) => publish ?? assert.fail("nothing was published")),
  )
  return { log: { ...log, publish }, next }
})

const away = new LogUnavailable({ topic: "events", operation: "publish", cause: "away" })

const setUp = Effect.fnUntraced(function* (intake_bytes = 1024, counts = new Counts()) {
  const { log, next } = yield* gated
  const { events: topic } = yield* Topics
  const counted = { accepted: "accepted", failed: "events" } as const
  const intake = yield* makeIntake({ topic, partitions: 1, intake_bytes, counts, counted }).pipe(
    Effect.provideService(EventLog, log),
  )
  return { intake, next }
})

const log = EventLogMemory.layerMemory({ partitions: 1 }).pipe(Layer.provideMerge(Topics.layerDefault))

describe("Intake", () => {
  it.effect("publishes what one turn brings in one batch, and tells each sender once", () =>
    Effect.gen(function* () {
      const { intake, next } = yield* setUp()
      const [a, b] = [sender(), sender()]
      intake.put(record("a"), a.of("a1"))
      intake.put(record("b"), b.of("b1"))
      intake.put(record("a"), a.of("a2"))
      const { answer, keys } = yield* next
      assert.deepStrictEqual(keys, ["a", "b", "a"])
      assert.deepStrictEqual([a.told, b.told], [[], []])
      yield* Deferred.succeed(answer, undefined)
      yield* intake.idle
      assert.deepStrictEqual([a.told, b.told], [["accepted a1 a2"], ["accepted b1"]])
    }).pipe(Effect.provide(log)),
  )

  it.effect("tells cancels apart from the events of the same ids, and counts them apart", () =>
    Effect.gen(function* () {
      const counts = new Counts()
      const { intake, next } = yield* setUp(1024, counts)
      const a = sender()
      intake.put(record("a"), a.of("a1"))
      intake.put(record("a"), a.of("a1", true))
      intake.put(record("a"), a.of("a2"))
      yield* Deferred.succeed((yield* next).answer, undefined)
      yield* intake.idle
      assert.deepStrictEqual(a.told, ["accepted a1 a2", "cancels a1 of 3"])
      yield* counts.flush()
      const counted = (yield* Metric.snapshot).filter(({ id }) => /accepted|cancels/.test(id))
      assert.deepStrictEqual(
        Object.fromEntries(counted.map(({ id, state }) => [id, "count" in state ? state.count : undefined])),
        { nimbus_gateway_events_accepted_total: 2, nimbus_gateway_cancels_total: 1 },
      )
    }).pipe(Effect.provide(log), Effect.provideService(Metric.MetricRegistry, new Map())),
  )

  it.effect("has one publish under way; what comes meanwhile makes the next", () =>
    Effect.gen(function* () {
      const { intake, next } = yield* setUp()
      const a = sender()
      intake.put(record("a"), a.of("a1"))
      const first = yield* next
      intake.put(record("a"), a.of("a2"))
      intake.put(record("b"), a.of("b1"))
      yield* Deferred.succeed(first.answer, undefined)
      const second = yield* next
      assert.deepStrictEqual(second.keys, ["a", "b"])
    }).pipe(Effect.provide(log)),
  )

  it.effect(
    "what the log finds too large goes in halves; one event that is refused is an alarm, and hurts nobody else",
    () => {
      const alarms = makeAlarms({ alarm_again_ms: 60_000 })
      const tooLarge = new LogRefused({ topic: "events", reason: "too-large", detail: "10" })
      return Effect.gen(function* () {
        const { intake, next } = yield* setUp()
        const [a, b] = [sender(), sender()]
        intake.put(record("a"), a.of("a1"))
        intake.put(record("b"), b.of("b1"))
        yield* Deferred.fail((yield* next).answer, tooLarge)
        const first = yield* next
        assert.deepStrictEqual(first.keys, ["a"])
        yield* Deferred.succeed(first.answer, undefined)
        const second = yield* next
        assert.deepStrictEqual([second.keys, yield* alarms.blocking], [["b"], []])
        yield* Deferred.fail(second.answer, tooLarge)
        yield* intake.idle
        assert.deepStrictEqual([a.told, b.told], [["accepted a1"], ["unavailable"]])
        assert.deepStrictEqual(yield* alarms.blocking, [tooLarge.message])
      }).pipe(Effect.provideService(Alarms, alarms), Effect.provide(log))
    },
  )

  it.effect(
    "when the log fails, tells the senders and drops what else of theirs waits, so that nothing overtakes",
    () =>
      Effect.gen(function* () {
        const { intake, next } = yield* setUp()
        const [a, b] = [sender(), sender()]
        intake.put(record("a"), a.of("a1"))
        const first = yield* next
        intake.put(record("a"), a.of("a2"))
        intake.put(record("b"), b.of("b1"))
        intake.putBarrier(record("barrier"))
        yield* Deferred.fail(first.answer, away)
        const second = yield* next
        assert.deepStrictEqual(second.keys, ["b", "barrier"])
        yield* Deferred.succeed(second.answer, undefined)
        yield* intake.idle
        assert.deepStrictEqual([a.told, b.told], [["unavailable"], ["accepted b1"]])
      }).pipe(Effect.provide(log)),
  )

  it.effect("pauses whoever sends while its partition is full, and resumes it when the log has caught up", () =>
    Effect.gen(function* () {
      const { intake, next } = yield* setUp(4)
      const a = sender()
      intake.put(record("a", "123"), a.of("a1"))
      const first = yield* next
      intake.put(record("a", "123"), a.of("a2"))
      intake.put(record("a", "123"), a.of("a3"))
      assert.deepStrictEqual(a.told, ["pause"])
      yield* Deferred.succeed(first.answer, undefined)
      const second = yield* next
      yield* Deferred.succeed(second.answer, undefined)
      yield* intake.idle
      assert.deepStrictEqual(a.told, ["pause", "accepted a1", "accepted a2 a3", "resume"])
    }).pipe(Effect.provide(log)),
  )

  it.effect("pauses whoever joins while its partition is full, and does not resume who has left", () =>
    Effect.gen(function* () {
      const { intake, next } = yield* setUp(4)
      const [a, b, c, d] = [sender(), sender(), sender(), sender()]
      intake.put(record("a", "123"), a.of("a1"))
      const first = yield* next
      intake.put(record("a", "12345"), a.of("a2"))
      intake.join("b", b.of("b1").sender)
      intake.join("c", c.of("c1").sender)
      intake.leave("b", b.of("b1").sender)
      yield* Deferred.succeed(first.answer, undefined)
      const second = yield* next
      intake.join("d", d.of("d1").sender)
      yield* Deferred.succeed(second.answer, undefined)
      yield* intake.idle
      assert.deepStrictEqual(a.told, ["pause", "accepted a1", "accepted a2", "resume"])
      assert.deepStrictEqual([b.told, c.told, d.told], [["pause"], ["pause", "resume"], []])
    }).pipe(Effect.provide(log)),
  )

  it.effect("keeps one barrier of a client, the latest, however long the log takes", () =>
    Effect.gen(function* () {
      const { intake, next } = yield* setUp()
      intake.putBarrier(record("a", "under way"))
      const first = yield* next
      for (let n = 0; n < 1000; n++) {
        intake.putBarrier(record("a", `a${n}`))
        intake.putBarrier(record("b", `b${n}`))
      }
      yield* Deferred.succeed(first.answer, undefined)
      const second = yield* next
      intake.putBarrier(record("a", "one more"))
      yield* Deferred.succeed(second.answer, undefined)
      const third = yield* next
      const texts = [first, second, third].map((publish) => publish.texts)
      assert.deepStrictEqual(texts, [["under way"], ["a999", "b999"], ["one more"]])
    }).pipe(Effect.provide(log)),
  )
})
