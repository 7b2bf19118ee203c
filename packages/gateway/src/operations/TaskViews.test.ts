import { assert, describe, it } from "@effect/vitest"
import { LogUnavailable } from "@nimbus/domain/errors"
import { ClientId, EventId, partitionOf, RunId, Seq, TaskRecords } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Operations } from "@nimbus/domain/admin"
import { Context, Effect, Fiber, Layer, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { adminLimits } from "../Limits.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import * as ServiceOperations from "./ServiceOperations.ts"

/** What the task workers have committed of each partition, and from where the tasks topic was read. */
class Watched extends Context.Service<
  Watched,
  { readonly commits: Map<number, number>; readonly reads: Array<number>; standing: boolean; isAway: boolean }
>()("test/Watched") {}

const watched = Layer.unwrap(
  Effect.sync(() => {
    const seen = { commits: new Map<number, number>(), reads: new Array<number>(), standing: false, isAway: false }
    return Layer.merge(
      Layer.succeed(Watched, seen),
      Layer.effect(
        EventLog,
        Effect.gen(function* () {
          const log = yield* EventLog
          const { tasks } = yield* Topics
          return EventLog.of({
            ...log,
            committed: (topic, group, partition) => {
              const next = seen.commits.get(partition)
              const isOurs = topic === tasks && group === "nimbus-task-worker" && next !== undefined
              return isOurs ? Effect.succeed({ next, metadata: "" }) : log.committed(topic, group, partition)
            },
            publish: (topic, partition, records) =>
              seen.isAway
                ? Effect.fail(new LogUnavailable({ topic, operation: "publish", cause: "told to fail" }))
                : log.publish(topic, partition, records),
            tail: (topic, partition, position) => {
              if (topic === tasks) seen.reads.push(Number(position))
              return seen.standing ? Stream.never : log.tail(topic, partition, position)
            },
          })
        }),
      ),
    )
  }),
)

const on =
  (limits: Parameters<typeof ServiceOperations.layerWith>[0] = {}) =>
  <A, E, R>(test: Effect.Effect<A, E, R>) =>
    Effect.provide(
      test,
      ServiceOperations.layerWith(limits).pipe(Layer.provideMerge(watched), Layer.provideMerge(MemoryParts.layer)),
      { local: true },
    )

/** As many as `MemoryParts` has. */
const partitions = 3
const ada = ClientId.make("ada")
const bob = ClientId.make("bob")

const open = (task: number, name = "ask", bytes = 1): TaskRecords.TaskNote => ({
  task: Seq.make(task),
  is: "open",
  id: EventId.make(`e${task}`),
  name,
  data: "x".repeat(bytes),
})
const begun = (task: number, run: string, attempt: number): TaskRecords.TaskNote => ({
  task: Seq.make(task),
  is: "begun",
  run: RunId.make(run),
  attempt,
  next: 0,
})
const ended = (task: number): TaskRecords.TaskNote => ({ task: Seq.make(task), is: "ended" })

/** Notes of a client in the tasks topic, each in a chunk of its own. */
const publish = Effect.fnUntraced(function* (clientId: ClientId, ...notes: ReadonlyArray<TaskRecords.TaskNote>) {
  const log = yield* EventLog
  const { tasks } = yield* Topics
  for (const note of notes) {
    yield* TestClock.adjust(10)
    yield* log.publish(tasks, partitionOf(clientId, partitions), [
      { key: clientId, value: TaskRecords.encodeTask(note) },
    ])
  }
})

const list = (query: { readonly clientId?: ClientId; readonly name?: string; readonly limit?: number } = {}) =>
  Operations.use(({ tasks }) => tasks({ query }))

const ids = (tasks: ReadonlyArray<{ readonly id: string }>) => tasks.map(({ id }) => id)

describe("Operations: tasks", () => {
  it.effect("are those that have not ended: those that run longest first, then those that wait longest", () =>
    Effect.gen(function* () {
      yield* publish(ada, open(1), open(2, "draw"), open(3))
      yield* publish(bob, open(9), open(8))
      yield* publish(ada, begun(3, "w1.1", 1))
      yield* publish(bob, begun(8, "w2.1", 1), begun(8, "w1.2", 2))
      yield* publish(ada, begun(2, "w1.3", 1), ended(1))
      const { tasks, ...counts } = yield* list()
      assert.deepStrictEqual(
        tasks.map(
          ({ clientId, id, name, run }) => `${clientId} ${id} ${name} ${run?.worker ?? "-"} ${run?.attempt ?? 0}`,
        ),
        ["ada e3 ask w1 1", "bob e8 ask w1 2", "ada e2 draw w1 1", "bob e9 ask - 0"],
      )
      assert.deepStrictEqual(counts, { running: 3, waiting: 1, more: false, unread: 0 })
      assert.deepStrictEqual(tasks[3], {
        clientId: bob,
        seq: Seq.make(9),
        id: EventId.make("e9"),
        name: "ask",
        since: 40,
      })
    }).pipe(on()),
  )

  it.effect("are found by client and by name, and the list says where there are more", () =>
    Effect.gen(function* () {
      yield* publish(ada, open(1), open(2, "draw"), open(3))
      yield* publish(bob, open(4, "draw"))
      assert.deepStrictEqual(ids((yield* list({ clientId: ada })).tasks), ["e1", "e2", "e3"])
      assert.deepStrictEqual(ids((yield* list({ name: "draw" })).tasks), ["e2", "e4"])
      assert.deepStrictEqual(ids((yield* list({ name: "draw", clientId: bob })).tasks), ["e4"])
      const some = yield* list({ limit: 2 })
      assert.deepStrictEqual(ids(some.tasks), ["e1", "e2"])
      assert.isTrue(some.more)
      assert.strictEqual(some.waiting, 4)
      assert.isFalse((yield* list({ limit: 4 })).more)
    }).pipe(on()),
  )

  it.effect("are read from the commit of the workers on, and again only what is new", () =>
    Effect.gen(function* () {
      const { commits, reads } = yield* Watched
      yield* publish(ada, open(1), open(2))
      commits.set(partitionOf(ada, partitions), 1)
      assert.deepStrictEqual(ids((yield* list({ clientId: ada })).tasks), ["e2"])
      yield* list({ clientId: ada })
      yield* publish(ada, open(3))
      assert.deepStrictEqual(ids((yield* list({ clientId: ada })).tasks), ["e2", "e3"])
      assert.deepStrictEqual(reads, [1, 2])
      commits.set(partitionOf(ada, partitions), 3)
      assert.deepStrictEqual(ids((yield* list({ clientId: ada })).tasks), [])
    }).pipe(on()),
  )

  it.effect("are forgotten when nobody has asked for a while, and read again from the commit on", () =>
    Effect.gen(function* () {
      const { reads } = yield* Watched
      yield* publish(ada, open(1))
      yield* list({ clientId: ada })
      yield* TestClock.adjust(adminLimits.tasks_idle_ms - 1)
      yield* list({ clientId: ada })
      assert.deepStrictEqual(reads, [0])
      yield* TestClock.adjust(adminLimits.tasks_idle_ms)
      assert.deepStrictEqual(ids((yield* list({ clientId: ada })).tasks), ["e1"])
      assert.deepStrictEqual(reads, [0, 0])
    }).pipe(on()),
  )

  it.effect("are read as far as one question may, and the next one reads on", () =>
    Effect.gen(function* () {
      yield* publish(ada, open(1), open(2), open(3), ended(1))
      const first = yield* list()
      assert.deepStrictEqual(ids(first.tasks), ["e1", "e2"])
      assert.strictEqual(first.unread, 2)
      const second = yield* list()
      assert.deepStrictEqual(ids(second.tasks), ["e2", "e3"])
      assert.strictEqual(second.unread, 0)
    }).pipe(on({ tasks_scan_records: 2 * partitions })),
  )

  it.effect("are read for so many bytes", () =>
    Effect.gen(function* () {
      // A chunk of the log is read whole: none of these goes with the next.
      yield* publish(ada, open(1, "ask", 900_000), open(2, "ask", 900_000), open(3, "ask", 900_000))
      const first = yield* list()
      assert.deepStrictEqual(ids(first.tasks), ["e1", "e2"])
      assert.strictEqual(first.unread, 1)
      const second = yield* list()
      assert.deepStrictEqual(ids(second.tasks), ["e1", "e2", "e3"])
      assert.strictEqual(second.unread, 0)
    }).pipe(on({ tasks_scan_bytes: 1_000_000 })),
  )

  it.effect("are told as far as they were read in time", () =>
    Effect.gen(function* () {
      const seen = yield* Watched
      yield* publish(ada, open(1))
      yield* list()
      yield* publish(ada, open(2))
      seen.standing = true
      const asked = yield* Effect.forkChild(list())
      yield* TestClock.adjust(adminLimits.tasks_read_ms)
      const { tasks, unread } = yield* Fiber.join(asked)
      assert.deepStrictEqual(ids(tasks), ["e1"])
      assert.strictEqual(unread, 1)
      seen.standing = false
      assert.deepStrictEqual(ids((yield* list()).tasks), ["e1", "e2"])
    }).pipe(on()),
  )

  it.effect("are kept up to a bound, and those beyond it are found once there is room", () =>
    Effect.gen(function* () {
      const { commits } = yield* Watched
      yield* publish(ada, open(1), open(2), open(3))
      const full = yield* list()
      assert.deepStrictEqual(ids(full.tasks), ["e1", "e2"])
      assert.isTrue(full.more)
      yield* publish(ada, ended(1), ended(2))
      const emptied = yield* list()
      assert.deepStrictEqual(ids(emptied.tasks), [])
      assert.isTrue(emptied.more)
      commits.set(partitionOf(ada, partitions), 2)
      const { more, tasks } = yield* list()
      assert.deepStrictEqual(ids(tasks), ["e3"])
      assert.isFalse(more)
    }).pipe(on({ tasks_kept: 2 * partitions })),
  )

  it.effect("are not hidden by a record that is no note", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const { tasks } = yield* Topics
      const value = new TextEncoder().encode("{ broken")
      yield* log.publish(tasks, partitionOf(ada, partitions), [{ key: ada, value }])
      yield* publish(ada, open(1))
      const view = yield* list()
      assert.deepStrictEqual(ids(view.tasks), ["e1"])
      assert.strictEqual(view.unread, 0)
    }).pipe(on()),
  )
})

describe("Operations: cancelling a task", () => {
  it.effect("writes it to the events topic, in the partition of the client and by its key", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const { events } = yield* Topics
      const id = EventId.make("e1")
      const { cancel } = yield* Operations
      assert.deepStrictEqual(yield* cancel({ params: { clientId: ada }, payload: { id } }), { clientId: ada, id })
      const written = yield* log.tail(events, partitionOf(ada, partitions), "earliest").pipe(
        Stream.flatMap(({ records }) => Stream.fromIterable(records)),
        Stream.take(1),
        Stream.runCollect,
      )
      assert.strictEqual(written[0]?.key, "ada")
      assert.deepStrictEqual(Result.getOrThrow(TaskRecords.decodeTaskWrite(written[0]!.value)), {
        task: id,
        do: "cancel",
        by: "operator",
      })
    }).pipe(on()),
  )

  it.effect("says that it could not be written", () =>
    Effect.gen(function* () {
      const seen = yield* Watched
      seen.isAway = true
      const { cancel } = yield* Operations
      const error = yield* Effect.flip(cancel({ params: { clientId: ada }, payload: { id: EventId.make("e1") } }))
      assert.strictEqual(error.code, "ADMIN_UNAVAILABLE")
      assert.include(error.message, "LOG_UNAVAILABLE")
    }).pipe(on()),
  )
})
