import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Client from "./Client.ts"
import { layerMemory } from "./Memory.ts"
import * as MemoryTransport from "./testing/MemoryTransport.ts"
import type { TaskStream } from "./TaskStreams.ts"
import { Transport } from "./Transport.ts"

/** A client's surroundings: network and memory outlive it. */
const makeWorld = Effect.gen(function* () {
  const network = yield* MemoryTransport.make
  const memory = yield* Layer.build(layerMemory)
  const make = (limits: Client.ClientOptions["limits"] = {}) =>
    Client.make({ url: "ws://gateway", clientId: "c1", limits }).pipe(
      Effect.provideService(Transport, network.transport),
      Effect.provideContext(memory),
    )
  return { network, make }
})

const welcome = (after = -1) => ({
  type: "welcome",
  clientId: "c1",
  epoch: 1,
  status: "REPLAYING",
  log: "log-0",
  after,
  limits: { frame_bytes: 1_000, window_results: 100, events_per_second: 1_000, idle_timeout_ms: 1_000 },
})
const results = (...items: ReadonlyArray<object>) => ({ type: "results", items })
const part = (of: string, seq: number, number: number, attempt = 1) => {
  const id = `t0.${attempt}.${number}`
  return { seq, id, name: "ask", data: `${attempt}.${number}`, of, attempt, part: number }
}
const end = (of: string, seq: number, number: number, more: object = { data: null, end: "done" }) => ({
  seq,
  id: "t0.end",
  name: "ask",
  of,
  attempt: 1,
  part: number,
  ...more,
})
/** The frames that the gateway gets next, as far as they are of this type. */
const nextOf = (gateway: MemoryTransport.Peer, type: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.flatMap(Effect.orDie(gateway.read), (frames) => {
    const found = frames.filter((frame) => frame.includes(`"type":"${type}"`))
    return found.length > 0 ? Effect.succeed(found) : nextOf(gateway, type)
  })
/** Parts as they come. */
const collecting = Effect.fnUntraced(function* (stream: Stream.Stream<unknown, unknown>) {
  const queue = yield* Queue.unbounded<unknown>()
  const fiber = yield* Effect.forkScoped(
    Effect.exit(Stream.runForEach(stream, (part) => Effect.asVoid(Queue.offer(queue, part)))),
  )
  return { next: (count: number) => Queue.takeN(queue, count), fiber }
})
const codeOf = (stream: Stream.Stream<unknown, { readonly code: string }>) =>
  Effect.map(Effect.flip(Stream.runDrain(stream)), ({ code }) => code)

describe("TaskStreams", () => {
  it.effect("gives the parts in order, sends the event once however often it is run, and completes", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const task = client.stream("ask", { question: "why" })
      const reading = yield* collecting(task)
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      const frame = { type: "event", id: task.id, name: "ask", data: { question: "why" } }
      assert.deepStrictEqual(yield* nextOf(gateway, "event"), [JSON.stringify(frame)])
      yield* gateway.send(results(part(task.id, 1, 0), part(task.id, 2, 1)))
      assert.deepStrictEqual(yield* reading.next(2), ["1.0", "1.1"])
      yield* gateway.send(results(part(task.id, 3, 2), end(task.id, 4, 3)))
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(reading.fiber)))
      assert.deepStrictEqual(yield* Stream.runCollect(task), ["1.0", "1.1", "1.2"])
      assert.notInclude((yield* gateway.readNow).join(), `"event"`)
    }),
  )

  it.effect("gives each part once over a reconnect", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const task = client.stream("ask")
      const reading = yield* collecting(task)
      const first = yield* network.accept
      yield* first.send(welcome(), { type: "accepted", ids: [task.id] }, results(part(task.id, 1, 0)))
      assert.deepStrictEqual(yield* reading.next(1), ["1.0"])
      assert.deepStrictEqual(yield* nextOf(first, "ack"), [`{"type":"ack","seq":1}`])
      yield* first.close(1006)
      yield* TestClock.adjust("1 second")
      const second = yield* network.accept
      yield* second.send(welcome(1), results(part(task.id, 2, 1), end(task.id, 3, 2)))
      assert.deepStrictEqual(yield* reading.next(1), ["1.1"])
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(reading.fiber)))
    }),
  )

  it.effect("gives all parts to a later process, those before and those that come, by the id", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const life = yield* Scope.make()
      const client = yield* Scope.provide(make(), life)
      const task = client.stream("ask")
      const reading = yield* Scope.provide(collecting(task), life)
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(part(task.id, 1, 0), part(task.id, 2, 1)))
      assert.deepStrictEqual(yield* reading.next(2), ["1.0", "1.1"])
      assert.deepStrictEqual(yield* nextOf(gateway, "ack"), [`{"type":"ack","seq":2}`])
      yield* Scope.close(life, Exit.void)

      const next = yield* make()
      const later = yield* network.accept
      assert.include(later.url, "after=2")
      assert.deepStrictEqual(yield* next.tasks, [{ id: task.id, name: "ask" }] as never)
      yield* later.send(welcome(2), results(part(task.id, 3, 2)))
      const resumed = yield* collecting(next.resume(task.id))
      assert.deepStrictEqual(yield* resumed.next(3), ["1.0", "1.1", "1.2"])
      yield* later.send(results(end(task.id, 4, 3)))
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(resumed.fiber)))
      assert.deepStrictEqual(yield* next.tasks, [{ id: task.id, name: "ask", end: "done" }] as never)
      assert.strictEqual(yield* codeOf(next.resume("other")), "TASK_NOT_KEPT")
    }),
  )

  const error = { code: "HANDLER_FAILED", message: "no" }
  it.effect.each([
    ["EVENT_FAILED", { error, end: "failed" }],
    ["TASK_CANCELLED", { data: null, end: "cancelled" }],
  ] as const)("fails with %s as the task ends", ([code, more]) =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const task = client.stream("ask")
      const failed = yield* Effect.forkScoped(Effect.flip(Stream.runDrain(task)))
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(end(task.id, 1, 0, more)))
      const failure = yield* Fiber.join(failed)
      assert.strictEqual(failure.code, code)
      if (failure._tag === "EventFailed") assert.deepStrictEqual(failure.failure, error)
    }),
  )

  it.effect("fails if the event is invalid, or refused, also for whoever resumes it", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      assert.strictEqual(yield* codeOf(client.stream("")), "EVENT_INVALID")
      const task = client.stream("ask")
      const failed = yield* Effect.forkScoped(codeOf(task))
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), { type: "refused", id: task.id, code: "UNKNOWN", message: "no" })
      assert.strictEqual(yield* Fiber.join(failed), "EVENT_REFUSED")
      assert.strictEqual(yield* codeOf(client.resume(task.id)), "EVENT_REFUSED")
    }),
  )

  it.effect(
    "tells a restart before the parts of the new attempt, or else fails so that nothing void is taken for the answer",
    () =>
      Effect.gen(function* () {
        const { make, network } = yield* makeWorld
        const client = yield* make()
        let text = ""
        const task = client.stream("ask", null, { onRestart: () => (text = "") })
        const reading = yield* collecting(Stream.tap(task, (part) => Effect.sync(() => (text += String(part)))))
        const gateway = yield* network.accept
        yield* gateway.send(welcome(), results(part(task.id, 1, 0)))
        yield* reading.next(1)
        const plain = yield* collecting(client.resume(task.id))
        const events = yield* collecting(client.resume(task.id).events)
        assert.deepStrictEqual(yield* plain.next(1), ["1.0"])
        assert.deepStrictEqual(yield* events.next(1), [{ type: "part", attempt: 1, part: 0, data: "1.0" }])

        yield* gateway.send(results(part(task.id, 2, 0, 2), part(task.id, 3, 1, 2)))
        yield* reading.next(2)
        assert.strictEqual(text, "2.02.1")
        const failure = Exit.findErrorOption(yield* Fiber.join(plain.fiber))
        assert.deepInclude(failure, { _tag: "Some" })
        assert.include(JSON.stringify(failure), "TaskRestarted")
        assert.deepStrictEqual(yield* events.next(3), [
          { type: "restart", attempt: 2 },
          { type: "part", attempt: 2, part: 0, data: "2.0" },
          { type: "part", attempt: 2, part: 1, data: "2.1" },
        ])
      }),
  )

  /** Reads one part, and leaves. */
  const leaving = Effect.fnUntraced(function* (
    stream: TaskStream,
    network: { readonly accept: Effect.Effect<MemoryTransport.Peer> },
  ) {
    const first = yield* Effect.forkScoped(stream.pipe(Stream.take(1), Stream.runCollect))
    const gateway = yield* network.accept
    yield* gateway.send(welcome(), results(part(stream.id, 1, 0)))
    assert.deepStrictEqual(yield* Fiber.join(first), ["1.0"])
    return gateway
  })

  it.effect("does not cancel the task when its reader leaves, which may come back", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const task = client.stream("ask")
      const gateway = yield* leaving(task, network)
      yield* gateway.send(results(end(task.id, 2, 1)))
      assert.deepStrictEqual(yield* Stream.runCollect(client.resume(task.id)), ["1.0"])
      assert.notInclude((yield* gateway.readNow).join(), "cancel")
    }),
  )

  it.effect("cancels the task when its reader leaves, if it asks for that, and not when the client closes", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const task = client.stream("ask", null, { cancelOnLeave: true })
      const gateway = yield* leaving(task, network)
      assert.deepStrictEqual(yield* nextOf(gateway, "cancel"), [JSON.stringify({ type: "cancel", id: task.id })])

      const { make: other, network: elsewhere } = yield* makeWorld
      const life = yield* Scope.make()
      const closing = yield* Scope.provide(other(), life)
      const kept = closing.stream("ask", null, { cancelOnLeave: true })
      const reading = yield* collecting(kept)
      const peer = yield* elsewhere.accept
      yield* peer.send(welcome(), results(part(kept.id, 1, 0)))
      yield* reading.next(1)
      yield* Scope.close(life, Exit.void)
      assert.include(JSON.stringify(Exit.findErrorOption(yield* Fiber.join(reading.fiber))), "ClientClosed")
      assert.notInclude((yield* peer.readNow).join(), "cancel")
    }),
  )

  it.effect("writes a cancel again over a reconnect, until the gateway has it", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      yield* client.cancel("e1")
      assert.strictEqual((yield* Effect.flip(client.cancel(""))).code, "EVENT_INVALID")
      const first = yield* network.accept
      yield* first.send(welcome())
      assert.deepStrictEqual(yield* nextOf(first, "cancel"), [`{"type":"cancel","id":"e1"}`])
      yield* first.close(1006)
      yield* TestClock.adjust("1 second")
      const second = yield* network.accept
      yield* second.send(welcome(), { type: "cancelling", ids: ["e1"] })
      assert.deepStrictEqual(yield* nextOf(second, "cancel"), [`{"type":"cancel","id":"e1"}`])
      yield* second.close(1006)
      yield* TestClock.adjust("1 second")
      const third = yield* network.accept
      yield* third.send(welcome())
      yield* client.send("sq").pipe(Effect.forkScoped)
      assert.notInclude((yield* nextOf(third, "event")).join(), "cancel")
    }),
  )

  it.effect("acknowledges no more than a slow reader can keep, and goes on when it has read", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make({ task_chars: 10 })
      const task = client.stream("ask")
      const pull = yield* Stream.toPull(task)
      const pulled = yield* Effect.forkScoped(pull)
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(part(task.id, 1, 0)))
      assert.deepStrictEqual(yield* Fiber.join(pulled), ["1.0"])
      assert.deepStrictEqual(yield* nextOf(gateway, "ack"), [`{"type":"ack","seq":1}`])
      yield* gateway.send(results(part(task.id, 2, 1), part(task.id, 3, 2), part(task.id, 4, 3)))
      assert.deepStrictEqual(yield* nextOf(gateway, "ack"), [`{"type":"ack","seq":2}`])
      assert.deepStrictEqual(yield* pull, ["1.1", "1.2"])
      assert.deepStrictEqual(yield* nextOf(gateway, "ack"), [`{"type":"ack","seq":3}`])
      assert.deepStrictEqual(yield* pull, ["1.3"])
    }),
  )

  it.effect("says, where the first parts are not kept, how many there are", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make({ task_chars: 10 })
      const task = client.stream("ask")
      yield* Effect.forkScoped(task.start)
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(part(task.id, 1, 0), part(task.id, 2, 1), part(task.id, 3, 2)))
      assert.deepStrictEqual(yield* nextOf(gateway, "ack"), [`{"type":"ack","seq":3}`])
      assert.strictEqual(yield* codeOf(client.resume(task.id)), "PARTS_FORGOTTEN")
      const events = yield* collecting(client.resume(task.id).events)
      assert.deepStrictEqual((yield* events.next(1))[0], { type: "gap", parts: 2 })
    }),
  )

  it.effect("fails with EVENT_REPEATED where the result of its id has come", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      yield* Effect.forkScoped(client.send("sq", null, { id: "e1" }))
      yield* Effect.forkScoped(Stream.runDrain(client.results))
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results({ seq: 1, id: "e1", name: "sq", data: 1 }))
      assert.deepStrictEqual(yield* nextOf(gateway, "ack"), [`{"type":"ack","seq":1}`])
      assert.strictEqual(yield* codeOf(client.stream("sq", null, { id: "e1" })), "EVENT_REPEATED")
    }),
  )

  it.effect("is not needed to wait for the end of a task: a request does", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const cancelled = yield* Effect.forkScoped(Effect.flip(client.request("ask", null, { id: "e1" })))
      const done = yield* Effect.forkScoped(client.request("ask", null, { id: "e2" }))
      const gateway = yield* network.accept
      const cancelling = end("e1", 2, 1, { data: null, end: "cancelled" })
      yield* gateway.send(welcome(), results(part("e1", 1, 0), cancelling, end("e2", 3, 0)))
      assert.strictEqual((yield* Fiber.join(cancelled)).code, "TASK_CANCELLED")
      assert.strictEqual((yield* Fiber.join(done)).end, "done")
    }),
  )
})
