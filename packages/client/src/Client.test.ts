import { assert, describe, it } from "@effect/vitest"
import { ClientId, closeCodes, Cursor, Seq } from "@nimbus/domain/protocol"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Queue, Ref, type Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Client from "./Client.ts"
import { type Delivery, isLost } from "./Core.ts"
import { ConnectionClosed, MemoryUnavailable } from "./Errors.ts"
import { ClientMemory, layerMemory, type Remembered } from "./Memory.ts"
import { GatewayModel } from "./testing/GatewayModel.ts"
import * as MemoryTransport from "./testing/MemoryTransport.ts"
import { Transport } from "./Transport.ts"

/** A client's surroundings: network and memory outlive it. */
const makeWorld = Effect.gen(function* () {
  const network = yield* MemoryTransport.make
  const memory = yield* Layer.build(layerMemory)
  const make = (options: Partial<Client.ClientOptions> = {}) =>
    Client.make({ url: "ws://gateway", clientId: "c1", ...options }).pipe(
      Effect.provideService(Transport, network.transport),
      Effect.provideContext(memory),
    )
  const remembered = ClientMemory.use((memory) => memory.load(ClientId.make("c1"))).pipe(Effect.provideContext(memory))
  return { network, make, remembered, memory }
})

const welcome = (after = -1, more: object = {}) => ({
  type: "welcome",
  clientId: "c1",
  epoch: 1,
  status: "REPLAYING",
  log: "log-0",
  after,
  limits: { frame_bytes: 1_000, window_results: 100, events_per_second: 1_000, idle_timeout_ms: 1_000 },
  ...more,
})
const results = (...seqs: ReadonlyArray<number>) => ({
  type: "results",
  items: seqs.map((seq) => ({ seq, id: `e${seq}`, name: "sq", data: { result: seq * seq } })),
})
const seqsOf = (deliveries: ReadonlyArray<Delivery>): ReadonlyArray<number> =>
  deliveries.flatMap((delivery) => (isLost(delivery) ? [] : [delivery.seq]))
/** The ids of the next `count` events that the gateway gets. */
const idsFrom = Effect.fnUntraced(function* (gateway: MemoryTransport.Peer, count: number) {
  const ids: Array<unknown> = []
  while (ids.length < count) {
    for (const frame of parse(yield* gateway.read)) {
      if (typeof frame === "object" && frame !== null && "id" in frame) ids.push(frame.id)
    }
  }
  return ids
})
const parse = (frames: ReadonlyArray<string>): ReadonlyArray<unknown> => frames.map((frame) => JSON.parse(frame))

/** Collects what a consumer gets, and lets a test wait for it. */
const collector = Effect.map(Queue.unbounded<Delivery>(), (queue) => ({
  step: (delivery: Delivery) => Queue.offer(queue, delivery),
  next: (count: number) => Effect.map(Queue.takeN(queue, count), seqsOf),
  sofar: Effect.map(Queue.clear(queue), seqsOf),
}))

describe("Client: results", () => {
  it.effect("acknowledges a frame once, after the step of its last result", () =>
    Effect.gen(function* () {
      const { make, network, remembered } = yield* makeWorld
      const client = yield* make()
      const gate = yield* Deferred.make<void>()
      const { next, step } = yield* collector
      yield* Effect.forkScoped(
        client.run((delivery) =>
          Effect.andThen(step(delivery), !isLost(delivery) && delivery.seq === 3 ? Deferred.await(gate) : Effect.void),
        ),
      )
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1, 2, 3))
      assert.deepStrictEqual(yield* next(3), [1, 2, 3])
      assert.deepStrictEqual(yield* gateway.readNow, [])
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(parse(yield* gateway.read), [{ type: "ack", seq: 3 }])
      assert.strictEqual((yield* remembered).last, 3)
    }),
  )

  it.effect("acknowledges an array of the stream when the next one is pulled", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const pull = yield* Stream.toPull(client.results)
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1, 2), results(3))
      assert.deepStrictEqual(seqsOf(yield* pull), [1, 2])
      assert.deepStrictEqual(yield* gateway.readNow, [])
      assert.deepStrictEqual(seqsOf(yield* pull), [3])
      assert.deepStrictEqual(parse(yield* gateway.read), [{ type: "ack", seq: 2 }])
    }),
  )

  it.effect("gives an array that was not acknowledged to the next consumer", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1, 2))
      const take2 = client.results.pipe(Stream.take(2), Stream.runCollect)
      assert.deepStrictEqual(seqsOf(yield* take2), [1, 2])
      assert.deepStrictEqual(seqsOf(yield* take2), [1, 2])
      assert.deepStrictEqual(yield* gateway.readNow, [])
    }),
  )

  it.effect("brings again, after a crash between delivery and ack, what was not acknowledged, and nothing else", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const gateway = new GatewayModel()
      for (let n = 0; n < 4; n++) gateway.publish(`m${n}`)
      const life = yield* Scope.make()
      const first = yield* Scope.provide(make(), life)
      const peer = yield* network.accept
      yield* peer.send(gateway.connect(peer.url), gateway.deliver(2) ?? "", gateway.deliver(2) ?? "")
      const pull = yield* Scope.provide(Stream.toPull(first.results), life)
      const done = seqsOf(yield* pull)
      const unfinished = seqsOf(yield* pull)
      yield* Scope.close(life, Exit.void)
      for (const frame of yield* peer.readNow) gateway.hear(frame)

      const second = yield* make()
      const next = yield* network.accept
      yield* next.send(gateway.connect(next.url), gateway.deliver() ?? "")
      const again = seqsOf(yield* second.results.pipe(Stream.take(2), Stream.runCollect))
      assert.deepStrictEqual(again, unfinished)
      assert.deepStrictEqual(
        [...done, ...again],
        gateway.log.map((record) => Number(record.seq)),
      )
    }),
  )

  it.effect("shows each result once to a consumer that keeps the cursor with its own work, wherever it crashes", () =>
    Effect.gen(function* () {
      const { network } = yield* makeWorld
      const gateway = new GatewayModel()
      for (let n = 0; n < 4; n++) gateway.publish(`m${n}`)
      // The application's database: its rows are the memory's last seq.
      const rows = yield* Ref.make<ReadonlyArray<number>>([])
      const memory = ClientMemory.of({
        load: () =>
          Effect.map(Ref.get(rows), (rows): Remembered => ({
            log: gateway.incarnation,
            last: Cursor.make(rows.at(-1) ?? -1),
            unaccepted: [],
            doubtful: [],
          })),
        save: () => Effect.void,
      })
      const crashAfterRow = (delivery: Delivery) =>
        Effect.andThen(
          Ref.update(rows, (rows) => [...rows, ...seqsOf([delivery])]),
          Effect.fail("crash" as const),
        )
      for (let life = 0; life < 4; life++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const client = yield* Client.make({ url: "ws://gateway", clientId: "c1" }).pipe(
              Effect.provideService(Transport, network.transport),
              Effect.provideService(ClientMemory, memory),
            )
            const peer = yield* network.accept
            yield* peer.send(gateway.connect(peer.url), gateway.deliver() ?? "")
            assert.strictEqual(yield* Effect.flip(client.run(crashAfterRow)), "crash")
          }),
        )
      }
      assert.deepStrictEqual(
        yield* Ref.get(rows),
        gateway.log.map((record) => Number(record.seq)),
      )
    }),
  )

  it.effect("acknowledges the results before one whose step failed, and starts the next consumer with that one", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1, 2, 3))
      const failure = yield* Effect.flip(
        client.run((delivery) => (seqsOf([delivery])[0] === 2 ? Effect.fail("no") : Effect.void)),
      )
      assert.strictEqual(failure, "no")
      assert.deepStrictEqual(parse(yield* gateway.read), [{ type: "ack", seq: 1 }])
      assert.deepStrictEqual(seqsOf(yield* client.results.pipe(Stream.take(2), Stream.runCollect)), [2, 3])
    }),
  )

  it.effect("acknowledges the result whose step ended the consumer, and starts the next one after it", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1, 2, 3))
      const enough = yield* Deferred.make<void>()
      const shown: Array<number> = []
      const step = (delivery: Delivery) => {
        shown.push(...seqsOf([delivery]))
        return shown.length === 2 ? Deferred.succeed(enough, undefined) : Effect.void
      }
      yield* Effect.raceFirst(client.run(step), Deferred.await(enough))
      assert.deepStrictEqual(parse(yield* gateway.read), [{ type: "ack", seq: 2 }])
      const rest = yield* Stream.runHead(client.results)
      assert.deepStrictEqual(seqsOf(Option.toArray(rest)), [3])
      assert.deepStrictEqual(shown, [1, 2])
    }),
  )

  it.effect("does not acknowledge a result whose step was interrupted before its end", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1, 2))
      const second = yield* Deferred.make<void>()
      const step = (delivery: Delivery) =>
        seqsOf([delivery])[0] === 2 ? Effect.andThen(Deferred.succeed(second, undefined), Effect.never) : Effect.void
      yield* Effect.raceFirst(client.run(step), Deferred.await(second))
      assert.deepStrictEqual(parse(yield* gateway.read), [{ type: "ack", seq: 1 }])
      assert.deepStrictEqual(seqsOf(Option.toArray(yield* Stream.runHead(client.results))), [2])
    }),
  )

  it.effect("does not acknowledge what the memory did not take, and stops", () =>
    Effect.gen(function* () {
      const { network } = yield* makeWorld
      const memory = ClientMemory.of({
        load: () => Effect.succeed({ last: Cursor.make(-1), unaccepted: [], doubtful: [] }),
        save: (_, changes) =>
          changes.some((change) => change._tag === "Reached" && change.last === 1)
            ? Effect.fail(new MemoryUnavailable({ operation: "save", cause: "disk full" }))
            : Effect.void,
      })
      const client = yield* Client.make({ url: "ws://gateway", clientId: "c1" }).pipe(
        Effect.provideService(Transport, network.transport),
        Effect.provideService(ClientMemory, memory),
      )
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1))
      const error = yield* Effect.flip(client.run(() => Effect.void))
      assert.strictEqual(error.code, "MEMORY_UNAVAILABLE")
      assert.deepStrictEqual(yield* gateway.readNow, [])
    }),
  )

  it.effect("tells what is lost in its place", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const gateway = yield* network.accept
      const lost = { type: "lost", after: 1, upTo: 4 }
      yield* gateway.send(welcome(), results(1), lost, results(5))
      const deliveries = yield* client.results.pipe(Stream.take(3), Stream.runCollect)
      assert.deepStrictEqual(
        deliveries.map((delivery) => isLost(delivery)),
        [false, true, false],
      )
      assert.deepStrictEqual(deliveries[1], {
        type: "lost",
        reason: "retention",
        after: Cursor.make(1),
        upTo: Seq.make(4),
      })
    }),
  )

  it.effect("cuts a gateway off that sends more than its window, and resumes after what is done", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make({ limits: { window_results: 2, waiting_notices: 0 } })
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1, 2), results(3))
      assert.deepStrictEqual(
        yield* Effect.flip(gateway.read).pipe(Effect.map((error) => error.code)),
        "CONNECTION_CLOSED",
      )
      yield* TestClock.adjust("1 second")
      const again = yield* network.accept
      assert.include(again.url, "after=-1")
      assert.strictEqual((yield* client.stats).received, 2)
    }),
  )
})

describe("Client: sending", () => {
  it.effect("succeeds when the gateway has accepted", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const sending = yield* Effect.forkScoped(client.send("sq", { number: 7 }, { id: "a" }))
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      assert.deepStrictEqual(parse(yield* gateway.read), [{ type: "event", id: "a", name: "sq", data: { number: 7 } }])
      assert.isUndefined(sending.pollUnsafe())
      yield* gateway.send({ type: "accepted", ids: ["a"] })
      assert.strictEqual(yield* Fiber.join(sending), "a")
    }),
  )

  it.effect("fails with the gateway's refusal", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const sending = yield* Effect.forkScoped(Effect.flip(client.send("nope", null, { id: "a" })))
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      yield* gateway.read
      yield* gateway.send({ type: "refused", id: "a", code: "UNKNOWN_EVENT", message: "no such event" })
      const error = yield* Fiber.join(sending)
      assert.strictEqual(error._tag, "EventRefused")
      assert.deepInclude(error, { refusal: { code: "UNKNOWN_EVENT", message: "no such event" } })
    }),
  )

  it.effect("refuses what JSON has no words for", () =>
    Effect.gen(function* () {
      const { make } = yield* makeWorld
      const client = yield* make()
      const circle: Array<Schema.Json> = []
      circle.push(circle)
      const error = yield* Effect.flip(client.send("sq", circle))
      assert.strictEqual(error.code, "EVENT_INVALID")
      for (const data of [Number.NaN, Infinity, [undefined], new Map(), () => 1, 1n]) {
        const refused = yield* Effect.flip(client.send("sq", data as unknown as Schema.Json))
        assert.strictEqual(refused.code, "EVENT_INVALID")
      }
      assert.strictEqual((yield* Effect.flip(client.send(""))).code, "EVENT_INVALID")
      assert.strictEqual((yield* Effect.flip(client.send("sq", 1, { id: "" }))).code, "EVENT_INVALID")
    }),
  )

  it.effect("writes again after a reconnect, in order, what was not accepted", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      yield* Effect.forkScoped(client.sendAll(["a", "b", "c"].map((id) => ({ name: "sq", id }))))
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      assert.deepStrictEqual(yield* idsFrom(gateway, 3), ["a", "b", "c"])
      yield* gateway.send({ type: "accepted", ids: ["b"] })
      yield* gateway.close(1006)
      yield* TestClock.adjust("1 second")
      const again = yield* network.accept
      yield* again.send(welcome())
      assert.deepStrictEqual(yield* idsFrom(again, 2), ["a", "c"])
    }),
  )

  it.effect("sends in the next life what the last one had not seen accepted", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const life = yield* Scope.make()
      const first = yield* Scope.provide(make(), life)
      const sending = yield* Effect.forkScoped(Effect.flip(first.send("sq", 1, { id: "a" })))
      yield* (yield* network.accept).close(1006)
      yield* Scope.close(life, Exit.void)
      assert.strictEqual((yield* Fiber.join(sending)).code, "CLIENT_CLOSED")

      yield* make()
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      assert.deepStrictEqual(yield* idsFrom(gateway, 1), ["a"])
    }),
  )

  it.effect("suspends at the window of unaccepted events, and goes on as they are accepted", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make({ limits: { window_events: 2 } })
      for (const id of ["a", "b", "c", "d"]) yield* Effect.forkScoped(client.send("sq", 1, { id }))
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      assert.deepStrictEqual(yield* idsFrom(gateway, 2), ["a", "b"])
      assert.strictEqual((yield* client.stats).sent, 2)
      yield* gateway.send({ type: "accepted", ids: ["a"] })
      assert.deepStrictEqual(yield* idsFrom(gateway, 1), ["c"])
      yield* gateway.send({ type: "accepted", ids: ["b", "c"] })
      assert.deepStrictEqual(yield* idsFrom(gateway, 1), ["d"])
    }),
  )

  it.effect("frees the place of a send that was interrupted while it waited", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make({ limits: { window_events: 1 } })
      const send = (id: string) => Effect.forkScoped(client.send("sq", 1, { id }))
      yield* send("a")
      const waiting = yield* send("b")
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      assert.deepStrictEqual(yield* idsFrom(gateway, 1), ["a"])
      yield* Fiber.interrupt(waiting)
      yield* send("c")
      yield* gateway.send({ type: "accepted", ids: ["a"] })
      assert.deepStrictEqual(yield* idsFrom(gateway, 1), ["c"])
    }),
  )

  it.effect("answers a request with its result, which the consumer gets as well", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const { next, step } = yield* collector
      yield* Effect.forkScoped(client.run(step))
      const asking = yield* Effect.forkScoped(client.request("sq", { number: 7 }))
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      const [id] = yield* idsFrom(gateway, 1)
      yield* gateway.send({ type: "results", items: [{ seq: 4, id, name: "sq", data: { result: 49 } }] })
      assert.deepStrictEqual((yield* Fiber.join(asking)).data, { result: 49 })
      assert.deepStrictEqual(yield* next(1), [4])
    }),
  )

  it.effect("answers each request of an id with its first result, and fails one that comes later with the seq", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const ask = () => Effect.forkScoped(client.request("sq", { number: 7 }, { id: "a" }))
      const asking = [yield* ask(), yield* ask()]
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      assert.deepStrictEqual(yield* idsFrom(gateway, 1), ["a"])
      const first = { seq: 4, id: "a", name: "sq", data: { result: 49 } }
      yield* gateway.send({ type: "results", items: [first, { ...first, seq: 6, data: null, repeated: 4 }] })
      for (const one of asking) assert.deepStrictEqual((yield* Fiber.join(one)).data, { result: 49 })
      const late = yield* Effect.flip(client.request("sq", { number: 7 }, { id: "a" }))
      assert.deepInclude(late, { code: "EVENT_REPEATED", first: Cursor.make(4) })
      assert.include(late.message, "at seq 4")
    }),
  )

  it.effect("fails a request whose id an earlier process has used with the seq of the first", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const asking = yield* Effect.forkScoped(Effect.flip(client.request("sq", { number: 7 }, { id: "a" })))
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      assert.deepStrictEqual(yield* idsFrom(gateway, 1), ["a"])
      yield* gateway.send({ type: "results", items: [{ seq: 6, id: "a", name: "sq", data: null, repeated: 2 }] })
      assert.deepInclude(yield* Fiber.join(asking), { code: "EVENT_REPEATED", first: Cursor.make(2) })
    }),
  )

  it.effect("fails a request whose event failed, and one whose result may be lost", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const ask = Effect.forkScoped(Effect.flip(client.request("sq", { number: "x" })))
      const failing = yield* ask
      const losing = yield* ask
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      const [failed, lost] = yield* idsFrom(gateway, 2)
      const failure = { code: "BAD_INPUT", message: "no number" }
      yield* gateway.send(
        { type: "results", items: [{ seq: 4, id: failed, name: "sq", error: failure }] },
        { type: "accepted", ids: [lost] },
        { type: "lost", after: 4, upTo: 9 },
      )
      assert.deepInclude(yield* Fiber.join(failing), { code: "EVENT_FAILED", failure })
      assert.strictEqual((yield* Fiber.join(losing)).code, "RESULT_LOST")
    }),
  )
})

describe("Client: connecting", () => {
  it.effect("tells the gateway who it is, and where to resume", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make({ url: "http://gateway:3000", journey: true })
      const first = yield* network.accept
      assert.strictEqual(first.url, "ws://gateway:3000/v1/stream?clientId=c1&ack=client&journey=true")
      yield* first.send(welcome(), results(5))
      const { next, step } = yield* collector
      yield* Effect.forkScoped(client.run(step))
      assert.deepStrictEqual(yield* next(1), [5])
      yield* first.read
      yield* first.close(1006)
      yield* TestClock.adjust("1 second")
      const again = yield* network.accept
      assert.include(again.url, "log=log-0&after=5")
    }),
  )

  it.effect("does not tell the gateway of a seq that the consumer is not done with", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const first = yield* network.accept
      yield* first.send(welcome(), results(5))
      const pull = yield* Stream.toPull(client.results)
      yield* pull
      yield* first.close(1006)
      yield* TestClock.adjust("1 second")
      assert.include((yield* network.accept).url, "after=-1")
    }),
  )

  it.effect("waits longer and longer, up to the maximum, and less a random part", () =>
    Effect.gen(function* () {
      const attempts = yield* Ref.make(0)
      const refusing = {
        connect: () =>
          Effect.andThen(
            Ref.update(attempts, (n) => n + 1),
            new ConnectionClosed({ close: 1006, reason: "" }),
          ),
      }
      yield* Effect.provideService(
        Client.make({ url: "ws://gateway", clientId: "c1", limits: { reconnect_min_ms: 100, reconnect_max_ms: 400 } }),
        Transport,
        refusing,
      ).pipe(Effect.provide(layerMemory))
      const after = (ms: number) => Effect.andThen(TestClock.adjust(ms), Ref.get(attempts))
      assert.strictEqual(yield* after(49), 1)
      assert.strictEqual(yield* after(51), 2)
      // 100 + at most 200, 400, 400 …
      assert.isAtLeast(yield* after(200), 3)
      const before = yield* Ref.get(attempts)
      const later = yield* after(4_000)
      assert.isAtLeast(later - before, 9)
      assert.isAtMost(later - before, 21)
    }),
  )

  it.effect("gives up after the attempts it was given", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      yield* network.refuse(new ConnectionClosed({ close: 1006, reason: "refused" }))
      const client = yield* make({ limits: { reconnect_attempts: 3 } })
      const failed = yield* Effect.forkScoped(Effect.flip(client.failed))
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(failed)
      assert.deepInclude(error, { code: "UNREACHABLE", reason: "refused" })
    }),
  )

  it.effect.each([closeCodes.goingAway, closeCodes.kicked])("comes back after $reason, within the jitter", ({ code }) =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      yield* make({ limits: { retry_jitter_ms: 2_000 } })
      const first = yield* network.accept
      yield* first.send(welcome())
      yield* first.close(code)
      yield* TestClock.adjust("2 seconds")
      yield* network.accept
    }),
  )

  it.effect("comes back when it is superseded soon after a connection broke, which may be its own; but only once", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const broken = yield* network.accept
      yield* broken.send(welcome())
      yield* broken.close(1006)
      yield* TestClock.adjust("1 second")
      const next = yield* network.accept
      yield* next.send(welcome())
      yield* next.close(closeCodes.superseded.code)
      yield* TestClock.adjust("1 second")
      const last = yield* network.accept
      yield* last.send(welcome())
      yield* last.close(closeCodes.superseded.code)
      assert.strictEqual((yield* Effect.flip(client.failed)).code, "SUPERSEDED")
    }),
  )

  it.effect.each([
    [closeCodes.superseded.code, "SUPERSEDED"],
    [closeCodes.badRequest.code, "BAD_REQUEST"],
    [closeCodes.tooBig.code, "MESSAGE_TOO_BIG"],
    [4_999, "TURNED_AWAY"],
  ] as const)("stops for good on close %s", ([close, code]) =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const sending = yield* Effect.forkScoped(Effect.flip(client.send("sq")))
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1))
      yield* gateway.read
      yield* gateway.close(close)
      assert.strictEqual((yield* Effect.flip(client.failed)).code, code)
      assert.strictEqual((yield* Fiber.join(sending)).code, code)
      assert.strictEqual((yield* Effect.flip(client.send("sq"))).code, code)
      const { sofar, step } = yield* collector
      assert.strictEqual((yield* Effect.flip(client.run(step))).code, code)
      assert.deepStrictEqual(yield* sofar, [1])
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* network.knocks, 0)
    }),
  )

  it.effect("hears the objection that comes before a close, and stops for the close", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const gateway = yield* network.accept
      yield* gateway.send({ type: "error", code: "BAD_REQUEST", message: "no such parameter" })
      yield* gateway.close(closeCodes.badRequest.code)
      assert.strictEqual((yield* Effect.flip(client.failed)).code, "BAD_REQUEST")
    }),
  )

  it.effect("asks a quiet connection for a sign of life, and leaves it when none comes", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      yield* make({ limits: { heartbeat_ms: 1_000 } })
      const gateway = yield* network.accept
      yield* gateway.send(welcome())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(parse(yield* gateway.read), [{ type: "ping" }])
      yield* gateway.send({ type: "pong" })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(parse(yield* gateway.read), [{ type: "ping" }])
      assert.strictEqual(yield* network.knocks, 0)
      yield* TestClock.adjust("2 seconds")
      yield* network.accept
    }),
  )

  it.effect("leaves a connection that is not welcomed in time", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      yield* make({ limits: { connect_timeout_ms: 1_000 } })
      yield* network.accept
      yield* TestClock.adjust("2 seconds")
      yield* network.accept
    }),
  )

  it.effect("resumes on a new connection when a frame can't be read", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      yield* make()
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), "{")
      yield* TestClock.adjust("1 second")
      yield* network.accept
    }),
  )

  it.effect("shows its status and each change", () =>
    Effect.gen(function* () {
      const { make, network } = yield* makeWorld
      const client = yield* make()
      const seen = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(client.status, (status) => Queue.offer(seen, status)))
      assert.strictEqual(yield* Queue.take(seen), "OFFLINE")
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), { type: "status", status: "LIVE" })
      assert.deepStrictEqual(yield* Queue.takeN(seen, 2), ["REPLAYING", "LIVE"])
      assert.strictEqual(yield* client.currentStatus, "LIVE")
      yield* gateway.close(1006)
      assert.strictEqual(yield* Queue.take(seen), "OFFLINE")
    }),
  )

  it.effect(
    "a reader of the status that is slow misses changes, never the last, and one that comes late has the current",
    () =>
      Effect.gen(function* () {
        const { make, network } = yield* makeWorld
        const client = yield* make()
        const slow = yield* Stream.toPull(client.status)
        assert.deepStrictEqual(yield* slow, ["OFFLINE"])
        const gateway = yield* network.accept
        const changes = Array.from({ length: 100 }, (_, i) => ({
          type: "status",
          status: i % 2 === 0 ? "LIVE" : "REPLAYING",
        }))
        yield* gateway.send(welcome(), ...changes, results(1))
        yield* yield* Stream.toPull(client.results)
        const seen = yield* slow
        assert.isBelow(seen.length, changes.length)
        assert.strictEqual(seen.at(-1), "REPLAYING")
        assert.deepStrictEqual(yield* Stream.runHead(client.status), Option.some("REPLAYING"))
      }),
  )

  it.effect("refuses an address or a client id that can't be", () =>
    Effect.gen(function* () {
      const { make } = yield* makeWorld
      for (const url of ["ftp://x", "", "x:1", "ws://", "ws://x/#y", "http://x/v1/stream?a=1#y"]) {
        assert.strictEqual((yield* Effect.flip(make({ url }))).code, "BAD_REQUEST", url)
      }
      assert.strictEqual((yield* Effect.flip(make({ clientId: "a b" }))).code, "BAD_REQUEST")
    }),
  )

  it.effect("on closing saves and acknowledges what the consumer has just finished", () =>
    Effect.gen(function* () {
      const { make, network, remembered } = yield* makeWorld
      const life = yield* Scope.make()
      const client = yield* Scope.provide(make(), life)
      const gateway = yield* network.accept
      yield* gateway.send(welcome(), results(1, 2))
      const pull = yield* Stream.toPull(client.results)
      yield* pull
      yield* Effect.forkScoped(pull)
      yield* Effect.yieldNow
      yield* Scope.close(life, Exit.void)
      assert.deepStrictEqual(parse(yield* gateway.readNow), [{ type: "ack", seq: 2 }])
      assert.strictEqual((yield* remembered).last, 2)
    }),
  )
})
