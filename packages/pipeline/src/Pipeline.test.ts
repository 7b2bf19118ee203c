import { assert, describe, it } from "@effect/vitest"
import { RoleControl } from "@nimbus/domain/admin"
import { ConfigProvider, Effect, Exit, Latch, Layer, Queue, Schedule, Schema, Scope, Stream } from "effect"
import { sessionLimits } from "@nimbus/domain/limits"
import { type ClientId, Epoch, type Item, PodId, Session, start as beginning } from "@nimbus/domain/protocol"
import { AckChannel, type EventLog, Handlers, Mailbox, PodChannel, Registry, Topics } from "@nimbus/domain/services"
import * as Pipeline from "./Pipeline.ts"
import { StatusManager } from "./StatusManager.ts"
import {
  append,
  barrier,
  client,
  event,
  eventually,
  inTestEnvironment,
  start,
  summary,
} from "./testing/TestEnvironment.ts"

const soon = { backoff_min_ms: 1, backoff_max_ms: 10, commit_every_ms: 1, shutdown_timeout_ms: 50 }

const options = {
  eventConsumer: soon,
  resultConsumer: { ...soon, tick_ms: 10 },
  replayConsumer: soon,
  statusManager: { refresh_every_ms: 5 },
}

const samples = Handlers.layer(Handlers.samples)

describe("the settings of a pipeline", () => {
  it.effect("are all in what its roles get", () =>
    Effect.gen(function* () {
      const env = { NIMBUS_UNKNOWN_EVENT_WAIT: "60 seconds", NIMBUS_DEDUPE_RECORDS: "7" }
      const { eventConsumer } = yield* Pipeline.settings.parse(ConfigProvider.fromEnv({ env }))
      assert.strictEqual(eventConsumer?.unknown_event_wait_ms, 60_000)
      assert.strictEqual(eventConsumer?.repeats?.dedupe_records, 7)
    }),
  )
})

const pipeline = Pipeline.layer(options).pipe(Layer.provide(samples))

/** A client with a memory, as the SDK is: what it has seen survives its connections. */
class Client {
  readonly clientId: ClientId
  readonly seen: Array<Item> = []
  isLive = false

  constructor(name: string) {
    this.clientId = client(name)
  }
}

/**
 * One connection by hand: a pod of its own for one client, which acknowledges all that it gets at once. It is what a
 * gateway does around `Session`, without a socket. Closing the scope is the cut of a cable: nobody is told.
 */
const connect = Effect.fnUntraced(function* (to: Client, podName: string) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const pod = PodId.make(podName)
  const mailbox = yield* Mailbox
  const registry = yield* Registry
  const acks = yield* AckChannel
  const { events } = yield* Topics
  yield* registry.lease(pod, 60_000)
  const epoch = yield* registry.connect(to.clientId, pod, Epoch.make(1))
  const after = to.seen.at(-1)?.seq ?? beginning
  const session = Session.make({ clientId: to.clientId, epoch, pod, after, limits: sessionLimits })
  const work = yield* Queue.unbounded<Session.Output>()

  const step = (input: Session.Input): void => {
    for (const output of Session.step(session, input)) {
      if (output._tag !== "Deliver") {
        Queue.offerUnsafe(work, output)
        continue
      }
      to.seen.push(...output.items)
      step({ _tag: "Ack", seq: output.items.at(-1)!.seq })
    }
    to.isLive = session.status === "LIVE"
  }
  const perform = (output: Session.Output): Effect.Effect<unknown, unknown, EventLog> => {
    switch (output._tag) {
      case "Read":
        return mailbox
          .page(to.clientId, output.after, output.limit)
          .pipe(Effect.map((page) => step({ _tag: "Page", page })))
      case "PublishBarrier":
        return append(events, barrier(to.clientId, epoch, pod, output.number))
      case "Ack":
        return acks.publish(0, [{ _tag: "Ack", clientId: to.clientId, seq: output.seq }])
      case "Nack":
        return acks.publish(0, [{ _tag: "Nack", clientId: to.clientId, route: output.route }])
      case "Trim":
        return mailbox.ack([{ clientId: to.clientId, seq: output.seq }])
      default:
        return Effect.void
    }
  }
  const pushes = yield* (yield* PodChannel).subscribe(pod).pipe(Scope.provide(scope))
  const hear = Stream.runForEach(pushes, (batch) =>
    Effect.sync(() => {
      for (const message of batch) {
        step(message._tag === "Push" ? message : { _tag: "Mail" })
      }
    }),
  )
  const act = Queue.take(work).pipe(Effect.flatMap(perform), Effect.forever)
  const tick = Effect.sync(() => step({ _tag: "Tick" })).pipe(Effect.repeat(Schedule.spaced(5)))
  step({ _tag: "Open" })
  yield* Effect.forEach([hear, act, tick], (effect) => Effect.forkIn(effect, scope))
  return { cut: Scope.close(scope, Exit.void) }
})

/** What the clients should have seen, by what they sent. */
const squares = (numbers: ReadonlyArray<number>) => numbers.map((n) => `e${n} ${n * n}`)
const seenBy = (one: Client) =>
  one.seen.map((item) => {
    const { id, says } = summary(item)
    return `${id} ${(says as { readonly result: number }).result}`
  })

const run = Effect.fnUntraced(function* () {
  const { events } = yield* Topics
  const clients = [new Client("a"), new Client("b"), new Client("c")]
  const sent: Array<number> = []
  const send = Effect.fnUntraced(function* (n: number) {
    for (let i = 0; i < n; i++) {
      const number = sent.length
      sent.push(number)
      yield* append(events, ...clients.map(({ clientId }) => event(clientId, `e${number}`, "sq", { number })))
    }
  })
  const [a, b, c] = clients as [Client, Client, Client]
  const isLive = (one: Client) => eventually(`${one.clientId} is LIVE`, () => one.isLive)
  const has = (one: Client, n: number) => eventually(`${one.clientId} has ${n}`, () => one.seen.length === n)
  return { a, b, c, send, sent, isLive, has }
})

describe("Pipeline", () => {
  it.live("every client sees each of its results once and in order, through cuts and a crash of the pipeline", () =>
    Effect.gen(function* () {
      const { a, b, c, has, isLive, send, sent } = yield* run()
      const first = yield* start(pipeline)
      yield* connect(a, "pod-a1")
      const bCable = yield* connect(b, "pod-b1")
      yield* isLive(a)
      yield* isLive(b)
      // Live for a and b; c was never here.
      yield* send(50)
      yield* has(a, 50)
      yield* has(b, 50)
      // b's cable is cut in the middle of it all.
      yield* bCable.cut
      yield* send(50)
      yield* has(a, 100)
      // The pipeline goes down with things in its hands; events go on coming in.
      yield* first.stop
      yield* send(50)
      yield* start(pipeline)
      yield* connect(b, "pod-b2")
      yield* connect(c, "pod-c1")
      yield* send(50)
      for (const one of [a, b, c]) {
        yield* has(one, 200)
        yield* isLive(one)
        assert.deepStrictEqual(seenBy(one), squares(sent))
      }
      // All of them are on the live path again.
      yield* send(1)
      for (const one of [a, b, c]) yield* has(one, 201)
    }).pipe(inTestEnvironment()),
  )

  it.live("with nothing under way there is no lag", () =>
    Effect.gen(function* () {
      const { a, has, send } = yield* run()
      const snapshot = Effect.flatMap(StatusManager, (manager) => manager.snapshot)
      yield* Effect.gen(function* () {
        yield* connect(a, "pod-a1")
        yield* send(20)
        yield* has(a, 20)
        yield* eventually(
          "no lag",
          Effect.map(snapshot, ({ lag, lag_at_ms }) => {
            return lag_at_ms !== undefined && lag.events === 0 && lag.results === 0 && lag.dlq === 0
          }),
        )
        assert.deepStrictEqual((yield* snapshot).clients, { OFFLINE: 0, REPLAYING: 1, LIVE: 0 })
      }).pipe(Effect.provide(pipeline))
    }).pipe(inTestEnvironment()),
  )

  it.live("a client misses and repeats nothing while each consumer in turn crashes and is switched on again", () =>
    Effect.gen(function* () {
      const { a, b, has, isLive, send, sent } = yield* run()
      yield* Effect.gen(function* () {
        const { list, set } = yield* RoleControl
        const roles = (yield* list).map(({ role }) => role)
        assert.deepStrictEqual(roles, [
          "event-consumer",
          "result-consumer",
          "replay-consumer",
          "storage-writer",
          "task-worker",
        ])
        yield* connect(a, "pod-a1")
        yield* isLive(a)
        for (const role of roles) {
          yield* send(20)
          assert.deepStrictEqual(yield* set(role, false), { role, isRunning: false })
          yield* send(20)
          assert.deepStrictEqual(
            (yield* list).filter(({ isRunning }) => !isRunning),
            [{ role, isRunning: false }],
          )
          assert.deepStrictEqual(yield* set(role, true), { role, isRunning: true })
          yield* has(a, sent.length)
        }
        yield* connect(b, "pod-b1")
        yield* has(b, sent.length)
        assert.deepStrictEqual(seenBy(a), squares(sent))
        assert.deepStrictEqual(seenBy(b), squares(sent))
      }).pipe(Effect.provide(Pipeline.layerSwitched(options).pipe(Layer.provide(samples))))
    }).pipe(inTestEnvironment()),
  )

  it.live("a consumer that is switched off waits for nothing, whatever it has in hand", () =>
    Effect.gen(function* () {
      const { events } = yield* Topics
      const isHandling = yield* Latch.make()
      const endless = Handlers.make("endless", {
        input: Schema.Json,
        output: Schema.Json,
        handler: () => Effect.andThen(isHandling.open, Effect.never),
      })
      const patient = { eventConsumer: { ...soon, shutdown_timeout_ms: 600_000 } }
      yield* Effect.gen(function* () {
        const { set } = yield* RoleControl
        yield* append(events, event(client("a"), "e0", "endless", {}))
        yield* isHandling.await
        assert.deepStrictEqual(yield* set("event-consumer", false), { role: "event-consumer", isRunning: false })
        assert.strictEqual((yield* Effect.flip(set("no-such", true)))._tag, "NotFound")
      }).pipe(Effect.provide(Pipeline.layerSwitched(patient).pipe(Layer.provide(Handlers.layer([endless])))))
    }).pipe(inTestEnvironment()),
  )
})
