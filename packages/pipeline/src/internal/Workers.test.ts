import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Stream } from "effect"
import { PartitionRevoked } from "@nimbus/domain/errors"
import { Alarms, EventLog, EventLogMemory, groupOf, makeAlarms, sharedGroupOf, Topics } from "@nimbus/domain/services"
import { append, assign, down, eventually, inTestEnvironment, raw, settle, textOf } from "../testing/TestEnvironment.ts"
import { quickLimits } from "../testing/Limits.ts"
import * as Workers from "./Workers.ts"

const workersOf = Effect.fnUntraced(function* (worker: Effect.Effect<void, PartitionRevoked>) {
  const { events } = yield* Topics
  const limits = { ...quickLimits, shutdown_timeout_ms: 0 }
  yield* Workers.run({ role: "event-consumer", topic: events, limits, worker: () => worker })
})

describe("Workers", () => {
  it.live("a partition that is assigned again has no second worker until the first has ended", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      let now = 0
      let most = 0
      let begun = 0
      const worker = Effect.acquireUseRelease(
        Effect.sync(() => {
          begun++
          most = Math.max(most, ++now)
        }),
        () => Effect.never,
        () =>
          Effect.andThen(
            Effect.sleep(10),
            Effect.sync(() => void now--),
          ),
      )
      yield* assign(events, undefined)
      yield* workersOf(worker)
      yield* eventually("a worker", () => begun === 1)
      yield* assign(events, undefined)
      yield* eventually("the next worker", () => begun === 2)
      assert.strictEqual(most, 1)
    }).pipe(inTestEnvironment()),
  )

  it.live("a worker whose partition is revoked while it asks for it has not failed", () => {
    const lines: Array<unknown> = []
    return Effect.gen(function* () {
      const { events } = yield* Topics
      let begun = 0
      const revoked = new PartitionRevoked({ topic: events, partition: 0 })
      yield* assign(events, undefined)
      yield* workersOf(Effect.suspend(() => (++begun < 3 ? Effect.fail(revoked) : Effect.never)))
      yield* eventually("a third start", () => begun === 3)
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(message))])), inTestEnvironment())
  })

  it.live("a group of topics of one's own goes on where it was when installations shared the name", () => {
    const topics = { ...Topics.defaults, events: "our-events" }
    const committed = (next: number) =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const shared = log.subscribe(topics.events, sharedGroupOf("event-consumer"))
        yield* Stream.runForEach(Stream.take(shared, 1), (assigned) => assigned.commit(next))
      })
    return Effect.gen(function* () {
      yield* append(topics.events, ...["a", "b", "c"].map((value) => raw("k", value)))
      yield* committed(2)
      const read: Array<string> = []
      yield* Workers.run({
        role: "event-consumer",
        topic: topics.events,
        limits: quickLimits,
        worker: (assigned, stopping) =>
          Workers.forEachChunk(assigned.read("committed"), stopping, ({ next, records }) => {
            read.push(...records.map(textOf))
            return Effect.as(assigned.commit(next), true)
          }),
      })
      yield* eventually("it is read", () => read.length > 0)
      assert.deepStrictEqual(read, ["c"])
      // From then on its own commit counts.
      yield* committed(0)
      const log = yield* EventLog
      yield* eventually(
        "its own commit",
        Effect.map(log.committed(topics.events, groupOf("event-consumer", topics), 0), (is) => is?.next === 3),
      )
    }).pipe(
      Effect.provideService(Topics, topics),
      Effect.provide(EventLogMemory.layerMemoryWith({ topics: [topics.events], partitions: 1 })),
      inTestEnvironment(),
    )
  })

  it.live("a worker that dies of a bug is started again", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      let begun = 0
      yield* assign(events, undefined)
      yield* workersOf(Effect.suspend(() => (++begun < 3 ? Effect.die("a bug") : Effect.never)))
      yield* eventually("a third start", () => begun === 3)
      yield* settle
      assert.strictEqual(begun, 3)
    }).pipe(inTestEnvironment()),
  )

  describe("a consumer that fails again and again without a commit further on", () => {
    /** A worker that commits as it is told each time that it starts, and then fails; and the warnings of `/readyz`. */
    const failing = (error: unknown, commits: (begun: number) => number) =>
      Effect.gen(function* () {
        const { events } = yield* Topics
        const alarms = makeAlarms({ alarm_again_ms: 60_000 })
        const seen = { begun: 0 }
        const byHand = yield* assign(events, 7)
        yield* Workers.run({
          role: "event-consumer",
          topic: events,
          limits: { ...quickLimits, shutdown_timeout_ms: 0 },
          worker: (assigned) =>
            Effect.suspend(() => Effect.andThen(assigned.commit(commits(++seen.begun)), Effect.fail(error))),
        }).pipe(Effect.provideService(Alarms, alarms))
        const warned = eventually(
          "a warning",
          Effect.map(alarms.warnings, (all) => all.length > 0),
        )
        return { alarms, seen, byHand, warned }
      })

    it.live("is an alarm that says where it stands, and is over when the partition is another owner's", () =>
      Effect.gen(function* () {
        const { events } = yield* Topics
        const { alarms, byHand, seen, warned } = yield* failing(new Error("a bug"), () => 7)
        yield* warned
        assert.isAtLeast(seen.begun, quickLimits.stuck_restarts)
        const why = "it fails each time that it is started again: a bug"
        assert.deepStrictEqual(yield* alarms.warnings, [
          `event-consumer of ${events}/0 makes no progress at offset 7: ${why}`,
        ])
        assert.deepStrictEqual(yield* alarms.blocking, [])
        yield* byHand.revoke
        yield* eventually(
          "it is over",
          Effect.map(alarms.warnings, (all) => all.length === 0),
        )
      }).pipe(inTestEnvironment()),
    )

    it.live("is over once it commits further on", () =>
      Effect.gen(function* () {
        let next = 7
        const { alarms, warned } = yield* failing(new Error("a bug"), () => next)
        yield* warned
        next = 8
        yield* eventually(
          "it is over",
          Effect.map(alarms.warnings, (all) => all.length === 0),
        )
      }).pipe(inTestEnvironment()),
    )

    it.live("is none where it gets on in between, nor while a service does not answer", () =>
      Effect.gen(function* () {
        for (const [error, commits] of [
          [new Error("a bug"), (begun: number) => 7 + begun],
          [down("a topic"), () => 7],
        ] as const) {
          const { alarms, seen } = yield* failing(error, commits)
          yield* eventually("many starts", () => seen.begun > 3 * quickLimits.stuck_restarts)
          assert.deepStrictEqual(yield* alarms.warnings, [])
        }
      }).pipe(inTestEnvironment()),
    )
  })
})
