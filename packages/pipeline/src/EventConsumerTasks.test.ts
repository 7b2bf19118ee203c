import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Result as Res, Schema, Stream } from "effect"
import { taskLimits } from "@nimbus/domain/limits"
import {
  decodeResult,
  EventId,
  finishedAbove,
  Journey,
  type LogRecord,
  RunId,
  seqUnsafe,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { EventLog, Handlers, Topics } from "@nimbus/domain/services"
import * as EventConsumer from "./EventConsumer.ts"
import { type EventConsumerLimits, eventConsumerLimits } from "./Limits.ts"
import {
  append,
  contents,
  counts,
  down,
  event,
  eventually,
  gauges,
  hasRecords,
  Hooks,
  inTestEnvironment,
  message,
  raw,
  settle,
  start,
  textOf,
} from "./testing/TestEnvironment.ts"
import { quickLimits } from "./testing/Limits.ts"

const handler = () => Stream.empty
const ask = Handlers.task("ask", { input: Schema.Json, part: Schema.Json, handler })
const draw = Handlers.task("draw", { input: Schema.Json, part: Schema.Json, handler, resumes: true })
const handlers = Handlers.layer([...Handlers.samples, ask, draw])

/** With a handler that ends when this is done. */
const waiting = (open: Deferred.Deferred<void>) => {
  const json = { input: Schema.Json, output: Schema.Json }
  const waits = Handlers.make("waits", { ...json, handler: (data) => Effect.as(Deferred.await(open), data) })
  return Handlers.layer([...Handlers.samples, ask, draw, waits])
}

const startWith = (limits: Partial<EventConsumerLimits> = {}, application: Layer.Layer<Handlers, unknown> = handlers) =>
  start(EventConsumer.layerWith({ ...quickLimits, ...limits }).pipe(Layer.provide(application)))

/** What a worker, a client or the pipeline writes of the task of this seq. */
const of = (clientId: string, task: number) => {
  const record = (write: TaskRecords.TaskWrite): LogRecord => ({ key: clientId, value: TaskRecords.encodeTask(write) })
  const seq = seqUnsafe(task)
  return {
    begin: (run: string) => record({ task: seq, do: "begin", run: RunId.make(run) }),
    part: (run: string, part: number, data: Schema.Json) =>
      record({ task: seq, do: "part", run: RunId.make(run), part, data }),
    end: (run: string, part: number) => record({ task: seq, do: "end", run: RunId.make(run), part }),
    fail: (run: string, part: number, code: string, message: string) =>
      record({ task: seq, do: "end", run: RunId.make(run), part, error: { code, message } }),
    stop: (by: "operator" | "expired") => record({ task: seq, do: "stop", by }),
  }
}

const cancel = (clientId: string, id: string): LogRecord => ({
  key: clientId,
  value: TaskRecords.encodeTask({ task: EventId.make(id), do: "cancel", by: "client" }),
})

const texts = (topic: string, n: number) => Effect.map(hasRecords(topic, n), (all) => all.map(textOf))

const committed = Effect.gen(function* () {
  return yield* (yield* EventLog).committed((yield* Topics).events, "nimbus-event-consumer", 0)
})
const committedIs = (next: number) =>
  eventually(
    `a commit of ${next}`,
    Effect.map(committed, (is) => is?.next === next),
  )

/** Of the items of a topic, each once. */
const distinct = (all: ReadonlyArray<string>) => [...new Set(all)]

const limitsOf = (limits: Partial<EventConsumerLimits["tasks"]>) => ({ tasks: { ...taskLimits, ...limits } })

/** A whole task: its event, two attempts, three parts, an end. */
const story = [
  event("a", "e1", "ask", { of: 1 }),
  of("a", 0).begin("w1.1"),
  of("a", 0).part("w1.1", 0, "x"),
  of("a", 0).begin("w2.1"),
  of("a", 0).part("w1.1", 1, "late"),
  of("a", 0).part("w2.1", 0, "y"),
  of("a", 0).part("w2.1", 0, "y"),
  of("a", 0).part("w2.1", 1, { z: 1 }),
  of("a", 0).end("w2.1", 2),
  of("a", 0).end("w2.1", 2),
]
const storyItems = [
  `{"seq":2,"id":"t0.1.0","name":"ask","data":"x","of":"e1","attempt":1,"part":0}`,
  `{"seq":5,"id":"t0.2.0","name":"ask","data":"y","of":"e1","attempt":2,"part":0}`,
  `{"seq":7,"id":"t0.2.1","name":"ask","data":{"z":1},"of":"e1","attempt":2,"part":1}`,
  `{"seq":8,"id":"t0.end","name":"ask","data":null,"of":"e1","attempt":2,"part":2,"end":"done"}`,
]
const storyNotes = [
  `{"task":0,"is":"open","id":"e1","name":"ask","data":{"of":1}}`,
  `{"task":0,"is":"begun","run":"w1.1","attempt":1,"next":0}`,
  `{"task":0,"is":"begun","run":"w2.1","attempt":2,"next":0}`,
  `{"task":0,"is":"ended"}`,
]

describe("EventConsumer, of tasks", () => {
  it.live(
    "hands the event to the workers, and passes on what counts of what they write, to its client and to them",
    () =>
      Effect.gen(function* () {
        const { events, results, tasks } = yield* Topics
        yield* startWith({ measure_every_ms: 1 })
        yield* append(events, ...story, event("a", "e2", "sq", { number: 2 }))
        yield* committedIs(11)
        const items = yield* texts(results, 5)
        assert.deepStrictEqual(items.slice(0, 4), storyItems)
        assert.match(items[4] ?? "", /^{"seq":10,"id":"e2"/)
        assert.deepStrictEqual(yield* texts(tasks, 4), storyNotes)
        for (const { key, value } of yield* contents(results)) {
          assert.strictEqual(key, "a")
          assert.isTrue(Res.isSuccess(decodeResult(value)))
        }
        const now = yield* counts
        assert.strictEqual(now["nimbus_tasks_opened_total ask"], 1)
        assert.strictEqual(now["nimbus_tasks_ended_total ask done"], 1)
        assert.strictEqual(now["nimbus_task_records_ignored_total fenced"], 1)
        assert.strictEqual(now["nimbus_task_records_ignored_total repeat"], 1)
        assert.strictEqual(now["nimbus_task_records_ignored_total unknown"], 1)
        assert.strictEqual(now["nimbus_pipeline_records_out_total tasks"], 4)
      }).pipe(inTestEnvironment()),
  )

  it.live("a task that resumes leaves its progress, and its next attempt goes on behind it", () =>
    Effect.gen(function* () {
      const { events, results, tasks } = yield* Topics
      yield* startWith({ measure_every_ms: 1 })
      const task = of("a", 0)
      yield* append(events, event("a", "e1", "draw", 1), task.begin("w1.1"), task.part("w1.1", 0, [1, "b"]))
      yield* eventually(
        "it is open",
        Effect.map(gauges, (now) => now["nimbus_tasks_open 0"] === 1),
      )
      yield* append(
        events,
        task.begin("w2.1"),
        task.part("w2.1", 1, null),
        task.fail("w2.1", 2, "NO_PAPER", "no paper"),
      )
      assert.deepStrictEqual(yield* texts(tasks, 6), [
        `{"task":0,"is":"open","id":"e1","name":"draw","data":1}`,
        `{"task":0,"is":"begun","run":"w1.1","attempt":1,"next":0}`,
        `{"task":0,"is":"progress","attempt":1,"part":0,"data":[1,"b"]}`,
        `{"task":0,"is":"begun","run":"w2.1","attempt":2,"next":1}`,
        `{"task":0,"is":"progress","attempt":2,"part":1,"data":null}`,
        `{"task":0,"is":"ended"}`,
      ])
      assert.deepStrictEqual(yield* texts(results, 3), [
        `{"seq":2,"id":"t0.1.0","name":"draw","data":[1,"b"],"of":"e1","attempt":1,"part":0}`,
        `{"seq":4,"id":"t0.2.1","name":"draw","data":null,"of":"e1","attempt":2,"part":1}`,
        `{"seq":5,"id":"t0.end","name":"draw","error":{"code":"NO_PAPER","message":"no paper"},"of":"e1","attempt":2,"part":2,"end":"failed"}`,
      ])
      yield* eventually(
        "it is not open",
        Effect.map(gauges, (now) => now["nimbus_tasks_open 0"] === 0),
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("a cancel, or a stop, ends it once, for its own client alone; too late it is nothing", () =>
    Effect.gen(function* () {
      const { events, results, tasks } = yield* Topics
      yield* startWith()
      yield* append(
        events,
        event("a", "e1", "ask", 1),
        event("a", "e2", "ask", 2),
        cancel("b", "e1"),
        of("b", 1).stop("operator"),
        cancel("a", "e1"),
        cancel("a", "e1"),
        of("a", 0).begin("w1.1"),
        of("a", 1).begin("w1.2"),
        of("a", 1).stop("operator"),
        of("a", 1).part("w1.2", 0, "late"),
      )
      yield* committedIs(10)
      assert.deepStrictEqual(yield* texts(results, 2), [
        `{"seq":4,"id":"t0.end","name":"ask","data":null,"of":"e1","attempt":0,"part":0,"end":"cancelled"}`,
        `{"seq":8,"id":"t1.end","name":"ask","data":null,"of":"e2","attempt":1,"part":0,"end":"cancelled"}`,
      ])
      assert.deepStrictEqual((yield* texts(tasks, 6)).slice(2), [
        `{"task":0,"is":"ended"}`,
        // Who wants to begin what has ended must learn of it.
        `{"task":0,"is":"ended"}`,
        `{"task":1,"is":"begun","run":"w1.2","attempt":1,"next":0}`,
        `{"task":1,"is":"ended"}`,
      ])
    }).pipe(inTestEnvironment()),
  )

  it.live("an id that was used before opens nothing, and has the notice that it is a repeat", () =>
    Effect.gen(function* () {
      const { events, results, tasks } = yield* Topics
      yield* startWith()
      yield* append(events, event("a", "e1", "ask", 1), event("a", "e1", "ask", 1), of("a", 1).begin("w1.1"))
      yield* committedIs(3)
      assert.deepStrictEqual(yield* texts(results, 1), [`{"seq":1,"id":"e1","name":"ask","data":null,"repeated":0}`])
      assert.deepStrictEqual((yield* texts(tasks, 2)).slice(1), [`{"task":1,"is":"ended"}`])
    }).pipe(inTestEnvironment()),
  )

  it.live("ends with TASK_ATTEMPTS what was begun as often as a task may be", () =>
    Effect.gen(function* () {
      const { events, results } = yield* Topics
      yield* startWith(limitsOf({ task_attempts: 2 }))
      const begins = [1, 2, 3].map((i) => of("a", 0).begin(`w${i}.1`))
      yield* append(events, event("a", "e1", "ask", 1), ...begins)
      const [end] = yield* texts(results, 1)
      assert.match(end ?? "", /^{"seq":3,"id":"t0.end","name":"ask","error":{"code":"TASK_ATTEMPTS"/)
      yield* eventually(
        "it is counted",
        Effect.map(counts, (now) => now["nimbus_tasks_ended_total ask attempts"] === 1),
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("of too many open tasks the newest end with TASKS_FULL, each by one record in the log", () =>
    Effect.gen(function* () {
      const { events, results } = yield* Topics
      yield* startWith(limitsOf({ client_open_tasks: 2, partition_open_tasks: 3 }))
      yield* append(
        events,
        ...[0, 1, 2].map((i) => event("a", `e${i}`, "ask", i)),
        ...[3, 4].map((i) => event("b", `e${i}`, "ask", i)),
        of("a", 0).stop("operator"),
        event("c", "e6", "ask", 6),
      )
      yield* committedIs(9)
      yield* settle
      assert.strictEqual((yield* contents(events)).length, 9)
      const ends = (yield* texts(results, 3)).map((text) => /"id":"(t\d+)\.end".*?(?:"code":"(\w+)"|"data")/.exec(text))
      assert.deepStrictEqual(
        ends.map((end) => [end?.[1], end?.[2]]),
        [
          ["t0", undefined],
          ["t2", "TASKS_FULL"],
          ["t4", "TASKS_FULL"],
        ],
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("what is not done in its time ends with TASK_EXPIRED, by one record, though the log fails at first", () =>
    Effect.gen(function* () {
      const { events, results } = yield* Topics
      const hooks = yield* Hooks
      let failures = 0
      hooks.publishing = (topic, [record]) =>
        topic === events && textOf(record).includes("expired") && failures++ < 3
          ? Effect.fail(down(topic))
          : Effect.void
      yield* startWith({ measure_every_ms: 1, ...limitsOf({ task_ttl_ms: 30 }) })
      yield* append(events, event("a", "e1", "ask", 1))
      const [end] = yield* texts(results, 1)
      assert.match(end ?? "", /^{"seq":1,"id":"t0.end","name":"ask","error":{"code":"TASK_EXPIRED"/)
      yield* committedIs(2)
      const [asked, stopped] = yield* contents(events)
      assert.isAtLeast((stopped?.timestamp ?? 0) - (asked?.timestamp ?? 0), 30)
      assert.strictEqual((yield* contents(events)).length, 2)
      assert.strictEqual(failures, 4)
    }).pipe(inTestEnvironment()),
  )

  it.live("what can't be read goes to quarantine, and what is too large for the topics is answered so", () =>
    Effect.gen(function* () {
      const { events, quarantine, results, tasks } = yield* Topics
      const hooks = yield* Hooks
      hooks.publish_bytes = 20_000
      yield* startWith()
      const large = "x".repeat(4_000)
      yield* append(
        events,
        raw("a", `{"task":0,"do":"dance"}`),
        raw("a", `{"task":0,"do":"part","run":"w.1","part":0,"data":[1,}`),
        raw("no client!", `{"task":0,"do":"begin","run":"w.1"}`),
        event("a", "e1", "ask", large),
        event("a", "e2", "draw", 1),
        of("a", 4).begin("w.1"),
        of("a", 4).part("w.1", 0, large),
        of("a", 4).fail("w.1", 1, large, large),
      )
      yield* committedIs(8)
      assert.lengthOf(yield* contents(quarantine), 4)
      const [part, end] = yield* texts(results, 2)
      assert.match(part ?? "", /^{"seq":6,"id":"t4.1.0","name":"draw","error":{"code":"RESULT_TOO_BIG".*"part":0}$/)
      const error = { code: "x".repeat(128), message: `${"x".repeat(1_023)}…` }
      assert.include(end, `"error":${JSON.stringify(error)},`)
      assert.include((yield* texts(tasks, 4))[2], `"is":"progress"`)
    }).pipe(inTestEnvironment()),
  )

  it.live("of a client with much waiting it keeps the offsets, and what became of each record", () =>
    Effect.gen(function* () {
      const { events, results, tasks } = yield* Topics
      const order = { ...eventConsumerLimits.order, client_records: 2 }
      const open = yield* Deferred.make<void>()
      yield* startWith({ order, ...limitsOf({ spilled_verdicts: 4 }) }, waiting(open))
      yield* append(events, event("a", "e0", "waits", 0), event("a", "e1", "draw", 1), of("a", 1).begin("w1.1"))
      for (let i = 0; i < 4; i++) yield* append(events, of("a", 1).part("w1.1", i, i))
      yield* append(events, of("a", 1).begin("w2.1"), of("a", 1).part("w1.1", 4, "late"), of("a", 1).part("w2.1", 4, 4))
      yield* append(events, of("a", 1).end("w2.1", 5), of("a", 1).begin("w1.2"))
      yield* eventually(
        "it reads no further than so many verdicts",
        Effect.map(counts, (now) => now["nimbus_pipeline_records_in_total event-consumer"] === 7),
      )
      yield* settle
      assert.strictEqual((yield* counts)["nimbus_pipeline_records_in_total event-consumer"], 7)
      yield* Deferred.succeed(open, undefined)
      yield* committedIs(12)
      const items = (yield* texts(results, 7)).slice(1)
      assert.deepStrictEqual(
        items.map((item) => item.replace(/,"name".*"attempt"/, "")),
        [
          ...[0, 1, 2, 3].map((i) => `{"seq":${i + 3},"id":"t1.1.${i}":1,"part":${i}}`),
          `{"seq":9,"id":"t1.2.4":2,"part":4}`,
          `{"seq":10,"id":"t1.end":2,"part":5,"end":"done"}`,
        ],
      )
      const notes = (yield* texts(tasks, 10)).filter((note) => !note.includes("progress"))
      assert.deepStrictEqual(notes, [
        `{"task":1,"is":"open","id":"e1","name":"draw","data":1}`,
        `{"task":1,"is":"begun","run":"w1.1","attempt":1,"next":0}`,
        `{"task":1,"is":"begun","run":"w2.1","attempt":2,"next":4}`,
        `{"task":1,"is":"ended"}`,
        `{"task":1,"is":"ended"}`,
      ])
    }).pipe(inTestEnvironment({ limits: { chunk_records: 1 } })),
  )

  it.live.each(Array.from(story.keys()))("is the same for an owner that starts over behind record %d", (n) =>
    Effect.gen(function* () {
      const { events, results, tasks } = yield* Topics
      const first = yield* startWith({ shutdown_timeout_ms: 0 })
      yield* append(events, ...story.slice(0, n + 1))
      yield* committedIs(n + 1)
      yield* first.stop
      const { incarnation } = yield* EventLog
      const stored = (yield* committed) ?? assert.fail("no commit")
      const isOpen = n < 8
      assert.strictEqual(finishedAbove(stored, incarnation).oldest, isOpen ? 0 : undefined)
      yield* append(events, ...story.slice(n + 1))
      // The window of ids does not reach back so far.
      yield* startWith({ repeats: { ...eventConsumerLimits.repeats, dedupe_records: 1 } })
      yield* committedIs(10)
      assert.deepStrictEqual(yield* texts(results, 4), storyItems)
      assert.deepStrictEqual(yield* texts(tasks, 4), storyNotes)
    }).pipe(inTestEnvironment({ limits: { chunk_records: 1 } })),
  )

  it.live.each(["results", "tasks"] as const)(
    "a crash between the two topics of a batch, where only %s has it, writes the same again, and nothing else",
    (written) =>
      Effect.gen(function* () {
        const topics = yield* Topics
        const hooks = yield* Hooks
        hooks.publishing = (topic) =>
          topic !== topics.events && topic !== topics[written] ? Effect.never : Effect.void
        const first = yield* startWith({ shutdown_timeout_ms: 0 })
        yield* append(topics.events, ...story)
        yield* hasRecords(topics[written], 4)
        yield* settle
        assert.isUndefined(yield* committed)
        yield* first.stop
        hooks.publishing = () => Effect.void
        yield* startWith()
        yield* committedIs(10)
        const twice = yield* texts(topics[written], 8)
        assert.deepStrictEqual(twice.slice(4), twice.slice(0, 4))
        assert.deepStrictEqual(distinct(yield* texts(topics.results, 4)), storyItems)
        assert.deepStrictEqual(distinct(yield* texts(topics.tasks, 4)), storyNotes)
      }).pipe(inTestEnvironment()),
  )

  it.live(
    "what is finished above the commit counts for the ledger of the next owner, and nothing leaves for it again",
    () =>
      Effect.gen(function* () {
        const { events, results, tasks } = yield* Topics
        const { incarnation } = yield* EventLog
        const never = yield* Deferred.make<void>()
        const open = yield* Deferred.make<void>()
        yield* Deferred.succeed(open, undefined)
        const first = yield* startWith({ shutdown_timeout_ms: 0 }, waiting(never))
        yield* append(events, event("b", "e0", "waits", 0), event("a", "e1", "draw", 1))
        yield* append(events, of("a", 1).begin("w1.1"), of("a", 1).part("w1.1", 0, 0))
        yield* eventually(
          "all that is finished is committed",
          Effect.map(committed, (is) => is !== undefined && finishedAbove(is, incarnation).count === 3),
        )
        yield* first.stop
        yield* append(events, of("a", 1).part("w1.1", 1, 1), of("a", 1).end("w1.1", 2))
        yield* startWith({}, waiting(open))
        yield* committedIs(6)
        assert.strictEqual((yield* committed)?.metadata, "")
        assert.lengthOf(yield* contents(results), 4)
        assert.lengthOf(yield* contents(tasks), 5)
      }).pipe(inTestEnvironment()),
  )

  it.live("a new owner takes no repeat before its commit for a task, however far back the first one lies", () =>
    Effect.gen(function* () {
      const { events, results, tasks } = yield* Topics
      const limits = { repeats: { ...eventConsumerLimits.repeats, dedupe_records: 4 } }
      const first = yield* startWith(limits)
      const [e0, e1] = [event("a", "e0", "ask", 0), event("a", "e1", "ask", 1)]
      yield* append(events, e0, of("a", 0).stop("operator"), e1, e0)
      yield* committedIs(4)
      yield* first.stop
      // 2 is the oldest that is open; 3 is a repeat of what lies before it.
      yield* append(events, of("a", 3).begin("w1.1"))
      yield* startWith(limits)
      yield* committedIs(5)
      assert.deepStrictEqual((yield* texts(tasks, 4)).at(-1), `{"task":3,"is":"ended"}`)
      assert.lengthOf(yield* contents(results), 2)
    }).pipe(inTestEnvironment()),
  )

  it.live("an event that was answered before its name became a task is none", () =>
    Effect.gen(function* () {
      const { events, results, tasks } = yield* Topics
      const first = yield* startWith({}, Handlers.layer(Handlers.samples))
      yield* append(events, event("a", "e1", "ask", 1))
      yield* committedIs(1)
      yield* first.stop
      yield* startWith({ measure_every_ms: 1, ...limitsOf({ task_ttl_ms: 1 }) })
      yield* append(events, of("a", 0).begin("w1.1"), message("a", "m1", "hello"))
      yield* committedIs(3)
      assert.deepStrictEqual(yield* texts(tasks, 1), [`{"task":0,"is":"ended"}`])
      assert.lengthOf(yield* contents(results), 2)
      assert.lengthOf(yield* contents(events), 3)
    }).pipe(inTestEnvironment()),
  )

  it.live("the journey of an event goes on in what is handed to the workers", () =>
    Effect.gen(function* () {
      const { events, results, tasks } = yield* Topics
      yield* startWith()
      const accepted = { time: 1, service: "gateway", instance: "g", step: "accepted" } as const
      const headers = Journey.sample(accepted)
      yield* append(events, { ...event("a", "e1", "ask", 1), headers })
      const [note] = yield* hasRecords(tasks, 1)
      const steps = Journey.steps(note?.headers)
      assert.deepStrictEqual(
        steps.map(({ details, step }) => [step, details?.["rule"]]),
        [
          ["accepted", undefined],
          ["logged", Journey.rules.logged],
          ["handled", Journey.rules.opened],
        ],
      )
      yield* append(events, of("a", 0).begin("w1.1"), { ...of("a", 0).part("w1.1", 0, 1), headers: note?.headers })
      const [part] = yield* hasRecords(results, 1)
      assert.deepStrictEqual(
        Journey.steps(part?.headers).map(({ step }) => step),
        ["accepted", "logged", "handled", "logged", "handled"],
      )
    }).pipe(inTestEnvironment()),
  )
})
