import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Metric, Schema } from "effect"
import { handlerLimits } from "@nimbus/domain/limits"
import { finishedAbove, Journey, peekSeq, type Result, Slots } from "@nimbus/domain/protocol"
import { EventLog, Handlers, type PlacedEvent, Topics } from "@nimbus/domain/services"
import * as EventConsumer from "./EventConsumer.ts"
import { type EventConsumerLimits, eventConsumerLimits } from "./Limits.ts"
import * as Quarantine from "./Quarantine.ts"
import {
  append,
  assign,
  barrier,
  contents,
  counts,
  down,
  event,
  eventually,
  gauges,
  hasRecords,
  Hooks,
  message,
  inTestEnvironment,
  raw,
  settle,
  start,
  summary,
  textOf,
} from "./testing/TestEnvironment.ts"
import { quickLimits } from "./testing/Limits.ts"

const json = { input: Schema.Json, output: Schema.Json }
const broken = Handlers.make("broken", {
  ...json,
  handler: () => Effect.fail("no luck"),
})
const buggy = Handlers.make("buggy", {
  input: Schema.Json,
  output: Schema.Json,
  handler: () => {
    throw new Error("a bug")
  },
})
const hanging = Handlers.make("hanging", { input: Schema.Json, output: Schema.Json, handler: () => Effect.never })
const slow = Handlers.make("slow", {
  input: Schema.Json,
  output: Schema.Json,
  handler: (data) => Effect.as(Effect.sleep(10), data),
})
const [sq, echo] = Handlers.samples
const handlers = Handlers.layer([sq, echo, broken, buggy, slow])
const impatient = Handlers.layer([sq, echo, broken, buggy, hanging], {
  ...handlerLimits,
  handler_timeout_ms: 50,
})

/** With a handler that ends when this is done. */
const waiting = (open: Deferred.Deferred<void>) => {
  const waits = Handlers.make("waits", {
    input: Schema.Json,
    output: Schema.Json,
    handler: (data) => Effect.as(Deferred.await(open), data),
  })
  return Handlers.layer([sq, echo, slow, waits])
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

const startWith = (limits: Partial<EventConsumerLimits> = {}, application: Layer.Layer<Handlers, unknown> = handlers) =>
  start(EventConsumer.layerWith({ ...quickLimits, ...limits }).pipe(Layer.provide(application)))

const square = (clientId: string, id: string, number: number) => event(clientId, id, "sq", { number })

const results = Effect.fnUntraced(function* (n: number) {
  return (yield* hasRecords((yield* Topics).results, n)).map(summary)
})

const committed = Effect.gen(function* () {
  return yield* (yield* EventLog).committed((yield* Topics).events, "nimbus-event-consumer", 0)
})
const committedIs = (next: number) =>
  eventually(
    `a commit of ${next}`,
    Effect.map(committed, (is) => is?.next === next),
  )

describe("EventConsumer", () => {
  it.live("tells with a result when its event was accepted and handled, and what it was, of events that say when", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      const created_at = "2026-01-01T00:00:00.000Z"
      const said = (id: string) => `{"type":"event","id":"${id}","name":"slow","data":{"n": 12345678901234567890}`
      const from_ms = Date.now()
      yield* append(
        events,
        raw("a", `${said("e1")},"accepted":{"created_at":"${created_at}"}}`),
        raw("a", `${said("e2")}}`),
      )
      const [told, untold] = (yield* hasRecords(topic, 2)).map(textOf)
      const answer = (id: string) => `"id":"${id}","name":"slow","data":{"n"`
      assert.strictEqual(untold, `{"seq":1,${answer("e2")}:12345678901234567000}}`)
      const times = `"created_at":"${created_at}","completed_at":"([^"]+)"`
      const pattern = `^{"seq":0,${answer("e1")}: 12345678901234567890},"accepted":{${times},"data":{"n": 12345678901234567890}}}$`
      const completed_at = new RegExp(pattern).exec(told ?? "")?.[1] ?? assert.fail(told)
      // The handler takes 10 ms of each event.
      assert.isAtLeast(Date.parse(completed_at), from_ms + 10)
      assert.strictEqual(new Date(completed_at).toISOString(), completed_at)
    }).pipe(inTestEnvironment()),
  )

  it.live("answers events in their order, with the offset of each as its seq", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      yield* append(events, square("a", "e1", 7), square("b", "e2", 8))
      yield* append(events, square("a", "e3", 9))
      assert.deepStrictEqual(yield* results(3), [
        { seq: 0, id: "e1", says: { number: 7, result: 49 } },
        { seq: 1, id: "e2", says: { number: 8, result: 64 } },
        { seq: 2, id: "e3", says: { number: 9, result: 81 } },
      ])
      assert.deepStrictEqual(
        (yield* contents(topic)).map(({ key }) => key),
        ["a", "b", "a"],
      )
      yield* committedIs(3)
    }).pipe(inTestEnvironment()),
  )

  it.live("messages and barriers wait for what stands before them of their own client, and for nobody else", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      yield* append(
        events,
        event("a", "e1", "slow", 1),
        message("a", "m1", "hello"),
        barrier("a", 5),
        message("b", "m2", "hello"),
        barrier("b", 6),
      )
      assert.deepStrictEqual((yield* hasRecords(topic, 5)).map(textOf), [
        `{"seq":3,"id":"m2","name":"news","data":"hello"}`,
        `{"seq":4,"barrier":{"epoch":6,"pod":"pod-1","number":1}}`,
        `{"seq":0,"id":"e1","name":"slow","data":1}`,
        `{"seq":1,"id":"m1","name":"news","data":"hello"}`,
        `{"seq":2,"barrier":{"epoch":5,"pod":"pod-1","number":1}}`,
      ])
      yield* committedIs(5)
    }).pipe(inTestEnvironment()),
  )

  it.live("a handler that takes long holds up its own client alone, and the commit, which says what is finished", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const open = yield* Deferred.make<void>()
      yield* startWith({}, waiting(open))
      yield* append(events, square("b", "e0", 0), event("a", "e1", "waits", 1), square("a", "e2", 2))
      for (let i = 3; i < 100; i++) yield* append(events, square(`c${i}`, `e${i}`, i))
      assert.deepStrictEqual(
        (yield* results(98)).map(({ seq }) => seq).toSorted((a, b) => a - b),
        [0, ...Array.from({ length: 97 }, (_, i) => i + 3)],
      )
      const { incarnation } = yield* EventLog
      yield* eventually(
        "all that is finished is committed",
        Effect.map(committed, (is) => is?.next === 1 && finishedAbove(is, incarnation).count === 97),
      )
      yield* Deferred.succeed(open, undefined)
      yield* committedIs(100)
      assert.deepStrictEqual(
        (yield* contents(topic)).slice(98).map((record) => summary(record).seq),
        [1, 2],
      )
    }).pipe(inTestEnvironment()),
  )

  it.live(
    "says with the commit whose handler holds it back, where nothing else is finished either, and measures it",
    () =>
      Effect.gen(function* () {
        const { events } = yield* Topics
        const { incarnation } = yield* EventLog
        const open = yield* Deferred.make<void>()
        yield* startWith({ measure_every_ms: 1 }, waiting(open))
        const from_ms = Date.now()
        yield* append(events, square("b", "e0", 0), event("a", "e1", "waits", 1), event("a", "e2", "waits", 2))
        const held = Effect.map(committed, (is) => (is === undefined ? undefined : finishedAbove(is, incarnation).held))
        yield* eventually(
          "it says who",
          Effect.map(held, (who) => who?.clientId === "a"),
        )
        assert.strictEqual((yield* held)?.name, "waits")
        assert.isAtLeast((yield* held)?.since_ms ?? 0, from_ms)
        yield* eventually(
          "both are unfinished, and the first grows old",
          Effect.map(
            gauges,
            (now) => now["nimbus_events_unfinished 0"] === 2 && Number(now["nimbus_events_oldest_seconds 0"]) > 0,
          ),
        )
        yield* Deferred.succeed(open, undefined)
        yield* committedIs(3)
        yield* eventually(
          "nothing is unfinished",
          Effect.map(
            gauges,
            (now) => now["nimbus_events_unfinished 0"] === 0 && now["nimbus_events_oldest_seconds 0"] === 0,
          ),
        )
        assert.isUndefined(yield* held)
      }).pipe(inTestEnvironment()),
  )

  it.live("one client's turn to be read again takes nothing from another that has no room", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const order = { ...eventConsumerLimits.order, client_records: 1 }
      const open = yield* Deferred.make<void>()
      yield* startWith({ order }, waiting(open))
      yield* append(
        events,
        event("a", "e", "waits", 0),
        ...range(0, 20).map((i) => event(i % 2 === 0 ? "a" : "b", `e${i}`, "slow", i)),
      )
      yield* eventually(
        "all of one is written",
        Effect.map(contents(topic), (all) => all.length === 10),
      )
      yield* Deferred.succeed(open, undefined)
      yield* committedIs(21)
      assert.lengthOf(yield* contents(topic), 21)
      assert.isUndefined((yield* counts)["nimbus_events_lost_total "])
    }).pipe(inTestEnvironment({ limits: { chunk_records: 3 } })),
  )

  it.live("a new owner handles nothing that was finished above the commit, of ten thousand not one", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const { incarnation } = yield* EventLog
      const count = 10_000
      const never = yield* Deferred.make<void>()
      const open = yield* Deferred.make<void>()
      yield* Deferred.succeed(open, undefined)
      const first = yield* startWith({ shutdown_timeout_ms: 0 }, waiting(never))
      yield* append(
        events,
        event("a", "e0", "waits", 0),
        ...range(1, count + 1).map((i) => square(`c${i % 100}`, `e${i}`, 2)),
      )
      yield* eventually(
        "all that is finished is committed",
        Effect.map(committed, (is) => is !== undefined && finishedAbove(is, incarnation).count === count),
      )
      yield* first.stop
      yield* startWith({}, waiting(open))
      yield* committedIs(count + 1)
      assert.deepStrictEqual((yield* committed)?.metadata, "")
      assert.deepStrictEqual(
        (yield* contents(topic)).slice(count).map((record) => summary(record).seq),
        [0],
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("of a client with much waiting it keeps the offsets, and reads it again in its turn", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const order = { ...eventConsumerLimits.order, client_records: 4 }
      const open = yield* Deferred.make<void>()
      yield* startWith({ order }, waiting(open))
      yield* append(
        events,
        ...range(0, 100).map((i) =>
          i % 10 === 9 ? barrier("a", i) : event("a", `e${i}`, i === 0 ? "waits" : "slow", i),
        ),
      )
      yield* append(events, square("b", "e100", 1))
      const [first] = yield* hasRecords(topic, 1)
      assert.strictEqual(first === undefined ? 0 : summary(first).seq, 100)
      yield* Deferred.succeed(open, undefined)
      yield* committedIs(101)
      assert.deepStrictEqual(
        (yield* contents(topic)).slice(1).map(({ value }) => Number(peekSeq(value))),
        range(0, 100),
      )
    }).pipe(inTestEnvironment({ limits: { chunk_records: 7 } })),
  )

  it.live("an id that its client has used before is a repeat: no handler runs, and a notice leaves in its place", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const open = yield* Deferred.make<void>()
      yield* startWith({}, waiting(open))
      yield* append(
        events,
        event("a", "e1", "waits", 1),
        message("a", "m1", "hello"),
        event("a", "e1", "sq", { number: 7 }),
        message("a", "m1", "hello again"),
        event("b", "e1", "waits", 2),
        message("a", "e1", "of another kind"),
        event("a", "e1", "nobody's", 3),
      )
      yield* Deferred.succeed(open, undefined)
      const texts = (yield* hasRecords(topic, 7)).map(textOf)
      assert.deepStrictEqual(
        texts.filter((text) => !text.startsWith(`{"seq":4,`)),
        [
          `{"seq":0,"id":"e1","name":"waits","data":1}`,
          `{"seq":1,"id":"m1","name":"news","data":"hello"}`,
          `{"seq":2,"id":"e1","name":"sq","data":null,"repeated":0}`,
          `{"seq":3,"id":"m1","name":"news","data":null,"repeated":1}`,
          `{"seq":5,"id":"e1","name":"news","data":"of another kind"}`,
          `{"seq":6,"id":"e1","name":"nobody's","data":null,"repeated":0}`,
        ],
      )
      assert.include(texts, `{"seq":4,"id":"e1","name":"waits","data":2}`)
      assert.strictEqual((yield* counts)["nimbus_events_repeated_total "], 3)
    }).pipe(inTestEnvironment()),
  )

  it.live("a repeat of an event of NimbusWS says when it was accepted, as its first did", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      const said = `{"type":"event","id":"e1","name":"event","data":7,"accepted":{"created_at":"2026-01-01T00:00:00.000Z"}}`
      yield* append(events, raw("a", said), raw("a", said))
      const [, repeat] = (yield* hasRecords(topic, 2)).map(textOf)
      const head = `{"seq":1,"id":"e1","name":"event","data":null,"repeated":0,"accepted":{"created_at":"2026-01-01T00:00:00.000Z"`
      assert.strictEqual(repeat?.slice(0, head.length), head)
    }).pipe(inTestEnvironment()),
  )

  it.live("a new owner knows the ids that were used before its commit, and above it, and no older ones", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const limits = { repeats: { ...eventConsumerLimits.repeats, dedupe_records: 4 } }
      const never = yield* Deferred.make<void>()
      const open = yield* Deferred.make<void>()
      yield* Deferred.succeed(open, undefined)
      const first = yield* startWith({ ...limits, shutdown_timeout_ms: 0 }, waiting(never))
      yield* append(
        events,
        square("a", "e0", 0),
        square("a", "e1", 1),
        square("a", "e2", 2),
        event("b", "e3", "waits", 3),
        square("a", "e4", 4),
      )
      yield* eventually(
        "all that is finished is committed",
        Effect.map(committed, (is) => is?.next === 3 && is.metadata !== ""),
      )
      yield* first.stop
      // 2 lies before the commit, and 4 above it; 1 is too far back for 7.
      yield* append(events, square("a", "e2", 2), square("a", "e4", 4), square("a", "e1", 1))
      yield* startWith(limits, waiting(open))
      yield* committedIs(8)
      const repeats = (yield* contents(topic)).map(textOf).filter((text) => text.includes("repeated"))
      assert.deepStrictEqual(repeats, [
        `{"seq":5,"id":"e2","name":"sq","data":null,"repeated":2}`,
        `{"seq":6,"id":"e4","name":"sq","data":null,"repeated":4}`,
      ])
    }).pipe(inTestEnvironment({ limits: { chunk_records: 2 } })),
  )

  const wherever = [1, 4, 100_000].flatMap((dedupe_records) =>
    [0, 2, 4].flatMap((earliest) => [0, 3, 5].map((commit) => ({ dedupe_records, earliest, commit }))),
  )
  it.live.each(wherever)(
    "an owner that begins at $commit, without metadata, finds what the log from $earliest on says, $dedupe_records back",
    ({ commit, dedupe_records, earliest }) =>
      Effect.gen(function* () {
        const { events, results: topic } = yield* Topics
        const ids = ["e0", "e1", "e0", "e2", "e1", "e0", "e3", "e0"]
        yield* append(events, ...ids.map((id, i) => square("a", id, i)))
        const hooks = yield* Hooks
        hooks.tailFrom = earliest
        const { commits } = yield* assign(events, commit)
        yield* startWith({ repeats: { ...eventConsumerLimits.repeats, dedupe_records } })
        yield* eventually("all is committed", () => commits.includes(ids.length))
        const from = Math.max(commit, earliest)
        const expected = ids.map((id, at) => {
          const first = ids.findIndex((other, i) => other === id && i >= earliest && i > at - dedupe_records)
          return `${at}: ${first === at ? undefined : first}`
        })
        const found = (yield* contents(topic)).map(
          (record) => `${peekSeq(record.value)}: ${/"repeated":(\d+)/.exec(textOf(record))?.[1]}`,
        )
        assert.deepStrictEqual(found, expected.slice(from))
      }).pipe(inTestEnvironment({ limits: { chunk_records: 2 } })),
  )

  it.live("a repeat of which only the offset was kept is one when it is read again, and bounds what is read", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const open = yield* Deferred.make<void>()
      const order = { ...eventConsumerLimits.order, client_records: 1 }
      const repeats = { ...eventConsumerLimits.repeats, spilled_repeats: 2 }
      yield* startWith({ order, repeats }, waiting(open))
      for (const i of range(0, 20)) {
        yield* append(events, event("a", `e${i % 4}`, i === 0 ? "waits" : "slow", i))
      }
      yield* eventually(
        "it reads no more than so many repeats",
        Effect.map(counts, (now) => now["nimbus_pipeline_records_in_total event-consumer"] === 6),
      )
      yield* Deferred.succeed(open, undefined)
      yield* committedIs(20)
      assert.deepStrictEqual(
        (yield* contents(topic)).map((record) => /"repeated":(\d+)/.exec(textOf(record))?.[1]),
        range(0, 20).map((i) => (i < 4 ? undefined : String(i % 4))),
      )
    }).pipe(inTestEnvironment({ limits: { chunk_records: 1 } })),
  )

  it.live("what retention has removed before its turn came is lost, and counted, and holds up nothing", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const hooks = yield* Hooks
      const order = { ...eventConsumerLimits.order, client_records: 1 }
      const open = yield* Deferred.make<void>()
      yield* startWith({ order }, waiting(open))
      for (const i of range(0, 10)) yield* append(events, event("a", `e${i}`, "waits", i))
      yield* eventually(
        "all are read",
        Effect.map(counts, (now) => now["nimbus_pipeline_records_in_total event-consumer"] === 10),
      )
      hooks.tailFrom = 6
      yield* Deferred.succeed(open, undefined)
      yield* committedIs(10)
      assert.deepStrictEqual(
        (yield* contents(topic)).map(({ value }) => Number(peekSeq(value))),
        [0, 1, 6, 7, 8, 9],
      )
      assert.strictEqual((yield* counts)["nimbus_events_lost_total "], 4)
    }).pipe(inTestEnvironment({ limits: { chunk_records: 1 } })),
  )

  it.live("answers what can't be handled with an error, in order, and goes on", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      yield* startWith({}, impatient)
      yield* append(
        events,
        event("a", "e1", "nobody", {}),
        event("a", "e2", "sq", { number: "seven" }),
        event("b", "e3", "broken", {}),
        event("a", "e4", "buggy", {}),
        event("b", "e5", "hanging", {}),
        square("a", "e6", 2),
      )
      const bySeq = (yield* results(6)).toSorted((a, b) => a.seq - b.seq)
      assert.deepStrictEqual(bySeq, [
        { seq: 0, id: "e1", says: "UNKNOWN_EVENT" },
        { seq: 1, id: "e2", says: "BAD_INPUT" },
        { seq: 2, id: "e3", says: "HANDLER_FAILED" },
        { seq: 3, id: "e4", says: "HANDLER_FAILED" },
        { seq: 4, id: "e5", says: "HANDLER_TIMEOUT" },
        { seq: 5, id: "e6", says: { number: 2, result: 4 } },
      ])
      const now = yield* counts
      assert.strictEqual(now["nimbus_handler_failures_total broken HANDLER_FAILED"], 1)
      assert.strictEqual(now["nimbus_handler_failures_total buggy HANDLER_FAILED"], 1)
      assert.strictEqual(now["nimbus_handler_failures_total unknown UNKNOWN_EVENT"], 1)
    }).pipe(inTestEnvironment()),
  )

  it.live("runs as many of a name at once as it may, and events of other names meanwhile", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      const open = yield* Deferred.make<void>()
      const few = Handlers.make("few", { ...json, handler: (n) => Effect.as(Deferred.await(open), n), at_once: 2 })
      yield* startWith({}, Handlers.layer([few, ...Handlers.samples]))
      for (const [i, clientId] of ["a", "b", "c", "d"].entries())
        yield* append(events, event(clientId, `e${i}`, "few", i))
      yield* append(events, square("e", "e4", 2), square("d", "e5", 3))
      assert.deepStrictEqual(yield* results(1), [{ seq: 4, id: "e4", says: { number: 2, result: 4 } }])
      yield* eventually(
        "two run",
        Effect.map(gauges, (now) => now["nimbus_handlers_running few"] === 2),
      )
      yield* Deferred.succeed(open, undefined)
      const all = (yield* results(6)).map(({ id }) => id)
      assert.sameMembers(all, ["e0", "e1", "e2", "e3", "e4", "e5"])
      assert.isBelow(all.indexOf("e3"), all.indexOf("e5"))
      assert.strictEqual((yield* gauges)["nimbus_handlers_running few"], 0)
    }).pipe(inTestEnvironment()),
  )

  it.live("a consumer that ends leaves the slots of its handlers to the next one in its process", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      const few = Handlers.make("few", { ...json, handler: () => Effect.never, at_once: 1 })
      const services = yield* Layer.build(Handlers.layer([few]))
      const { slots } = Context.get(services, Handlers)
      const running = yield* startWith({ shutdown_timeout_ms: 10 }, Layer.succeedContext(services))
      yield* append(events, event("a", "e1", "few", 1))
      yield* eventually(
        "it runs",
        Effect.sync(() => slots.takenBy("few") === 1),
      )
      yield* running.stop
      assert.strictEqual(slots.takenBy("few"), 0)
      assert.strictEqual((yield* gauges)["nimbus_handlers_running few"], 0)
    }).pipe(inTestEnvironment()),
  )

  it.live(
    "an event that nobody knows waits, holds up its own client alone, and is handled by the next owner that knows it",
    () =>
      Effect.gen(function* () {
        const { events } = yield* Topics
        const unknown_event_wait_ms = 3_600_000
        const first = yield* startWith({ measure_every_ms: 5, unknown_event_wait_ms }, Handlers.layer(Handlers.samples))
        yield* append(events, event("a", "e1", "new", 7), square("a", "e2", 2), square("b", "e3", 3))
        assert.deepStrictEqual(yield* results(1), [{ seq: 2, id: "e3", says: { number: 3, result: 9 } }])
        yield* first.stop
        assert.lengthOf(yield* contents((yield* Topics).results), 1)
        const added = Handlers.make("new", { ...json, handler: Effect.succeed })
        yield* startWith({ unknown_event_wait_ms }, Handlers.layer([added, ...Handlers.samples]))
        assert.deepStrictEqual((yield* results(3)).slice(1), [
          { seq: 0, id: "e1", says: 7 },
          { seq: 1, id: "e2", says: { number: 2, result: 4 } },
        ])
      }).pipe(inTestEnvironment()),
  )

  it.live(
    "an event that nobody knows is answered once it has waited for its time since the log got it, not before",
    () =>
      Effect.gen(function* () {
        const { events, results: topic } = yield* Topics
        const wait_ms = 100
        yield* startWith({ measure_every_ms: 5, unknown_event_wait_ms: wait_ms }, Handlers.layer(Handlers.samples))
        yield* append(events, event("a", "e1", "new", 7), square("a", "e2", 2))
        assert.deepStrictEqual(yield* results(2), [
          { seq: 0, id: "e1", says: "UNKNOWN_EVENT" },
          { seq: 1, id: "e2", says: { number: 2, result: 4 } },
        ])
        const [asked] = yield* contents(events)
        const [answered] = yield* contents(topic)
        assert.isAtLeast((answered?.timestamp ?? 0) - (asked?.timestamp ?? 0), wait_ms)
      }).pipe(inTestEnvironment()),
  )

  it.live("measures its handlers by the names that are declared, and all others as one", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      yield* startWith({})
      yield* append(
        events,
        square("a", "e1", 2),
        event("a", "e2", "slow", 1),
        event("b", "e3", "x", 1),
        event("b", "e4", "y", 1),
      )
      yield* results(4)
      const measured = (yield* Metric.snapshot).flatMap(({ attributes, id, state, type }) =>
        type === "Histogram" && id.startsWith("nimbus_handler_")
          ? [`${id} ${attributes?.["handler"]} ${state.count}`]
          : [],
      )
      assert.sameMembers(
        measured,
        ["sq 1", "slow 1", "unknown 2"].flatMap((of) => [
          `nimbus_handler_seconds ${of}`,
          `nimbus_handler_wait_seconds ${of}`,
        ]),
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("whatever happens while one event is handled is its result, and the ones after it are handled once", () => {
    // Handlers of one's own, which promise to answer and do not.
    const result = (data: Schema.Json, { event, seq }: PlacedEvent) => ({ seq, id: event.id, name: event.name, data })
    const circular: Array<Schema.Json> = []
    circular.push(circular)
    const said: Record<string, (placed: PlacedEvent) => Effect.Effect<Result>> = {
      throws: () => {
        throw new Error("a bug")
      },
      dies: () => Effect.die("a bug"),
      "dies later": () => Effect.andThen(Effect.sleep(1), Effect.die("a bug")),
      "interrupts itself": () => Effect.andThen(Effect.sleep(1), Effect.interrupt),
      "can't be written": (placed) => Exit.succeed(result(circular, placed)),
      "can't be written later": (placed) => Effect.as(Effect.sleep(1), result(circular, placed)),
    }
    const names = Object.keys(said)
    let fine = 0
    const careless = Layer.succeed(Handlers, {
      at_once: 2,
      knows: (name) => name in said,
      limitOf: () => undefined,
      slots: new Slots(Infinity, () => Infinity),
      tasks: new Map(),
      handle: (placed) => said[placed.event.name]?.(placed) ?? Effect.sync(() => result(++fine, placed)),
    })
    return Effect.gen(function* () {
      const { events } = yield* Topics
      yield* startWith({}, careless)
      for (const [i, name] of names.entries()) yield* append(events, event("a", `e${i}`, name, {}))
      yield* append(events, event("a", "last", "fine", {}), event("b", "other", "fine", {}))
      const found = new Map((yield* results(names.length + 2)).map(({ id, says }) => [id, says]))
      for (const i of names.keys()) assert.strictEqual(found.get(`e${i}`), "HANDLER_FAILED", names[i])
      assert.sameMembers([found.get("last"), found.get("other")], [1, 2])
      yield* committedIs(names.length + 2)
      assert.isUndefined((yield* counts)["nimbus_pipeline_restarts_total event-consumer"])
    }).pipe(inTestEnvironment())
  })

  it.live("quarantines what can be read and not be passed on, and goes on", () =>
    Effect.gen(function* () {
      const { events, quarantine } = yield* Topics
      const nested = `${"[".repeat(50_000)}${"]".repeat(50_000)}`
      yield* startWith()
      yield* append(
        events,
        raw("a", `{"type":"message","id":"m1","name":"news","data":${nested}}`),
        square("a", "e1", 2),
      )
      const [kept] = yield* hasRecords(quarantine, 1)
      assert.match(kept?.headers?.[Quarantine.headers.reason] ?? "", /^it can't be passed on: /)
      assert.deepStrictEqual(yield* results(1), [{ seq: 1, id: "e1", says: { number: 2, result: 4 } }])
      yield* committedIs(2)
    }).pipe(inTestEnvironment()),
  )

  it.live("a result that the topics do not take is an error for its client, and the next ones go on", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      const hooks = yield* Hooks
      hooks.publish_bytes = 16 * 1024 + 500
      yield* startWith()
      yield* append(events, message("c", "m1", "x".repeat(1_000)), message("c", "m2", "short"))
      assert.deepStrictEqual(yield* results(2), [
        { seq: 0, id: "m1", says: "RESULT_TOO_BIG" },
        { seq: 1, id: "m2", says: "short" },
      ])
    }).pipe(inTestEnvironment()),
  )

  it.live("keeps as much of a record in quarantine as fits there, and where all of it is", () =>
    Effect.gen(function* () {
      const { events, quarantine } = yield* Topics
      const hooks = yield* Hooks
      hooks.publish_bytes = 3_000
      yield* startWith()
      yield* append(events, raw("c", "x".repeat(5_000)))
      const [kept] = yield* hasRecords(quarantine, 1)
      assert.match(textOf(kept), /^x{500,3000}$/)
      assert.strictEqual(kept?.headers?.[Quarantine.headers.offset], "0")
    }).pipe(inTestEnvironment()),
  )

  it.live("quarantines what can't be decoded as it is, before anything after it is committed", () =>
    Effect.gen(function* () {
      const { events, quarantine } = yield* Topics
      const hooks = yield* Hooks
      const open = yield* Deferred.make<void>()
      hooks.publishing = (topic) => (topic === quarantine ? Deferred.await(open) : Effect.void)
      yield* startWith()
      yield* append(
        events,
        square("a", "e1", 1),
        raw("a", `{"type":"event"`),
        raw("no id!", `{}`),
        square("a", "e2", 2),
      )
      yield* committedIs(1)
      yield* settle
      assert.strictEqual((yield* committed)?.next, 1)
      yield* Deferred.succeed(open, undefined)
      const [cut, keyless] = yield* hasRecords(quarantine, 2)
      assert.strictEqual(textOf(cut), `{"type":"event"`)
      assert.strictEqual(keyless?.headers?.[Quarantine.headers.reason], "the key is no client id")
      assert.strictEqual(keyless?.headers?.[Quarantine.headers.topic], events)
      assert.strictEqual(keyless?.headers?.[Quarantine.headers.partition], "0")
      assert.strictEqual(keyless?.headers?.[Quarantine.headers.offset], "2")
      assert.deepStrictEqual(yield* results(2), [
        { seq: 0, id: "e1", says: { number: 1, result: 1 } },
        { seq: 3, id: "e2", says: { number: 2, result: 4 } },
      ])
      yield* committedIs(4)
    }).pipe(inTestEnvironment()),
  )

  it.live("commits past a chunk of which nothing comes", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      yield* append(events, raw("a", "x"))
      yield* committedIs(1)
      assert.lengthOf(yield* contents(topic), 0)
    }).pipe(inTestEnvironment()),
  )

  it.live("has one produce under way, and reads no more than its bound ahead of it", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const hooks = yield* Hooks
      const open = yield* Deferred.make<void>()
      let produces = 0
      let read = 0
      hooks.publishing = (to) =>
        to === topic
          ? Effect.andThen(
              Effect.sync(() => void produces++),
              Deferred.await(open),
            )
          : Effect.void
      hooks.read = (from) => Effect.sync(() => void (from === events && read++))
      for (let i = 0; i < 10; i++) yield* append(events, square("a", `e${i}`, i))
      yield* startWith({ order: { ...eventConsumerLimits.order, partition_records: 4 } })
      yield* eventually("as much as may be is read", () => read === 4)
      yield* settle
      assert.strictEqual(read, 4)
      assert.strictEqual(produces, 1)
      assert.isUndefined(yield* committed)
      yield* Deferred.succeed(open, undefined)
      assert.deepStrictEqual(
        (yield* results(10)).map(({ seq }) => seq),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      )
      yield* committedIs(10)
    }).pipe(inTestEnvironment({ limits: { chunk_records: 1 } })),
  )

  it.live("writes again what the log did not take, in order", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const hooks = yield* Hooks
      let attempts = 0
      hooks.publishing = (to) => (to === topic && ++attempts % 3 !== 0 ? Effect.fail(down(to)) : Effect.void)
      yield* startWith({ chunk: { chunk_records: 2, chunk_bytes: 10_000 } })
      yield* append(events, ...[0, 1, 2, 3, 4].map((i) => square("a", `e${i}`, i)))
      assert.deepStrictEqual(
        (yield* results(5)).map(({ seq }) => seq),
        [0, 1, 2, 3, 4],
      )
      assert.strictEqual(attempts, 9)
    }).pipe(inTestEnvironment()),
  )

  it.live("after a crash it repeats what was not committed, and every repeat has the seq it had", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const hooks = yield* Hooks
      const appended = yield* Deferred.make<void>()
      // Appended, but the answer never comes: the worst moment to crash.
      hooks.published = (to) =>
        to === topic ? Effect.andThen(Deferred.succeed(appended, undefined), Effect.never) : Effect.void
      const first = yield* startWith({ shutdown_timeout_ms: 0 })
      yield* append(events, square("a", "e1", 1), square("a", "e2", 2))
      yield* Deferred.await(appended)
      yield* first.stop
      assert.isUndefined(yield* committed)
      hooks.published = () => Effect.void
      yield* startWith()
      yield* append(events, square("a", "e3", 3))
      yield* committedIs(3)
      assert.deepStrictEqual(
        (yield* results(5)).map(({ id, seq }) => `${id} ${seq}`),
        ["e1 0", "e2 1", "e1 0", "e2 1", "e3 2"],
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("starts again after a failed read behind what it has written", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      const hooks = yield* Hooks
      let failures = 0
      hooks.read = (topic, chunk) =>
        topic === events && chunk.next > 1 && failures < 3
          ? Effect.andThen(
              Effect.sync(() => void failures++),
              Effect.fail(down(topic)),
            )
          : Effect.void
      yield* startWith()
      yield* append(events, square("a", "e1", 1))
      yield* committedIs(1)
      yield* append(events, square("a", "e2", 2))
      yield* committedIs(2)
      assert.deepStrictEqual(
        (yield* results(2)).map(({ seq }) => seq),
        [0, 1],
      )
      assert.strictEqual(failures, 3)
    }).pipe(inTestEnvironment()),
  )

  it.live("a revoked partition stops at once, and begins at the commit when it comes back", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const hooks = yield* Hooks
      const begun = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      hooks.publishing = (to) =>
        to === topic
          ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Deferred.succeed(ended, undefined)),
            )
          : Effect.void
      const before = yield* assign(events, undefined)
      // Nothing is read back.
      yield* startWith({ repeats: { ...eventConsumerLimits.repeats, dedupe_records: 1 } })
      yield* append(events, square("a", "e1", 1), square("a", "e2", 2))
      yield* Deferred.await(begun)
      yield* before.revoke
      yield* Deferred.await(ended)
      hooks.publishing = () => Effect.void
      const after = yield* assign(events, 1)
      yield* eventually("a commit of its own", () => after.commits.includes(2))
      assert.deepStrictEqual(after.positions, [1])
      assert.deepStrictEqual(before.commits, [])
      assert.deepStrictEqual(
        (yield* results(1)).map(({ seq }) => seq),
        [1],
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("stopped, it interrupts the handlers that take longer than it waits, each client's", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const [begun, interrupted] = [new Set<unknown>(), new Set<unknown>()]
      const never = Handlers.make("never", {
        input: Schema.Json,
        output: Schema.Json,
        handler: (data) =>
          Effect.onInterrupt(
            Effect.suspend(() =>
              Effect.andThen(
                Effect.sync(() => begun.add(data)),
                Effect.never,
              ),
            ),
            () => Effect.sync(() => interrupted.add(data)),
          ),
      })
      const role = yield* startWith({ shutdown_timeout_ms: 0 }, Handlers.layer([never]))
      yield* append(events, event("a", "e1", "never", 1), event("b", "e2", "never", 2))
      yield* eventually("both run", () => begun.size === 2)
      yield* role.stop
      assert.deepStrictEqual([...interrupted].toSorted(), [1, 2])
      assert.lengthOf(yield* contents(topic), 0)
    }).pipe(inTestEnvironment()),
  )

  it.live("stopped, it lets the handler that runs finish, starts no other, and commits what it has written", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const hooks = yield* Hooks
      let read = 0
      hooks.read = (from) => Effect.sync(() => void (from === events && read++))
      hooks.publishing = (to) => (to === topic ? Effect.sleep(20) : Effect.void)
      const open = yield* Deferred.make<void>()
      const role = yield* startWith({}, waiting(open))
      yield* append(events, event("a", "e1", "waits", 1), event("a", "e2", "waits", 2))
      yield* eventually("it is read", () => read === 1)
      yield* settle
      const stopped = yield* Effect.forkChild(role.stop, { startImmediately: true })
      yield* settle
      yield* Deferred.succeed(open, undefined)
      yield* Fiber.join(stopped)
      assert.lengthOf(yield* contents(topic), 1)
      assert.strictEqual((yield* committed)?.next, 1)
      yield* append(events, square("a", "e3", 3))
      yield* settle
      assert.lengthOf(yield* contents(topic), 1)
    }).pipe(inTestEnvironment()),
  )

  it.live("adds to the journey of what is sampled when the log had it and where, and its own step", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      const accepted: Journey.JourneyStep = { time: 1, service: "gateway", instance: "pod-1", step: "accepted" }
      yield* append(events, { ...event("a", "e1", "slow", 1), headers: Journey.sample(accepted) }, square("a", "e2", 2))
      const [sampled, other] = yield* hasRecords(topic, 2)
      const [first, logged, handled, ...more] = Journey.steps(sampled?.headers)
      assert.deepStrictEqual(first, accepted)
      const [record] = yield* contents(events)
      assert.deepStrictEqual(logged, {
        time: record?.timestamp ?? -1,
        service: "log",
        instance: (yield* EventLog).incarnation,
        step: "logged",
        details: { rule: Journey.rules.logged, topic: events, partition: "0", offset: "0" },
      })
      assert.deepInclude(handled, { service: "event-consumer", step: "handled" })
      const { took_ms, waited_ms, ...details } = handled?.details ?? {}
      assert.deepStrictEqual(details, { rule: Journey.rules.handled, name: "slow" })
      assert.isAtLeast(Number(took_ms), 9)
      assert.isAtLeast(Number(waited_ms), 0)
      assert.deepStrictEqual(more, [])
      assert.isUndefined(other?.headers)
    }).pipe(inTestEnvironment()),
  )

  it.live("partitions are handled side by side", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const log = yield* EventLog
      const open = yield* Deferred.make<void>()
      yield* startWith({}, waiting(open))
      yield* log.publish(events, 1, [event("d", "e1", "waits", 1)])
      yield* log.publish(events, 0, [square("a", "e2", 2)])
      yield* eventually(
        "the quick one is there",
        Effect.map(log.end(topic, 0), (end) => end === 1),
      )
      assert.strictEqual(yield* log.end(topic, 1), 0)
      yield* Deferred.succeed(open, undefined)
      yield* eventually(
        "the one that waited is there",
        Effect.map(log.end(topic, 1), (end) => end === 1),
      )
    }).pipe(inTestEnvironment({ partitions: 2 })),
  )
})
