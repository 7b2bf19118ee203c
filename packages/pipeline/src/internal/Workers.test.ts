import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Stream } from "effect"
import { PartitionRevoked } from "@nimbus/domain/errors"
import { EventLog, EventLogMemory, groupOf, sharedGroupOf, Topics } from "@nimbus/domain/services"
import { append, assign, eventually, inTestEnvironment, raw, settle, textOf } from "../testing/TestEnvironment.ts"
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
})
