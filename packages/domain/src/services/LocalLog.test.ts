import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Chunk, EventLog } from "./EventLog.ts"
import { Incarnation } from "../protocol/Ids.ts"
import type { LocalLogLimits } from "../Limits.ts"
import { type Block, type GroupCommit, type LogStore, make } from "./LocalLog.ts"

describe("LocalLog", () => {
  it.effect("after a failed write that stored nothing the next publish takes its offsets", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open()
      yield* log.publish("t", 0, records(3))
      store.fails = "before"
      assert.strictEqual((yield* Effect.flip(log.publish("t", 0, records(2, "lost"))))._tag, "LogUnavailable")
      store.fails = undefined
      assert.strictEqual(yield* log.publish("t", 0, records(2, "next")), 3)
      assert.deepStrictEqual(yield* valuesUpTo(log, 5), ["0", "1", "2", "next0", "next1"])
    }),
  )

  it.effect("after a failed write that stored everything the next publish comes behind it, and both are read", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open()
      yield* log.publish("t", 0, records(1))
      store.fails = "after"
      yield* Effect.flip(log.publish("t", 0, records(2, "maybe")))
      store.fails = undefined
      assert.strictEqual(yield* log.publish("t", 0, records(1, "next")), 3)
      assert.deepStrictEqual(yield* valuesUpTo(log, 4), ["0", "maybe0", "maybe1", "next0"])
    }),
  )

  it.effect("readers see nothing before the store has said that it is durable", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open()
      const release = store.hold()
      const publish = yield* Effect.forkChild(log.publish("t", 0, records(1)))
      yield* store.writing
      assert.strictEqual(yield* log.end("t", 0), 0)
      release()
      assert.strictEqual(yield* Fiber.join(publish), 0)
      assert.strictEqual(yield* log.end("t", 0), 1)
    }),
  )

  it.effect("a publish whose caller gave up is written all the same, once it was taken", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open()
      const release = store.hold()
      const publish = yield* Effect.forkChild(log.publish("t", 0, records(1, "given-up")))
      yield* store.writing
      yield* Fiber.interrupt(publish)
      release()
      yield* log.publish("t", 0, records(1, "later"))
      assert.deepStrictEqual(yield* valuesUpTo(log, 2), ["given-up0", "later0"])
    }),
  )

  it.effect("of a large buffer nothing is kept but the records that were cut out of it", () =>
    Effect.gen(function* () {
      const { log } = yield* open()
      const read = new TextEncoder().encode(`${"-".repeat(60_000)}first${"-".repeat(60_000)}second`)
      const values = [read.subarray(60_000, 60_005), read.subarray(-6)]
      yield* log.publish(
        "t",
        0,
        values.map((value) => ({ key: "k", value })),
      )
      const [chunk] = yield* Stream.runCollect(Stream.take(log.tail("t", 0, 0), 1))
      assert.deepStrictEqual(
        chunk?.records.map(({ value }) => new TextDecoder().decode(value)),
        ["first", "second"],
      )
      const buffers = new Set(chunk?.records.map(({ value }) => value.buffer))
      assert.strictEqual(
        [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0),
        11,
      )
    }),
  )

  it.effect("what waits together for one partition is stored as one block, up to the limits of a chunk", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open({ chunk_records: 10 })
      const release = store.hold()
      const first = yield* Effect.forkChild(log.publish("t", 0, records(1)))
      yield* store.writing
      const rest = yield* Effect.forkChild(
        Effect.forEach([3, 4, 30], (count) => log.publish("t", 0, records(count)), { concurrency: "unbounded" }),
      )
      yield* Effect.yieldNow
      release()
      yield* Fiber.join(first)
      assert.deepStrictEqual(yield* Fiber.join(rest), [1, 4, 8])
      assert.deepStrictEqual(
        store.blocks.map(({ from, next }) => [from, next]),
        [
          [0, 1],
          [1, 11],
          [11, 21],
          [21, 31],
          [31, 38],
        ],
      )
    }),
  )

  it.effect("the store is read only for a pull, and not at all at the tail", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open({ tail_cache_bytes: 4_000, chunk_records: 10 })
      for (let i = 0; i < 10; i++) yield* log.publish("t", 0, records(10))
      const pull = yield* Stream.toPull(log.tail("t", 0, "earliest"))
      assert.strictEqual(store.reads, 0)
      const [chunk] = yield* pull
      assert.strictEqual(chunk.from, 0)
      assert.strictEqual(store.reads, 1)
      yield* log.publish("t", 0, records(10))
      assert.strictEqual(store.reads, 1)
      yield* Stream.runDrain(Stream.take(log.tail("t", 0, 100), 1))
      assert.strictEqual(store.reads, 1)
    }),
  )

  it.effect("publishing fails, and may be tried again, while too many bytes wait", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open({ append_queue_bytes: 100 })
      const release = store.hold()
      const taken = yield* Effect.forkChild(log.publish("t", 0, records(1)))
      yield* store.writing
      const waits = yield* Effect.forkChild(log.publish("t", 0, records(200)))
      yield* Effect.yieldNow
      const refused = yield* Effect.flip(log.publish("t", 0, records(1)))
      assert.strictEqual(refused._tag, "LogUnavailable")
      release()
      yield* Fiber.join(taken)
      yield* Fiber.join(waits)
      assert.strictEqual(yield* log.publish("t", 0, records(1)), 201)
    }),
  )

  it.effect("a group commit is stored with the next write, or by itself once its delay is over", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open({ commit_delay_ms: 100 })
      yield* commit(log, 1)
      yield* log.publish("t", 0, records(1))
      assert.deepStrictEqual(store.commitsStored, [1])
      yield* commit(log, 2)
      yield* commit(log, 3)
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(store.commitsStored, [1, 3])
    }),
  )

  it.effect("a group commit that could not be stored is tried again", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open({ commit_delay_ms: 100 })
      store.fails = "before"
      yield* commit(log, 5)
      yield* TestClock.adjust("100 millis")
      store.fails = undefined
      assert.deepStrictEqual(store.commitsStored, [])
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(store.commitsStored, [5])
    }),
  )

  it.effect("closing writes what waits, and lets neither readers nor members wait on", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { log, store } = yield* Scope.provide(open(), scope)
      const release = store.hold()
      const publishes = yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c"], (name) => log.publish("t", 0, records(1, name)), { concurrency: "unbounded" }),
      )
      yield* store.writing
      const reader = yield* Effect.forkChild(Effect.flip(Stream.runDrain(log.tail("t", 1, 0))))
      const member = yield* Effect.forkChild(
        Effect.flip(Stream.runDrain(Stream.mapEffect(log.subscribe("t", "g"), ({ commit }) => commit(9)))),
      )
      yield* Effect.yieldNow
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      release()
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* Fiber.join(publishes), [0, 1, 2])
      assert.deepStrictEqual(store.commitsStored, [9, 9])
      assert.strictEqual((yield* Fiber.join(reader))._tag, "LogUnavailable")
      assert.strictEqual((yield* Fiber.join(member))._tag, "LogUnavailable")
      assert.strictEqual((yield* Effect.flip(log.publish("t", 0, records(1))))._tag, "LogUnavailable")
    }),
  )

  it.effect("a chunk says where it begins also when retention was faster than the read", () =>
    Effect.gen(function* () {
      const { log, store } = yield* open({ tail_cache_bytes: 0 })
      for (let i = 0; i < 4; i++) yield* log.publish("t", 0, records(5))
      store.blocks.splice(0, 2)
      const [chunk] = yield* Stream.runCollect(Stream.take(log.tail("t", 0, 3), 1))
      assert.deepInclude(chunk, { from: 10, next: 20 })
    }),
  )
})

class Broken extends Data.TaggedError("Broken") {}

/** One partition in memory, with switches. */
class FakeStore implements LogStore<Broken> {
  readonly incarnation = Incarnation.make("fake")
  readonly blocks: Array<Block> = []
  readonly commitsStored: Array<number> = []
  readonly commits = Effect.succeed([])
  fails: "before" | "after" | undefined
  reads = 0
  #held: Promise<void> | undefined
  #isWriting: () => void = () => undefined
  readonly writing = Effect.promise(
    () =>
      new Promise<void>((resolve) => {
        this.#isWriting = resolve
      }),
  )

  /** Writes wait until the answer is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#held = promise
    return resolve
  }

  bounds(_topic: string, partition: number) {
    return Effect.sync(() => ({ earliest: 0, end: partition === 0 ? (this.blocks.at(-1)?.next ?? 0) : 0 }))
  }

  write(appends: Parameters<LogStore<Broken>["write"]>[0], commits: ReadonlyArray<GroupCommit>) {
    return Effect.gen({ self: this }, function* () {
      const held = this.#held
      this.#isWriting()
      if (held !== undefined) yield* Effect.promise(() => held)
      if (this.fails === "before") return yield* new Broken()
      this.blocks.push(...appends.map(({ block }) => block))
      this.commitsStored.push(...commits.map(({ next }) => next))
      if (this.fails === "after") return yield* new Broken()
    })
  }

  read(_topic: string, _partition: number, from: number) {
    return Effect.sync(() => {
      this.reads++
      const rest = this.blocks.filter(({ next }) => next > from)
      return rest.map(({ bytes, from: first, next, records }) => ({
        bytes,
        from: Math.max(first, from),
        next,
        records: records.slice(Math.max(0, from - first)),
      }))
    })
  }

  retained() {
    return Effect.succeed(0)
  }

  drop() {
    return Effect.void
  }
}

const open = (limits: Partial<LocalLogLimits> = {}) =>
  Effect.gen(function* () {
    const store = new FakeStore()
    return { store, log: yield* make(store, { topics: ["t"], partitions: 2, limits }) }
  })

const records = (count: number, name = "") =>
  Array.from({ length: count }, (_, i) => ({ key: "k", value: new TextEncoder().encode(`${name}${i}`) }))

/** All values of partition 0, by a read that does and one that may not come from the cache. */
const valuesUpTo = (log: EventLog["Service"], end: number) =>
  log.tail("t", 0, "earliest").pipe(
    Stream.takeUntil(({ next }: Chunk) => next >= end),
    Stream.runCollect,
    Effect.map((chunks) =>
      chunks.flatMap(({ records }) => records.map(({ value }) => new TextDecoder().decode(value))),
    ),
  )

const commit = (log: EventLog["Service"], next: number) =>
  log.subscribe("t", "g").pipe(
    Stream.filter(({ partition }) => partition === 0),
    Stream.take(1),
    Stream.runForEach((assigned) => assigned.commit(next)),
  )
