import { assert, describe, it } from "@effect/vitest"
import { anyone } from "@nimbus/domain/access"
import { InvariantBroken } from "@nimbus/domain/errors"
import { sessionLimits } from "@nimbus/domain/limits"
import {
  ClientId,
  closeCodes,
  encode,
  encodePlacedBarrier,
  Epoch,
  EventId,
  Feed,
  Journey,
  MailboxHint,
  partitionOf,
  PodId,
  RouteId,
  Seq,
  Session,
  start,
  Steps,
  type StepsShape,
} from "@nimbus/domain/protocol"
import {
  AckChannelMemory,
  ClientOffsetsMemory,
  EventLog,
  EventLogMemory,
  Mailbox,
  MailboxMemory,
  PodChannel,
  PodChannelMemory,
  Registry,
  RegistryMemory,
  Topics,
} from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Clock, Context, Effect, Fiber, Latch, Layer, Logger, References, Stream } from "effect"
import type { Transport } from "../Transport.ts"
import { type GatewayLimits, Limits } from "../Limits.ts"
import { Pod } from "../Pod.ts"
import { Access } from "../access/Access.ts"
import { Subjects } from "../subjects/Subjects.ts"
import { Delivery } from "./Delivery.ts"

const transport: Transport = {
  name: "test",
  isGone: false,
  deliver: () => true,
  notify: () => {},
  close: () => {},
  limit: () => {},
  pause: () => {},
  resume: () => {},
}

/** A round of the sweep takes 100 × 100 ms; after a loss 200 ms. */
const limits = { tick_ms: 100, sweep_ms: 600_000, lease_check_ms: 50, sweep_after_loss_ms: 200 }
const parts = (registry: Registry["Service"], more: Partial<GatewayLimits> = {}) =>
  Delivery.layer.pipe(
    Layer.provide(Subjects.layer),
    Layer.provide(Access.layer),
    Layer.provideMerge(
      Layer.mergeAll(
        EventLogMemory.layerMemory({ partitions: 3 }),
        MailboxMemory.layerMemory(),
        PodChannelMemory.layerMemory(),
        AckChannelMemory.layerMemory(),
        ClientOffsetsMemory.layerMemory(),
        Layer.succeed(Registry, registry),
        Limits.layerWith({ ...limits, ...more }),
        Pod.layer,
      ),
    ),
    Layer.provideMerge(Topics.layerDefault),
  )

const clients = Array.from({ length: 100 }, (_, i) => ClientId.make(`c${i}`))

/** Who connects where there are no locks. */
const as = (clientId: ClientId) => ({ clientId, principal: anyone(clientId) })

/** A registry whose first connect is written at once, and answered when `late` is opened. */
const firstLate = (registry: Registry["Service"]) => {
  const late = Latch.makeUnsafe()
  let connects = 0
  const connect: typeof registry.connect = (...asked) =>
    Effect.tap(registry.connect(...asked), () => (connects++ === 0 ? late.await : Effect.void))
  const firstAsked = eventually(
    "the first has asked",
    Effect.sync(() => connects === 1),
  )
  return { late, slow: { ...registry, connect }, firstAsked, connects: () => connects }
}

/** Where the log has the events of a client. */
const placesOf = Effect.fnUntraced(function* (clientId: ClientId) {
  const log = yield* EventLog
  const { events } = yield* Topics
  const chunks = log.tail(events, partitionOf(clientId, log.partitions), "earliest")
  const isEvent = ({ value }: { readonly value: Uint8Array }) => new TextDecoder().decode(value).includes(`"event"`)
  const found = yield* chunks.pipe(
    Stream.flatMap(({ records }) => Stream.fromIterable(records)),
    Stream.filter(isEvent),
    Stream.take(3),
    Stream.runCollect,
  )
  return found.map(({ offset }) => Seq.make(offset))
})

const defaults = Context.get(Context.empty(), Steps)

/** A session that says when it is read no further, and when again. */
const opened = Effect.fnUntraced(function* (clientId: ClientId, told: Array<string>, more: Partial<Transport> = {}) {
  const { open } = yield* Delivery
  const reading = { pause: () => told.push("pause"), resume: () => told.push("resume") }
  return yield* open({
    ...as(clientId),
    after: start,
    log: undefined,
    transport: { ...transport, ...reading, ...more },
  })
})

describe("Delivery", () => {
  it.live.each([
    { level: "Debug" as const, told: ["a session opens", "the session is over"] },
    { level: "Info" as const, told: [] },
  ])("tells the life of a session in lines that name it, at $level: $told", ({ level, told }) => {
    const lines: Array<string> = []
    const logger = Logger.make(({ fiber, message }) => {
      const { clientId, epoch } = fiber.getRef(References.CurrentLogAnnotations)
      if (clientId === "c1" && typeof epoch === "number") lines.push(String(message))
    })
    return Effect.gen(function* () {
      const { open } = yield* Delivery
      const statuses: Array<string> = []
      const handle = yield* open({
        ...as(clients[1]!),
        after: start,
        log: undefined,
        transport: { ...transport, notify: (notice) => notice._tag === "Welcome" && statuses.push(notice.status) },
      })
      yield* eventually(
        "it is welcome",
        Effect.sync(() => statuses.length === 1),
      )
      handle.closed()
      yield* eventually(
        "all is told",
        Effect.sync(() => lines.length >= told.length),
      )
      assert.deepStrictEqual(lines, told)
    }).pipe(
      Effect.provide(parts(RegistryMemory.makeMemory().registry)),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, level),
    )
  })

  it.live("reads a connection no further that has too many unanswered events, until results answer them", () =>
    Effect.gen(function* () {
      const [clientId] = clients
      assert.isDefined(clientId)
      const log = yield* EventLog
      const told: Array<string> = []
      const handle = yield* opened(clientId, told, {
        deliver: (items) => (told.push(`deliver ${items.map(({ seq }) => seq).join(" ")}`), true),
        notify: (notice) => notice._tag === "Accepted" && told.push(`accepted ${notice.ids.join(" ")}`),
      })
      for (const id of ["e1", "e2", "e3"])
        handle.event(
          EventId.make(id),
          "sq",
          () => encode({ type: "event", id: EventId.make(id), name: "sq", data: 1 }),
          false,
        )
      yield* eventually(
        "they are in the log",
        Effect.sync(() => told.length === 2),
      )
      assert.deepStrictEqual(told, ["pause", "accepted e1 e2 e3"])
      const result = (seq: Seq) => ({ clientId, seq, value: new Uint8Array(1), timestamp: 0 })
      const [first, second, third] = yield* placesOf(clientId)
      assert.isDefined(first)
      assert.isDefined(second)
      assert.isDefined(third)
      const put = (yield* Mailbox).put
      const partition = partitionOf(clientId, log.partitions)
      yield* put(partition, { expected: undefined, next: 1, records: [result(first)] })
      yield* eventually(
        "one is answered",
        Effect.sync(() => told.includes(`deliver ${first}`)),
      )
      assert.notInclude(told, "resume", "two are not answered still")
      yield* put(partition, { expected: 1, next: 2, records: [result(second)] })
      yield* eventually(
        "it is read again",
        Effect.sync(() => told.includes("resume")),
      )
      assert.deepStrictEqual(told.slice(-2), [`deliver ${second}`, "resume"])
    }).pipe(
      Effect.provide(
        parts(RegistryMemory.makeMemory().registry, { client_unanswered_events: 2, unanswered_hold_ms: 60_000 }),
      ),
    ),
  )

  it.live("reads a client on that is to acknowledge before it is sent more, whose window is not full", () =>
    Effect.gen(function* () {
      const [clientId] = clients
      assert.isDefined(clientId)
      const told: Array<string> = []
      const handle = yield* opened(clientId, told, {
        deliver: (items) => (told.push(`deliver ${items.length}`), true),
      })
      const send = (id: string) => handle.event(EventId.make(id), "square", () => new Uint8Array(1), false)
      send("e1")
      assert.deepStrictEqual(told, ["pause"], "nothing keeps it from being sent results")
      const records = [1, 2, 3, 4, 5, 6, 7].map((seq) => ({
        clientId,
        seq: Seq.make(seq),
        value: new Uint8Array(1),
        timestamp: 0,
      }))
      const partition = partitionOf(clientId, (yield* EventLog).partitions)
      yield* (yield* Mailbox).put(partition, { expected: undefined, next: 1, records })
      yield* eventually(
        "it is read again",
        Effect.sync(() => told.includes("resume")),
      )
      send("e2")
      send("e3")
      assert.deepStrictEqual(told, ["pause", "deliver 7", "resume"])
    }).pipe(
      Effect.provide(
        parts(RegistryMemory.makeMemory().registry, {
          client_unanswered_events: 1,
          unanswered_hold_ms: 60_000,
          session: { ...sessionLimits, window_results: 8 },
        }),
      ),
    ),
  )

  it.live("counts cancels as events, and whatever the client gets next answers them and the events of tasks", () =>
    Effect.gen(function* () {
      const [clientId] = clients
      assert.isDefined(clientId)
      const told: Array<string> = []
      const handle = yield* opened(clientId, told, { notify: (notice) => void told.push(notice._tag) })
      // The event of a task, which never has a result of its own id.
      handle.event(EventId.make("e1"), "square", () => new Uint8Array(1), false)
      for (let i = 0; i < 2; i++) handle.cancel(EventId.make("another"))
      assert.deepStrictEqual(told.slice(-1), ["pause"])
      yield* eventually(
        "the log has them",
        Effect.sync(() => told.includes("Cancelling")),
      )
      assert.notInclude(told, "resume")
      const part = { clientId, seq: Seq.make(1_000), value: new Uint8Array(1), timestamp: 0 }
      const partition = partitionOf(clientId, (yield* EventLog).partitions)
      yield* (yield* Mailbox).put(partition, { expected: undefined, next: 1, records: [part] })
      yield* eventually(
        "it is read again",
        Effect.sync(() => told.includes("resume")),
      )
    }).pipe(
      Effect.provide(
        parts(RegistryMemory.makeMemory().registry, { client_unanswered_events: 3, unanswered_hold_ms: 60_000 }),
      ),
    ),
  )

  it.live("reads a connection again after a while whose events are not answered", () =>
    Effect.gen(function* () {
      const [clientId] = clients
      assert.isDefined(clientId)
      const told: Array<string> = []
      const handle = yield* opened(clientId, told)
      const send = (id: string) => handle.event(EventId.make(id), "square", () => new Uint8Array(1), false)
      send("e1")
      yield* eventually(
        "it is read again",
        Effect.sync(() => told.length === 2),
      )
      send("e2")
      assert.deepStrictEqual(told, ["pause", "resume", "pause"])
    }).pipe(
      Effect.provide(
        parts(RegistryMemory.makeMemory().registry, { client_unanswered_events: 1, unanswered_hold_ms: 1 }),
      ),
    ),
  )

  it.live("closes a session that breaks an invariant, and goes on with the others of its batch", () => {
    const [bad, good] = [clients[0]!, clients[1]!]
    const hinted: Array<ClientId> = []
    const session: StepsShape["session"] = (state, input, out) => {
      if (input._tag === "Mail") hinted.push(state.clientId)
      if (input._tag === "Mail" && state.clientId === bad) throw new InvariantBroken({ core: "Session", invariant: 6 })
      return Session.step(state, input, out)
    }
    return Effect.gen(function* () {
      const { open, pod, size } = yield* Delivery
      const closed: Array<unknown> = []
      for (const clientId of [bad, good]) {
        const close = (reason: unknown) => void closed.push([clientId, reason])
        yield* open({ ...as(clientId), after: start, log: undefined, transport: { ...transport, close } })
      }
      const hints = [bad, good].map((clientId) => MailboxHint.make({ clientId }))
      yield* (yield* PodChannel).publish(pod, hints)
      yield* eventually(
        "both are told",
        Effect.sync(() => hinted.length === 2),
      )
      assert.deepStrictEqual(closed, [[bad, closeCodes.unavailable]])
      assert.strictEqual(size(), 1)
    }).pipe(
      Effect.provide(parts(RegistryMemory.makeMemory().registry)),
      Effect.provide(Layer.succeed(Steps, { ...defaults, session })),
    )
  })

  it.live("closes those whose feed breaks an invariant: they come again, to another", () => {
    let chunks = 0
    const feed: StepsShape["feed"] = (state, input, out) => {
      if (input._tag === "Chunk" && chunks++ === 0) throw new InvariantBroken({ core: "Feed", invariant: 1 })
      return Feed.step(state, input, out)
    }
    return Effect.gen(function* () {
      const { openDirect, size } = yield* Delivery
      const log = yield* EventLog
      const topics = yield* Topics
      const clientId = clients[0]!
      const partition = partitionOf(clientId, log.partitions)
      const closed: Array<unknown> = []
      let isLive = false
      const connect = openDirect({
        ...as(clientId),
        after: start,
        log: undefined,
        transport: {
          ...transport,
          notify: (notice) => {
            if (notice._tag === "Status") isLive = notice.status === "LIVE"
          },
          close: (reason) => closed.push(reason),
        },
      })
      const live = eventually(
        "it is LIVE",
        Effect.sync(() => isLive),
      )
      yield* connect
      yield* live
      const value = encodePlacedBarrier(Seq.make(1), { epoch: Epoch.make(1), pod: PodId.make("elsewhere") })
      yield* log.publish(topics.results, partition, [{ key: clientId, value }])
      yield* eventually(
        "it is closed",
        Effect.sync(() => closed.length > 0),
      )
      assert.deepStrictEqual(closed, [closeCodes.unavailable])
      assert.strictEqual(size(), 0)
      isLive = false
      yield* connect
      yield* live
    }).pipe(
      Effect.provide(parts(RegistryMemory.makeMemory().registry)),
      Effect.provide(Layer.succeed(Steps, { ...defaults, feed })),
    )
  })

  it.live("opens sessions a few at a time, however many are asked for at once", () => {
    const { registry } = RegistryMemory.makeMemory()
    let round = 0
    let isOver = false
    const count = () => {
      round++
      if (!isOver) setImmediate(count)
    }
    const rounds = new Map<number, number>()
    const connect: typeof registry.connect = (...asked) =>
      Effect.suspend(() => {
        rounds.set(round, (rounds.get(round) ?? 0) + 1)
        return registry.connect(...asked)
      })
    return Effect.gen(function* () {
      const { open, size } = yield* Delivery
      count()
      yield* Effect.forEach(clients, (clientId) => open({ ...as(clientId), after: start, log: undefined, transport }), {
        concurrency: "unbounded",
        discard: true,
      })
      isOver = true
      assert.strictEqual(size(), clients.length)
      // Those of two turns of the event loop may be seen as one.
      assert.isAtMost(Math.max(...rounds.values()), 4)
    }).pipe(Effect.provide(parts({ ...registry, connect }, { openings_per_turn: 2 })))
  })

  it.live("tells a registry that was wiped who is here, long before the sweep would", () => {
    const memory = RegistryMemory.makeMemory()
    return Effect.gen(function* () {
      const { open, pod } = yield* Delivery
      yield* Effect.forEach(clients, (clientId) => open({ ...as(clientId), after: start, log: undefined, transport }))
      memory.wipe()
      assert.deepStrictEqual(new Set(yield* memory.registry.pods(clients)), new Set([undefined]))
      yield* eventually(
        "the registry knows all again",
        Effect.map(memory.registry.pods(clients), (pods) => pods.every((known) => known === pod)),
        8_000,
      )
    }).pipe(Effect.provide(parts(memory.registry)))
  })

  it.live("keeps the newer of two sessions that the registry answers in the other order", () => {
    const { registry } = RegistryMemory.makeMemory()
    const { firstAsked, late, slow } = firstLate(registry)
    const closed: Array<string> = []
    const named = (name: string): Transport => ({
      ...transport,
      close: ({ reason }) => void closed.push(`${name} ${reason}`),
    })
    return Effect.gen(function* () {
      const { open, size } = yield* Delivery
      const request = { ...as(clients[0]!), after: start, log: undefined }
      const older = yield* Effect.forkChild(open({ ...request, transport: named("older") }), { startImmediately: true })
      yield* firstAsked
      yield* open({ ...request, transport: named("newer") })
      yield* late.open
      yield* Fiber.join(older)
      assert.deepStrictEqual(closed, ["older SUPERSEDED"])
      assert.strictEqual(size(), 1)
    }).pipe(Effect.provide(parts(slow)))
  })

  it.live("lets a client that opens session after session wait, and keeps the one that is there", () => {
    const memory = RegistryMemory.makeMemory()
    const closed: Array<string> = []
    const named = (name: string): Transport => ({
      ...transport,
      close: ({ reason }) => void closed.push(`${name} ${reason}`),
    })
    return Effect.gen(function* () {
      const { open, session } = yield* Delivery
      const request = { ...as(clients[0]!), after: start, log: undefined }
      for (const name of ["first", "second"]) yield* open({ ...request, transport: named(name) })
      const third = yield* Effect.forkChild(Effect.flip(open({ ...request, transport: named("third") })), {
        startImmediately: true,
      })
      const gone = yield* Effect.forkChild(
        Effect.flip(open({ ...request, transport: { ...transport, isGone: true } })),
        {
          startImmediately: true,
        },
      )
      assert.strictEqual((yield* Fiber.join(third))._tag, "OpeningSuperseded")
      assert.strictEqual((yield* Fiber.join(gone))._tag, "ConnectionGone")
      assert.deepStrictEqual(closed, ["first SUPERSEDED"])
      assert.isDefined(session(clients[0]!))
    }).pipe(Effect.provide(parts(memory.registry, { openings_in_a_row: 2, opening_every_ms: 200 })))
  })

  it.live("follows a result to its ack, also where an older session of the client loses meanwhile", () => {
    const { registry } = RegistryMemory.makeMemory()
    const { firstAsked, late, slow } = firstLate(registry)
    const clientId = clients[0]!
    const seq = Seq.make(5)
    return Effect.gen(function* () {
      const { open, pod } = yield* Delivery
      const log = yield* EventLog
      const { events, journey } = yield* Topics
      const partition = partitionOf(clientId, log.partitions)
      yield* log.publish(events, partition, [{ key: clientId, value: new Uint8Array(1) }])
      const request = { ...as(clientId), after: Seq.make(0), log: undefined }
      const older = yield* Effect.forkChild(open({ ...request, transport }), { startImmediately: true })
      yield* firstAsked
      let [delivered, isLive] = [0, false]
      const newer = yield* open({
        ...request,
        transport: {
          ...transport,
          deliver: (items) => (delivered += items.length) > 0,
          notify: (notice) => void (isLive ||= notice._tag === "Status" && notice.status === "LIVE"),
        },
      })
      const [prev, route] = [Seq.make(1), RouteId.make("r.1")]
      const [status] = yield* registry.statuses([clientId])
      const epoch = status?.epoch ?? Epoch.make(0)
      const barrier = { clientId, seq: prev, value: encodePlacedBarrier(prev, { epoch, pod, route }), timestamp: 0 }
      yield* (yield* Mailbox).put(partition, { expected: undefined, next: 1, records: [barrier] })
      yield* (yield* PodChannel).publish(pod, [{ _tag: "Mail", clientId }])
      yield* eventually(
        "it is LIVE",
        Effect.sync(() => isLive),
      )
      const headers = Journey.sample({ time: 0, service: "gateway", instance: pod, step: "accepted", details: {} })
      const push = { _tag: "Push", clientId, seq, prev, route, value: new Uint8Array(1), headers } as const
      yield* (yield* PodChannel).publish(pod, [push])
      yield* eventually(
        "it is delivered",
        Effect.sync(() => delivered === 1),
      )
      yield* late.open
      yield* Fiber.join(older)
      newer.ack(seq)
      const steps = yield* log.tail(journey, partition, "earliest").pipe(
        Stream.flatMap(({ records }) => Stream.fromIterable(records)),
        Stream.take(2),
        Stream.map(({ value }) => new TextDecoder().decode(value)),
        Stream.runCollect,
      )
      assert.match(steps[1] ?? "", /"acknowledged"/)
    }).pipe(Effect.timeout("30 seconds"), Effect.provide(parts(slow)))
  })

  it.live("never uses one of its epochs twice, also where the registry rolls back between two connects", () => {
    const { registry, restore, snapshot } = RegistryMemory.makeMemory()
    const clientId = clients[0]!
    const { connects, firstAsked, late, slow } = firstLate(registry)
    const epochs: Array<number> = []
    const told: Transport = { ...transport, notify: (notice) => notice._tag === "Welcome" && epochs.push(notice.epoch) }
    return Effect.gen(function* () {
      const { open } = yield* Delivery
      const request = { ...as(clientId), after: start, log: undefined, transport: told }
      // By a pod whose clock is ahead: until ours has caught up, the registry chooses the epochs.
      const ahead = Epoch.make((yield* Clock.currentTimeMillis) + 3_600_000)
      yield* registry.connect(clientId, PodId.make("ahead"), ahead)
      const before = snapshot()
      const first = yield* Effect.forkChild(open(request), { startImmediately: true })
      yield* firstAsked
      restore(before)
      const second = yield* Effect.forkChild(open(request), { startImmediately: true })
      yield* eventually(
        "the second is open",
        Effect.sync(() => epochs.length === 1),
      )
      yield* late.open
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      yield* eventually(
        "the first is open",
        Effect.sync(() => epochs.length === 2),
      )
      assert.strictEqual(connects(), 3)
      assert.deepStrictEqual(epochs, [ahead + 1, ahead + 2])
    }).pipe(Effect.provide(parts(slow)))
  })
})
