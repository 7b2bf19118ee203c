import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Schema } from "effect"
import { EventLog, handlerLimits, Handlers, Journey, Topics } from "@nimbus/domain"
import * as EventConsumer from "./EventConsumer.ts"
import type { EventConsumerLimits } from "./Limits.ts"
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
  hasRecords,
  Hooks,
  message,
  onGround,
  raw,
  settle,
  start,
  summary,
  textOf,
} from "./testing/Ground.ts"
import { quickLimits } from "./testing/Limits.ts"

const broken = Handlers.make("broken", {
  input: Schema.Json,
  output: Schema.Json,
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
const handlers = Handlers.layer([...Handlers.samples, broken, buggy, slow])
const impatient = Handlers.layer([...Handlers.samples, broken, buggy, hanging], {
  ...handlerLimits,
  handler_timeout_ms: 50,
})

const startWith = (limits: Partial<EventConsumerLimits> = {}, application = handlers) =>
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
      const said = `{"type":"event","id":"e1","name":"slow","data":{"n": 12345678901234567890}`
      const from_ms = Date.now()
      yield* append(events, raw("a", `${said},"accepted":{"created_at":"${created_at}"}}`), raw("a", `${said}}`))
      const [told, untold] = (yield* hasRecords(topic, 2)).map(textOf)
      const answer = `"id":"e1","name":"slow","data":{"n"`
      assert.strictEqual(untold, `{"seq":1,${answer}:12345678901234567000}}`)
      const times = `"created_at":"${created_at}","completed_at":"([^"]+)"`
      const pattern = `^{"seq":0,${answer}: 12345678901234567890},"accepted":{${times},"data":{"n": 12345678901234567890}}}$`
      const completed_at = new RegExp(pattern).exec(told ?? "")?.[1] ?? assert.fail(told)
      // The handler takes 10 ms of each event, one after the other.
      assert.isAtLeast(Date.parse(completed_at), from_ms + 20)
      assert.strictEqual(new Date(completed_at).toISOString(), completed_at)
    }).pipe(onGround()),
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
    }).pipe(onGround()),
  )

  it.live("passes messages and barriers on in the order of everything else, past a slow handler", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      yield* append(events, event("a", "e1", "slow", 1), message("b", "m1", "hello"), barrier("a", 5))
      const [first, second, third] = yield* hasRecords(topic, 3)
      assert.strictEqual(textOf(first), `{"seq":0,"id":"e1","name":"slow","data":1}`)
      assert.strictEqual(textOf(second), `{"seq":1,"id":"m1","name":"news","data":"hello"}`)
      assert.strictEqual(textOf(third), `{"seq":2,"barrier":{"epoch":5,"pod":"pod-1"}}`)
    }).pipe(onGround()),
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
      assert.deepStrictEqual(yield* results(6), [
        { seq: 0, id: "e1", says: "UNKNOWN_EVENT" },
        { seq: 1, id: "e2", says: "BAD_INPUT" },
        { seq: 2, id: "e3", says: "HANDLER_FAILED" },
        { seq: 3, id: "e4", says: "HANDLER_FAILED" },
        { seq: 4, id: "e5", says: "HANDLER_TIMEOUT" },
        { seq: 5, id: "e6", says: { number: 2, result: 4 } },
      ])
      const now = yield* counts
      assert.strictEqual(now["nimbus_handler_failures_total HANDLER_FAILED"], 2)
      assert.strictEqual(now["nimbus_handler_failures_total UNKNOWN_EVENT"], 1)
    }).pipe(onGround()),
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
    }).pipe(onGround()),
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
    }).pipe(onGround()),
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
      yield* settle
      assert.isUndefined(yield* committed)
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
    }).pipe(onGround()),
  )

  it.live("commits past a chunk of which nothing comes", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      yield* append(events, raw("a", "x"))
      yield* committedIs(1)
      assert.lengthOf(yield* contents(topic), 0)
    }).pipe(onGround()),
  )

  it.live("has one produce under way and handles one chunk ahead, not more", () =>
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
      yield* startWith()
      yield* eventually("a second chunk is read", () => read === 2)
      yield* settle
      assert.strictEqual(read, 2)
      assert.strictEqual(produces, 1)
      assert.isUndefined(yield* committed)
      yield* Deferred.succeed(open, undefined)
      assert.deepStrictEqual(
        (yield* results(10)).map(({ seq }) => seq),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      )
      yield* committedIs(10)
    }).pipe(onGround({ limits: { chunk_records: 1 } })),
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
    }).pipe(onGround()),
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
    }).pipe(onGround()),
  )

  it.live("starts again after a failed read behind what it has written", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      const hooks = yield* Hooks
      let failures = 0
      hooks.read = (topic, chunk) =>
        topic === events && chunk.from > 0 && failures < 3
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
    }).pipe(onGround()),
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
      yield* startWith()
      yield* append(events, square("a", "e1", 1), square("a", "e2", 2))
      yield* Deferred.await(begun)
      yield* before.revoke
      yield* Deferred.await(ended)
      hooks.publishing = () => Effect.void
      const after = yield* assign(events, 1)
      yield* eventually("a commit of its own", () => after.commits.includes(2))
      assert.deepStrictEqual(after.positions, ["committed"])
      assert.deepStrictEqual(before.commits, [])
      assert.deepStrictEqual(
        (yield* results(1)).map(({ seq }) => seq),
        [1],
      )
    }).pipe(onGround()),
  )

  it.live("stopped, it finishes the chunk that it has in hand and commits it", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const hooks = yield* Hooks
      let read = 0
      hooks.read = (from) => Effect.sync(() => void (from === events && read++))
      hooks.publishing = (to) => (to === topic ? Effect.sleep(20) : Effect.void)
      const role = yield* startWith()
      yield* append(events, event("a", "e1", "slow", 1))
      yield* eventually("it is read", () => read === 1)
      yield* role.stop
      assert.lengthOf(yield* contents(topic), 1)
      assert.strictEqual((yield* committed)?.next, 1)
      yield* append(events, square("a", "e2", 2))
      yield* settle
      assert.lengthOf(yield* contents(topic), 1)
    }).pipe(onGround()),
  )

  it.live("adds to the journey of what is followed when the log had it and where, and its own step", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      yield* startWith()
      const accepted: Journey.JourneyStep = { time: 1, service: "gateway", instance: "pod-1", step: "accepted" }
      yield* append(events, { ...square("a", "e1", 1), headers: Journey.follow(accepted) }, square("a", "e2", 2))
      const [followed, other] = yield* hasRecords(topic, 2)
      const [first, logged, handled, ...more] = Journey.steps(followed?.headers)
      assert.deepStrictEqual(first, accepted)
      const [record] = yield* contents(events)
      assert.deepStrictEqual(logged, {
        time: record?.timestamp ?? -1,
        service: "log",
        instance: (yield* EventLog).incarnation,
        step: "logged",
        details: { rule: Journey.rules.logged, topic: events, partition: "0", offset: "0" },
      })
      assert.deepInclude(handled, {
        service: "event-consumer",
        step: "handled",
        details: { rule: Journey.rules.handled, name: "sq" },
      })
      assert.deepStrictEqual(more, [])
      assert.isUndefined(other?.headers)
    }).pipe(onGround()),
  )

  it.live("partitions are handled side by side", () =>
    Effect.gen(function* () {
      const { events, results: topic } = yield* Topics
      const log = yield* EventLog
      const open = yield* Deferred.make<void>()
      const waits = Handlers.make("waits", {
        input: Schema.Json,
        output: Schema.Json,
        handler: (data) => Effect.as(Deferred.await(open), data),
      })
      yield* startWith({}, Handlers.layer([...Handlers.samples, waits]))
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
    }).pipe(onGround({ partitions: 2 })),
  )
})
