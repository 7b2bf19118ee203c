import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventLogSuite, eventually } from "@nimbus/domain/testing"
import { Effect, Layer, Schema, Stream } from "effect"
import { moduleUrl, startChild, temporaryDirectory } from "./Children.ts"
import { type EventLogLmdbOptions, layerWith } from "./EventLog.ts"
import { LmdbStore } from "./Store.ts"

/** A log with a store of its own. */
const logIn = (directory: string, options: EventLogLmdbOptions) =>
  layerWith(options).pipe(Layer.provide([LmdbStore.layerWith({ directory }), Topics.layerDefault]))

const logInTemporary = (options: EventLogLmdbOptions) =>
  Layer.unwrap(Effect.map(temporaryDirectory, (directory) => logIn(directory, options)))

/** The log for as long as `use` runs. */
const withLog = <A, E>(
  directory: string,
  options: EventLogLmdbOptions,
  use: (log: EventLog["Service"]) => Effect.Effect<A, E>,
) => EventLog.use(use).pipe(Effect.provide(logIn(directory, options), { local: true }))

/** Changes what is written about the log as a whole, and gives it. */
const withAbout = (directory: string, change: (stored: string) => string) =>
  LmdbStore.use((store) =>
    Effect.flatMap(store.table("log"), (table) =>
      store.commit(() => {
        const key = new TextEncoder().encode("log")
        const changed = change(new TextDecoder().decode(table.get(key)))
        table.put(key, new TextEncoder().encode(changed))
        return changed
      }),
    ),
  ).pipe(Effect.provide(LmdbStore.layerWith({ directory }), { local: true }))

describe("LMDB", () => {
  const directory = mkdtempSync(join(tmpdir(), "nimbus-"))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  eventLogSuite("LMDB", { layer: logInTemporary, reopen: (request) => logIn(directory, request) })
  // Without the cache every read is one of the store.
  eventLogSuite("LMDB, read from disk", {
    layer: (request) => logInTemporary({ ...request, limits: { tail_cache_bytes: 0 } }),
  })
})

describe("EventLog on LMDB", () => {
  it.live("keeps everything that was acknowledged through a kill -9", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const child = yield* startChild(publisher, directory)
      yield* eventually(
        "some are acknowledged",
        Effect.sync(() => child.lines().length > 300),
        60_000,
      )
      yield* child.kill
      const acknowledged = child.lines().map(Number)
      yield* withLog(directory, { topics: ["t"], partitions: 1 }, (log) =>
        Effect.gen(function* () {
          const end = yield* log.end("t", 0)
          assert.isAtLeast(end, Math.max(...acknowledged) + recordsPerPublish)
          const chunks = yield* log.tail("t", 0, 0).pipe(
            Stream.takeUntil(({ next }) => next === end),
            Stream.runCollect,
          )
          const values = chunks.flatMap(({ records }) => records).map(({ value }) => new TextDecoder().decode(value))
          assert.strictEqual(values.length, end)
          for (const from of acknowledged) {
            for (let i = 0; i < recordsPerPublish; i++) assert.match(values[from + i] ?? "", new RegExp(`^\\d+:${i}$`))
          }
          assert.strictEqual(new Set(values).size, values.length)
        }),
      )
    }),
  )

  it.live("refuses to open with another partition count, and changes nothing by that", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const topics = ["t"]
      yield* withLog(directory, { topics, partitions: 3 }, (log) => log.publish("t", 2, [record]))
      const failure = yield* Effect.flip(withLog(directory, { topics, partitions: 4 }, () => Effect.void))
      assert.strictEqual(failure._tag, "StoreMismatch")
      assert.deepInclude(failure, { reason: "partitions", stored: "3", found: "4" })
      assert.strictEqual(yield* withLog(directory, { topics, partitions: 3 }, (log) => log.end("t", 2)), 1)
    }),
  )

  it.live("takes over a log of the protocol before, which then names who has it and does not open it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const options = { topics: ["t"], partitions: 1 }
      yield* withLog(directory, options, (log) => log.publish("t", 0, [record]))
      const before = Schema.Struct({
        incarnation: Schema.String,
        partitions: Schema.Int,
        topics: Schema.Record(Schema.String, Schema.Int),
      })
      const incarnation = "the one before"
      yield* withAbout(directory, () => JSON.stringify({ incarnation, partitions: 1, topics: { t: 0 } }))
      yield* withLog(directory, options, (log) =>
        Effect.gen(function* () {
          assert.strictEqual(log.incarnation, incarnation)
          assert.strictEqual(yield* log.end("t", 0), 1)
        }),
      )
      const about = yield* withAbout(directory, (stored) => stored)
      const refusal = yield* Effect.flip(Schema.decodeEffect(Schema.fromJsonString(before))(about))
      assert.include(refusal.message, "written by a newer version of Nimbus")
    }),
  )

  it.live("refuses a log of a later protocol, and changes nothing by that", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const options = { topics: ["t"], partitions: 1 }
      yield* withLog(directory, options, (log) => log.publish("t", 0, [record]))
      const later = yield* withAbout(directory, (stored) => stored.replace('"protocol":2', '"protocol":3'))
      const failure = yield* Effect.flip(withLog(directory, { ...options, topics: ["t", "u"] }, () => Effect.void))
      assert.deepInclude(failure, { _tag: "StoreMismatch", reason: "protocol", stored: "3", found: "2" })
      assert.strictEqual(yield* withAbout(directory, (stored) => stored), later)
    }),
  )

  it.live("stores a group commit within its delay, without a publish that takes it along and without closing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const child = yield* startChild(committer, directory)
      yield* eventually(
        "the commit is on disk",
        Effect.sync(() => child.lines().includes("waited")),
      )
      yield* child.kill
      assert.deepStrictEqual(
        yield* withLog(directory, { topics: ["t"], partitions: 1 }, (log) => log.committed("t", "g", 0)),
        { next: 7, metadata: "seven" },
      )
    }),
  )

  it.live("goes on at the end after retention has removed what it may and the log was closed", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const options = {
        topics: ["t"],
        partitions: 1,
        retention: { t: { retention_age_ms: 0 } },
        limits: { retention_every_ms: 10 },
      }
      yield* withLog(directory, options, (log) =>
        Effect.gen(function* () {
          for (let i = 0; i < 10; i++) yield* log.publish("t", 0, [record])
          const isLastAlone = Effect.map(log.earliest("t", 0), (earliest) => earliest === 9)
          yield* eventually("all but the last block are gone", isLastAlone)
        }),
      )
      yield* withLog(directory, options, (log) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* log.earliest("t", 0), 9)
          assert.strictEqual(yield* log.publish("t", 0, [record]), 10)
        }),
      )
    }),
  )

  it.live("keeps the records of a topic that is not declared for a while", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* withLog(directory, { topics: ["a", "b"], partitions: 1 }, (log) => log.publish("b", 0, [record]))
      yield* withLog(directory, { topics: ["c", "a"], partitions: 1 }, (log) => log.publish("c", 0, [record, record]))
      yield* withLog(directory, { topics: ["a", "b", "c"], partitions: 1 }, (log) =>
        Effect.gen(function* () {
          const ends = yield* Effect.forEach(["a", "b", "c"], (topic) => log.end(topic, 0))
          assert.deepStrictEqual(ends, [0, 1, 2])
        }),
      )
    }),
  )
})

const record = { key: "k", value: new Uint8Array(100) }
const recordsPerPublish = 50

const inChild = (body: string) => `
  import { EventLog, Topics } from "@nimbus/domain/services"
  import { Effect, Layer, Stream } from "effect"
  import { layerWith } from ${moduleUrl("./EventLog.ts")}
  import { LmdbStore } from ${moduleUrl("./Store.ts")}
  const [, directory] = process.argv
  const log = layerWith({ topics: ["t"], partitions: 1 }).pipe(
    Layer.provide([LmdbStore.layerWith({ directory }), Topics.layerDefault]))
  setInterval(() => {}, 1000)
  Effect.runFork(EventLog.use((log) => Effect.gen(function* () { ${body} })).pipe(Effect.provide(log)))
`

/** Publishes from several fibers at once until it is killed; prints the first offset of each publish once it is acknowledged. */
const publisher = inChild(`
  const encoder = new TextEncoder()
  let n = 0
  const publish = Effect.suspend(() => {
    const name = n++
    return log.publish("t", 0, Array.from({ length: ${recordsPerPublish} }, (_, i) =>
      ({ key: "k", value: encoder.encode(name + ":" + i) })))
  })
  const forever = Effect.forever(Effect.map(publish, (from) => process.stdout.write(from + "\\n")))
  yield* Effect.all([forever, forever, forever, forever], { concurrency: "unbounded" })
`)

/** Commits, waits ten times as long as that may take, says so, and stays. */
const committer = inChild(`
  yield* Stream.runForEach(log.subscribe("t", "g"), (assigned) => Effect.gen(function* () {
    yield* assigned.commit(7, "seven")
    yield* Effect.sleep(1_000)
    process.stdout.write("waited\\n")
  }))
`)
