import { assert, describe, it } from "@effect/vitest"
import { type Cause, Deferred, Effect, Exit, Fiber, Layer, Queue, Schedule, Schema, Scope, Stream } from "effect"
import { Epoch, EventId, RunId, TaskRecords } from "@nimbus/domain/protocol"
import { Alarms, EventLog, Handlers, Registry, type Task, Topics } from "@nimbus/domain/services"
import * as Quarantine from "./Quarantine.ts"
import * as TaskWorker from "./TaskWorker.ts"
import { type TaskWorkerLimits, taskWorkerLimits } from "./Limits.ts"
import { quickLimits } from "./testing/Limits.ts"
import { ask, cancel, consumeTasks, publishAs, seenOf, type TaskConsumer } from "./testing/TaskEnvironment.ts"
import {
  append,
  assign,
  client,
  contents,
  counts,
  eventually,
  gauges,
  Hooks,
  inTestEnvironment,
  pod,
  raw,
  settle,
  textOf,
} from "./testing/TestEnvironment.ts"

const json = { input: Schema.Json, part: Schema.Json }
/** Says each of the words that it is given. */
const say = Handlers.task("say", {
  input: Schema.Array(Schema.Json),
  part: Schema.Json,
  handler: (words) => Stream.fromIterable(words),
})

const limits: TaskWorkerLimits = {
  ...taskWorkerLimits,
  ...quickLimits,
  queue: { ...taskWorkerLimits.queue, fenced_ticks: 5 },
  tick_ms: 2,
  measure_every_ms: 5,
}

/** A worker that runs until it is stopped, or crashes. */
const startWith = Effect.fnUntraced(function* (
  tasks: ReadonlyArray<Task<never>>,
  more: Partial<TaskWorkerLimits> = {},
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const worker = TaskWorker.layerWith({ ...limits, ...more }).pipe(Layer.provide(Handlers.layer(tasks)))
  yield* Layer.buildWithScope(Layer.fresh(worker), scope)
  return { stop: Scope.close(scope, Exit.void), crash: Scope.close(scope, Exit.die("killed")) }
})

/** A task whose parts a test gives to it. */
interface Fed {
  readonly task: Task<never>
  /** Of each run: its attempt and what had been published. */
  readonly runs: Array<{ readonly attempt: number; readonly published: ReadonlyArray<Schema.Json> }>
  readonly interrupted: () => number
  readonly parts: Queue.Queue<string, Cause.Done>
}

const fed = (name: string, resumes = false): Fed => {
  const parts = Effect.runSync(Queue.unbounded<string, Cause.Done>())
  const runs: Fed["runs"] = []
  let interrupted = 0
  const task = Handlers.task(name, {
    ...json,
    resumes,
    handler: (_, { attempt, published }) =>
      Stream.unwrap(
        Effect.map(Stream.runCollect(published), (before) => {
          runs.push({ attempt, published: before })
          return Stream.fromQueue(parts)
        }),
      ).pipe(Stream.onExit((exit) => Effect.sync(() => void (Exit.isFailure(exit) && interrupted++)))),
  })
  return { task, runs, interrupted: () => interrupted, parts }
}

const hasParts = (consumer: TaskConsumer, id: string, n: number) =>
  eventually(`${n} parts of ${id}`, () => seenOf(consumer, id).parts.length === n)
const hasEnded = (consumer: TaskConsumer, id: string) =>
  Effect.as(
    eventually(`an end of ${id}`, () => seenOf(consumer, id).ends.length > 0),
    0,
  ).pipe(Effect.map(() => seenOf(consumer, id)))
const committed = Effect.gen(function* () {
  return yield* (yield* EventLog).committed((yield* Topics).tasks, "nimbus-task-worker", 0)
})
const commitsAll = Effect.gen(function* () {
  const log = yield* EventLog
  const { tasks } = yield* Topics
  const isAll = Effect.gen(function* () {
    return (yield* committed)?.next === (yield* log.end(tasks, 0))
  })
  yield* eventually("a commit of all", isAll)
})

describe("TaskWorker", () => {
  it.live("runs each task once, its parts in order and one end behind them, and commits what has ended", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks()
      yield* startWith([say])
      for (let i = 0; i < 30; i++) yield* ask(`c${i % 7}`, `e${i}`, "say", ["a", "b", i])
      yield* eventually("all ends", () => consumer.items.filter(({ end }) => end !== undefined).length === 30)
      for (let i = 0; i < 30; i++)
        assert.deepStrictEqual(seenOf(consumer, `e${i}`), { parts: ["a", "b", i], ends: ["done"], attempts: [1] })
      assert.deepStrictEqual(consumer.ignored, [])
      yield* commitsAll
      const counted = yield* counts
      assert.strictEqual(counted["nimbus_task_attempts_total say"], 30)
      assert.strictEqual(counted["nimbus_task_runs_ended_total say done"], 30)
      yield* eventually(
        "parts counted",
        Effect.map(counts, (all) => all["nimbus_task_parts_total say"] === 90),
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("goes on where a worker died, if the task resumes: each part once, and none of the zombie", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks(["fed"])
      const first = fed("fed", true)
      const worker = yield* startWith([first.task])
      const task = yield* ask("ann", "e1", "fed", null)
      yield* Queue.offer(first.parts, "a")
      yield* hasParts(consumer, "e1", 1)
      const { tasks } = yield* Topics
      yield* eventually(
        "its progress",
        Effect.map(contents(tasks), (all) => all.length === 3),
      )
      // An event consumer that starts over writes it again.
      yield* append(tasks, {
        key: "ann",
        value: TaskRecords.encodeTask({ task, is: "progress", attempt: 1, part: 0, data: "a" }),
      })
      yield* Queue.offer(first.parts, "b")
      yield* hasParts(consumer, "e1", 2)
      yield* worker.crash
      assert.strictEqual(first.interrupted(), 1)
      const second = fed("fed", true)
      yield* startWith([second.task])
      yield* Queue.offer(second.parts, "c")
      yield* hasParts(consumer, "e1", 3)
      const run = consumer.runs[0]?.run ?? assert.fail("no run")
      yield* publishAs("ann", { task, do: "part", run, part: 2, data: "zombie" })
      yield* Queue.end(second.parts)
      assert.deepStrictEqual(yield* hasEnded(consumer, "e1"), {
        parts: ["a", "b", "c"],
        ends: ["done"],
        attempts: [1, 2],
      })
      assert.deepStrictEqual(second.runs, [{ attempt: 2, published: ["a", "b"] }])
      assert.deepStrictEqual(consumer.ignored, ["fenced"])
    }).pipe(inTestEnvironment()),
  )

  it.live("begins again where a worker died, if the task does not resume", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks()
      const first = fed("fed")
      const worker = yield* startWith([first.task])
      yield* ask("ann", "e1", "fed", null)
      yield* Queue.offerAll(first.parts, ["a", "b"])
      yield* hasParts(consumer, "e1", 2)
      yield* worker.crash
      const second = fed("fed")
      yield* startWith([second.task])
      yield* Queue.offerAll(second.parts, ["A", "B"])
      yield* Queue.end(second.parts)
      yield* hasEnded(consumer, "e1")
      assert.deepStrictEqual(
        consumer.items.map(({ attempt, part, says }) => [attempt, part, says]),
        [
          [1, 0, "a"],
          [1, 1, "b"],
          [2, 0, "A"],
          [2, 1, "B"],
          [2, 2, null],
        ],
      )
      assert.deepStrictEqual(second.runs, [{ attempt: 2, published: [] }])
    }).pipe(inTestEnvironment()),
  )

  it.live("interrupts a task whose client cancels it, and frees its slot", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks()
      const one = fed("fed")
      yield* startWith([one.task, say], { queue: { ...limits.queue, at_once: 1 } })
      yield* ask("ann", "e1", "fed", null)
      yield* ask("bob", "e2", "say", ["x"])
      yield* Queue.offer(one.parts, "a")
      yield* hasParts(consumer, "e1", 1)
      assert.deepStrictEqual(seenOf(consumer, "e2").parts, [])
      yield* cancel("ann", "e1")
      assert.deepStrictEqual(yield* hasEnded(consumer, "e2"), { parts: ["x"], ends: ["done"], attempts: [1] })
      assert.deepStrictEqual(seenOf(consumer, "e1"), { parts: ["a"], ends: ["cancelled"], attempts: [1] })
      assert.strictEqual(one.interrupted(), 1)
      yield* cancel("ann", "e1")
      yield* eventually("a cancel too late", () => consumer.ignored.includes("unknown"))
      yield* commitsAll
    }).pipe(inTestEnvironment()),
  )

  it.live("leaves a task to another worker that has begun it, and begins it again where that one does not end it", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks()
      const one = fed("fed")
      yield* startWith([one.task])
      const task = yield* ask("ann", "e1", "fed", null)
      yield* Queue.offer(one.parts, "a")
      yield* hasParts(consumer, "e1", 1)
      yield* publishAs("ann", { task, do: "begin", run: RunId.make("other.1") })
      yield* eventually("interrupted", () => one.interrupted() === 1)
      yield* Queue.offer(one.parts, "b")
      yield* Queue.end(one.parts)
      assert.deepStrictEqual(yield* hasEnded(consumer, "e1"), {
        parts: ["a", "b"],
        ends: ["done"],
        attempts: [1, 3],
      })
    }).pipe(inTestEnvironment()),
  )

  it.live("tells a failure, a defect, wrong input, a part that is too large, and too much time, as the end", () =>
    Effect.gen(function* () {
      const hooks = yield* Hooks
      hooks.publish_bytes = 32 * 1024
      const consumer = yield* consumeTasks()
      const of = (name: string, handler: () => Stream.Stream<Schema.Json, unknown>, timeout = 60_000) =>
        Handlers.task(name, { ...json, timeout, handler })
      yield* startWith([
        of("fails", () => Stream.concat(Stream.make("a"), Stream.fail(new Error("no luck".repeat(1_000))))),
        of("dies", () => Stream.die(new Error("a bug"))),
        of("large", () => Stream.make("a", "x".repeat(40_000), "never")),
        of("late", () => Stream.concat(Stream.make("a"), Stream.never), 20),
        say,
      ])
      for (const name of ["fails", "dies", "large", "late"]) yield* ask("ann", name, name, null)
      yield* ask("ann", "say", "say", "not a list")
      const ends: Record<string, unknown> = {}
      for (const name of ["fails", "dies", "large", "late", "say"]) {
        const { ends: all, parts } = yield* hasEnded(consumer, name)
        ends[name] = [parts, all, consumer.items.find(({ end, of }) => of === name && end !== undefined)?.says]
      }
      assert.deepStrictEqual(ends, {
        fails: [["a"], ["failed"], "HANDLER_FAILED"],
        dies: [[], ["failed"], "HANDLER_FAILED"],
        large: [["a"], ["failed"], "BAD_OUTPUT"],
        late: [["a"], ["failed"], "HANDLER_TIMEOUT"],
        say: [[], ["failed"], "BAD_INPUT"],
      })
      const long = (yield* contents((yield* Topics).events)).map(textOf).find((text) => text.includes("no luck"))
      assert.isBelow(long?.length ?? 0, 1_200)
    }).pipe(inTestEnvironment()),
  )

  it.live("makes the next attempt of a task that failed, as its schedule says, and keeps its slot", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks(["goes on"])
      const failing = (name: string, resumes: boolean) =>
        Handlers.task(name, {
          ...json,
          resumes,
          retry: Schedule.recurs(2),
          handler: (_, { attempt, published }) =>
            Stream.unwrap(
              Effect.map(Stream.runCollect(published), (before) =>
                Stream.concat(Stream.make(`${attempt} after ${before.length}`), Stream.fail(`no luck ${attempt}`)),
              ),
            ),
        })
      yield* startWith([failing("goes on", true), failing("begins again", false)])
      yield* ask("ann", "e1", "goes on", null)
      yield* ask("ann", "e2", "begins again", null)
      assert.deepStrictEqual((yield* hasEnded(consumer, "e1")).parts, ["1 after 0", "2 after 1", "3 after 2"])
      assert.deepStrictEqual((yield* hasEnded(consumer, "e2")).parts, ["1 after 0", "2 after 0", "3 after 0"])
      assert.deepStrictEqual(seenOf(consumer, "e2").ends, ["failed"])
      assert.strictEqual((yield* counts)["nimbus_task_runs_ended_total goes on retried"], 2)
    }).pipe(inTestEnvironment()),
  )

  it.live("pulls a stream no further than its buffer ahead of the log", () =>
    Effect.gen(function* () {
      const hooks = yield* Hooks
      const open = yield* Deferred.make<void>()
      const { events } = yield* Topics
      hooks.publishing = (topic, records) =>
        topic === events && records.some((record) => textOf(record).includes('"do":"part"'))
          ? Deferred.await(open)
          : Effect.void
      let pulled = 0
      const flood = Handlers.task("flood", {
        ...json,
        handler: () =>
          Stream.range(1, 1_000).pipe(
            Stream.rechunk(1),
            Stream.tap(() => Effect.sync(() => void pulled++)),
          ),
      })
      const consumer = yield* consumeTasks()
      yield* startWith([flood, say], { task_buffer_parts: 16 })
      yield* ask("ann", "e1", "flood", null)
      yield* eventually("parts", () => pulled >= 16)
      yield* settle
      assert.isAtMost(pulled, 18)
      yield* Deferred.succeed(open, undefined)
      const { ends, parts } = yield* hasEnded(consumer, "e1")
      assert.deepStrictEqual([parts.length, parts.at(-1), ends], [1_000, 1_000, ["done"]])
    }).pipe(inTestEnvironment()),
  )

  it.live("writes no further ahead of the event consumer than it may: a task that floods holds up nobody else", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const { events } = yield* Topics
      const flood = Handlers.task("flood", { ...json, handler: () => Stream.rechunk(Stream.range(1, 500), 1) })
      const consumer = yield* consumeTasks()
      yield* startWith([flood], { ahead_records: 100, ahead_look_ms: 1, task_buffer_parts: 10 })
      yield* ask("ann", "e1", "flood", null)
      yield* eventually(
        "parts",
        Effect.map(log.end(events, 0), (end) => end > 100),
      )
      yield* settle
      // It is looked up before a request, of at most what the task may have on its way.
      assert.isAtMost(yield* log.end(events, 0), 2 + 100 + 10)
      yield* log.subscribe(events, "nimbus-event-consumer").pipe(
        Stream.runForEach((assigned) => assigned.read(0).pipe(Stream.runForEach(({ next }) => assigned.commit(next)))),
        Effect.forkScoped,
      )
      const { ends, parts } = yield* hasEnded(consumer, "e1")
      assert.deepStrictEqual([parts.length, ends], [500, ["done"]])
    }).pipe(inTestEnvironment()),
  )

  it.live("writes nothing more of a task that has ended", () =>
    Effect.gen(function* () {
      const hooks = yield* Hooks
      const open = yield* Deferred.make<void>()
      const { events } = yield* Topics
      const isPart = (record: { readonly value: Uint8Array }) => textOf(record).includes('"do":"part"')
      let waits = 0
      hooks.publishing = (topic, records) => {
        if (topic !== events || !records.some(isPart)) return Effect.void
        waits++
        return Deferred.await(open)
      }
      const consumer = yield* consumeTasks()
      const one = fed("fed")
      yield* startWith([one.task, say])
      yield* ask("ann", "e1", "fed", null)
      yield* Queue.offer(one.parts, "a")
      yield* eventually("a request under way", () => waits === 1)
      yield* Queue.offerAll(one.parts, ["b", "c"])
      yield* settle
      yield* cancel("ann", "e1")
      yield* eventually("interrupted", () => one.interrupted() === 1)
      yield* Deferred.succeed(open, undefined)
      yield* ask("ann", "e2", "say", [])
      yield* hasEnded(consumer, "e2")
      assert.strictEqual((yield* contents(events)).filter(isPart).length, 1)
    }).pipe(inTestEnvironment()),
  )

  it.live("joins parts that come shortly after each other, and lets the first one leave at once", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks()
      const parts = yield* Queue.unbounded<string, Cause.Done>()
      const joined = Handlers.task("joined", {
        input: Schema.Json,
        part: Schema.String,
        combine: "strings",
        join_ms: 200,
        handler: () => Stream.fromQueue(parts),
      })
      yield* startWith([joined])
      yield* ask("ann", "e1", "joined", null)
      yield* Queue.offer(parts, "first ")
      yield* hasParts(consumer, "e1", 1)
      for (const word of ["a", "b", "c"]) {
        yield* Queue.offer(parts, word)
        yield* settle
      }
      yield* hasParts(consumer, "e1", 2)
      yield* Queue.offer(parts, "last")
      yield* Queue.end(parts)
      assert.deepStrictEqual((yield* hasEnded(consumer, "e1")).parts, ["first ", "abc", "last"])
    }).pipe(inTestEnvironment()),
  )

  it.live("waits for what runs when it is stopped, and leaves the rest to the next owner", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks(["fed"])
      const one = fed("fed", true)
      const other = fed("hangs", true)
      const queue = { ...limits.queue, at_once: 2 }
      const worker = yield* startWith([one.task, other.task, say], { shutdown_timeout_ms: 300, queue })
      yield* ask("ann", "e1", "fed", null)
      yield* ask("bob", "e2", "hangs", null)
      yield* ask("cat", "e3", "say", ["x"])
      yield* Queue.offer(one.parts, "a")
      yield* Queue.offer(other.parts, "h")
      yield* hasParts(consumer, "e1", 1)
      yield* hasParts(consumer, "e2", 1)
      const stopping = yield* Effect.forkScoped(worker.stop)
      yield* settle
      yield* Queue.offer(one.parts, "b")
      yield* Queue.end(one.parts)
      assert.deepStrictEqual(yield* hasEnded(consumer, "e1"), { parts: ["a", "b"], ends: ["done"], attempts: [1] })
      yield* Fiber.join(stopping)
      assert.strictEqual(other.interrupted(), 1)
      assert.deepStrictEqual(seenOf(consumer, "e3").ends, [])
      assert.strictEqual(consumer.runs.filter(({ do: what }) => what === "Begin").length, 2, "nothing more begins")
      yield* startWith([one.task, other.task, say])
      yield* hasEnded(consumer, "e3")
      yield* Queue.end(other.parts)
      assert.deepStrictEqual((yield* hasEnded(consumer, "e2")).attempts, [1, 2])
    }).pipe(inTestEnvironment()),
  )

  it.live("goes on with what runs when its partition is revoked and comes back, and begins nothing between", () =>
    Effect.gen(function* () {
      const { tasks } = yield* Topics
      const consumer = yield* consumeTasks()
      const one = fed("fed")
      const byHand = yield* assign(tasks, undefined)
      yield* startWith([one.task, say], { revoked_wait_ms: 5_000 })
      yield* ask("ann", "e1", "fed", null)
      yield* Queue.offer(one.parts, "a")
      yield* hasParts(consumer, "e1", 1)
      yield* byHand.revoke
      yield* Queue.offer(one.parts, "b")
      yield* hasParts(consumer, "e1", 2)
      yield* ask("ann", "e2", "say", ["x"])
      yield* eventually(
        "the task in its topic",
        Effect.map(contents(tasks), (all) => all.length === 3),
      )
      yield* settle
      assert.strictEqual(consumer.runs.filter(({ do: what }) => what === "Begin").length, 1)
      const again = yield* assign(tasks, 0)
      yield* hasEnded(consumer, "e2")
      assert.deepStrictEqual(again.positions, [2], "it reads on where it was")
      yield* Queue.end(one.parts)
      assert.deepStrictEqual(yield* hasEnded(consumer, "e1"), { parts: ["a", "b"], ends: ["done"], attempts: [1] })
      assert.strictEqual(one.interrupted(), 0)
    }).pipe(inTestEnvironment()),
  )

  it.live(
    "begins nothing while its partition is revoked, also where a slot is free, or a task is to be tried again",
    () =>
      Effect.gen(function* () {
        const { tasks } = yield* Topics
        const consumer = yield* consumeTasks()
        const one = fed("fed")
        const open = yield* Deferred.make<void>()
        const fails = Handlers.task("fails", {
          ...json,
          retry: Schedule.recurs(1),
          handler: (_, { attempt }) =>
            attempt === 1
              ? Stream.fromEffect(Effect.andThen(Deferred.await(open), Effect.fail("no luck")))
              : Stream.make("better"),
        })
        const byHand = yield* assign(tasks, undefined)
        yield* startWith([one.task, fails, say], { revoked_wait_ms: 5_000, queue: { ...limits.queue, at_once: 2 } })
        yield* ask("ann", "e1", "fed", null)
        yield* ask("bob", "e2", "fails", null)
        yield* ask("cat", "e3", "say", ["x"])
        yield* eventually(
          "two runs and one that waits",
          Effect.map(gauges, (all) => all["nimbus_tasks_waiting say 0"] === 1),
        )
        yield* eventually(
          "both run",
          Effect.map(gauges, (all) => all["nimbus_tasks_running fails"] === 1),
        )
        yield* byHand.revoke
        yield* Deferred.succeed(open, undefined)
        yield* Queue.end(one.parts)
        yield* hasEnded(consumer, "e1")
        yield* eventually(
          "it has failed",
          Effect.map(counts, (all) => all["nimbus_task_runs_ended_total fails retried"] === 1),
        )
        yield* settle
        const begins = () => consumer.runs.filter(({ do: what }) => what === "Begin").length
        assert.strictEqual(begins(), 2)
        yield* assign(tasks, 0)
        assert.deepStrictEqual((yield* hasEnded(consumer, "e2")).parts, ["better"])
        yield* hasEnded(consumer, "e3")
        assert.strictEqual(begins(), 4)
      }).pipe(inTestEnvironment()),
  )

  it.live("interrupts what runs when its partition is revoked and does not come back", () =>
    Effect.gen(function* () {
      const { tasks } = yield* Topics
      const consumer = yield* consumeTasks()
      const one = fed("fed")
      const byHand = yield* assign(tasks, undefined)
      yield* startWith([one.task], { revoked_wait_ms: 20 })
      yield* ask("ann", "e1", "fed", null)
      yield* Queue.offer(one.parts, "a")
      yield* hasParts(consumer, "e1", 1)
      yield* byHand.revoke
      yield* eventually("interrupted", () => one.interrupted() === 1)
      yield* assign(tasks, 0)
      yield* Queue.end(one.parts)
      assert.deepStrictEqual((yield* hasEnded(consumer, "e1")).attempts, [1, 2])
    }).pipe(inTestEnvironment()),
  )

  it.live("runs no more than it may of all, of a client, and of a name; reads again what it could not keep", () =>
    Effect.gen(function* () {
      let running = 0
      let most = 0
      const open = yield* Deferred.make<void>()
      const waits = Handlers.task("waits", {
        ...json,
        handler: (data) =>
          Stream.fromEffect(
            Effect.andThen(
              Effect.sync(() => (most = Math.max(most, ++running))),
              Effect.as(Deferred.await(open), data),
            ),
          ),
      })
      const consumer = yield* consumeTasks()
      const queue = { ...limits.queue, at_once: 5, client_at_once: 2 }
      yield* startWith([waits], { queue, kept_bytes: 0 })
      for (let i = 0; i < 4; i++) yield* ask("ann", `a${i}`, "waits", `of ann ${i}`)
      yield* eventually("two of ann", () => running === 2)
      for (let i = 0; i < 8; i++) yield* ask(`c${i}`, `c${i}`, "waits", `of ${i}`)
      yield* eventually("five", () => running === 5)
      yield* eventually(
        "those that wait are measured",
        Effect.map(gauges, (all) => all["nimbus_tasks_waiting waits 0"] === 7),
      )
      yield* settle
      assert.strictEqual(most, 5)
      yield* Deferred.succeed(open, undefined)
      yield* eventually("all ends", () => consumer.items.filter(({ end }) => end === "done").length === 12)
      assert.deepStrictEqual(seenOf(consumer, "a3").parts, ["of ann 3"])
      yield* commitsAll
    }).pipe(inTestEnvironment()),
  )

  it.live("begins again with another run where nothing came of a begin, and not while the event consumer is away", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const { events, tasks } = yield* Topics
      const open = {
        task: yield* ask("ann", "e1", "say", ["x"]),
        is: "open",
        id: EventId.make("e1"),
        name: "say",
      } as const
      yield* append(tasks, { key: "ann", value: TaskRecords.encodeTask({ ...open, data: ["x"] }) })
      yield* startWith([say], { begun_wait_ms: 10 })
      const begins = Effect.map(contents(events), (all) => all.filter((one) => textOf(one).includes('"begin"')))
      const alarms = yield* Alarms
      yield* eventually(
        "an alarm",
        Effect.map(alarms.warnings, (all) => all.some((text) => text.includes("wait for the event consumer"))),
      )
      assert.strictEqual((yield* begins).length, 1)
      // It is past the begin, and has said nothing.
      yield* log.subscribe(events, "nimbus-event-consumer").pipe(
        Stream.take(1),
        Stream.runForEach((assigned) => assigned.commit(2)),
      )
      yield* eventually(
        "a second begin",
        Effect.map(begins, (all) => all.length === 2),
      )
      assert.strictEqual(new Set((yield* begins).map(textOf)).size, 2)
      yield* append(tasks, { key: "ann", value: TaskRecords.encodeTask({ task: open.task, is: "ended" }) })
      yield* eventually(
        "no alarm",
        Effect.map(alarms.warnings, (all) => all.length === 0),
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("lets a task wait whose name it does not have, with an alarm, and runs the others", () =>
    Effect.gen(function* () {
      const consumer = yield* consumeTasks()
      const worker = yield* startWith([say])
      yield* ask("ann", "e1", "new", null)
      yield* ask("ann", "e2", "say", ["x"])
      yield* hasEnded(consumer, "e2")
      const alarms = yield* Alarms
      yield* eventually(
        "an alarm",
        Effect.map(alarms.warnings, (all) => all.some((text) => text.includes('1 of "new"'))),
      )
      yield* worker.stop
      assert.deepStrictEqual(yield* alarms.warnings, [])
      const rolledOut = fed("new")
      yield* startWith([say, rolledOut.task])
      yield* Queue.end(rolledOut.parts)
      yield* hasEnded(consumer, "e1")
    }).pipe(inTestEnvironment()),
  )

  it.live("ends a task whose client stays away, if the task says so, and no other", () =>
    Effect.gen(function* () {
      const registry = yield* Registry
      yield* registry.lease(pod, 60_000)
      const connected = Effect.fnUntraced(function* (name: string) {
        const clientId = client(name)
        const epoch = yield* registry.connect(clientId, pod, Epoch.make(1))
        const leaves = registry.write([{ clientId, epoch, pod, status: "OFFLINE" }])
        return { leaves }
      })
      const consumer = yield* consumeTasks()
      const waits = { ...json, handler: () => Stream.never }
      const worker = yield* startWith(
        [
          Handlers.task("watched", { ...waits, abandon_after: 30 }),
          Handlers.task("patient", { ...waits, abandon_after: "1 hour" }),
          Handlers.task("unwatched", waits),
        ],
        {
          abandon_look_ms: 5,
        },
      )
      const gone = yield* connected("gone")
      yield* connected("here")
      for (const name of ["gone", "here", "unknown"]) yield* ask(name, `${name} watched`, "watched", null)
      yield* ask("gone", "gone unwatched", "unwatched", null)
      yield* ask("gone", "gone patient", "patient", null)
      yield* eventually("runs", () => consumer.runs.length === 5)
      yield* gone.leaves
      assert.deepStrictEqual((yield* hasEnded(consumer, "gone watched")).ends, ["cancelled"])
      yield* Effect.yieldNow
      for (const id of ["here watched", "unknown watched", "gone unwatched", "gone patient"])
        assert.deepStrictEqual(seenOf(consumer, id).ends, [])
      yield* worker.crash
    }).pipe(inTestEnvironment()),
  )

  it.live("puts what is no note into quarantine, and goes on", () =>
    Effect.gen(function* () {
      const { quarantine, tasks } = yield* Topics
      yield* append(tasks, raw("ann", `{"task":7,"is":"odd"}`), raw("", "x"))
      const consumer = yield* consumeTasks()
      yield* startWith([say])
      yield* ask("ann", "e1", "say", ["x"])
      yield* hasEnded(consumer, "e1")
      const refused = yield* contents(quarantine)
      assert.deepStrictEqual(refused.map(textOf), [`{"task":7,"is":"odd"}`, "x"])
      assert.strictEqual(refused[1]?.headers?.[Quarantine.headers.reason], "the key is no client id")
      yield* commitsAll
    }).pipe(inTestEnvironment()),
  )
})
