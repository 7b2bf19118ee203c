import { assert, describe, it } from "@effect/vitest"
import { RegistryUnavailable } from "@nimbus/domain/errors"
import {
  ClientId,
  encode,
  encodeResult,
  Epoch,
  EventId,
  type Headers,
  Journey,
  PodId,
  partitionOf,
  Quarantined,
  RunId,
  Seq,
  type Status,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { EventLog, Mailbox, Registry, Topics } from "@nimbus/domain/services"
import { callerHeader } from "@nimbus/domain/access"
import { Operations, type Republished } from "@nimbus/domain/admin"
import { Effect, Fiber, Layer, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { adminLimits } from "../Limits.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import * as ServiceOperations from "./ServiceOperations.ts"

/** Without a gateway, as in a process of its own. */
const on =
  (limits: Parameters<typeof ServiceOperations.layerWith>[0] = {}) =>
  <A, E, R>(test: Effect.Effect<A, E, R>) =>
    Effect.provide(test, ServiceOperations.layerWith(limits).pipe(Layer.provideMerge(MemoryParts.layer)), {
      local: true,
    })

const ada = ClientId.make("ada")
const bob = ClientId.make("bob")
const pod = PodId.make("p1")
const seqOf = (n: number) => Seq.make(n)
const utf8 = new TextEncoder()

type TopicName = Exclude<keyof Topics["Service"], "messages" | "revocations" | "audit">

const publish = Effect.fnUntraced(function* (
  topic: TopicName,
  clientId: string,
  values: ReadonlyArray<Uint8Array>,
  headers?: Headers,
) {
  const log = yield* EventLog
  const name = (yield* Topics)[topic]
  const records = values.map((value) => ({ key: clientId, value, headers }))
  return yield* log.publish(name, partitionOf(ada, log.partitions), records)
})

const event = (id: string, data: Schema.Json = null, type: "event" | "message" = "event") =>
  encode({ type, id: EventId.make(id), name: "sq", data })
const barrier = encode({ type: "barrier", epoch: Epoch.make(1), pod })
const result = (seq: number) => encodeResult({ seq: seqOf(seq), id: EventId.make(`e${seq}`), name: "sq", data: null })

const step = (name: Journey.StepName, time: number, service = "gateway"): Journey.JourneyStep => ({
  time,
  service,
  instance: "i1",
  step: name,
  details: { rule: name },
})

/** Headers with these steps. */
const stepped = (first: Journey.JourneyStep, ...more: ReadonlyArray<Journey.JourneyStep>): Headers =>
  Journey.append(Journey.sample(first), ...more)

const late = (clientId: ClientId, seq: number, ...steps: ReadonlyArray<Journey.JourneyStep>) =>
  utf8.encode(Schema.encodeSync(Schema.fromJsonString(Journey.LateSteps))({ clientId, seq: seqOf(seq), steps }))

/** The events of a client in the log, with their offsets. */
const logged = (clientId: ClientId) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const { events } = yield* Topics
    const end = yield* log.end(events, partitionOf(clientId, log.partitions))
    const { lastEvents } = yield* Operations.use(({ client }) => client({ params: { clientId: clientId } }))
    return { end, events: [...lastEvents].reverse() }
  })

const write = (clientId: ClientId, epoch: number, status: Status.StatusName, at = pod) =>
  Registry.use((registry) => registry.write([{ clientId, epoch: Epoch.make(epoch), pod: at, status }]))

const putMail = (clientId: ClientId, seq: number, value = result(seq), headers?: Headers) =>
  Effect.gen(function* () {
    const mailbox = yield* Mailbox
    const partition = partitionOf(clientId, (yield* EventLog).partitions)
    const expected = yield* mailbox.offset(partition)
    const record = { clientId, seq: seqOf(seq), value, headers, timestamp: 0 }
    yield* mailbox.put(partition, { expected, next: (expected ?? 0) + 1, records: [record] })
  })

const claimed = Effect.gen(function* () {
  const log = yield* EventLog
  const ends = Array.from({ length: log.partitions }, () => 1_000_000)
  yield* (yield* Mailbox).claim({ incarnation: log.incarnation, partitions: log.partitions, ends })
})

const failure = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.map(Effect.result(effect), Result.getFailure)
const codeOf = (error: unknown) => Object(Object(error).value).code

describe("Operations: clients", () => {
  it.effect("lists who replays, then who is away with mail, then the others, the newest first", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* (yield* Registry).lease(pod, 60_000)
      yield* write(ClientId.make("live"), 9, "LIVE")
      yield* write(ClientId.make("away-2"), 8, "OFFLINE")
      yield* write(ClientId.make("away-mail"), 1, "OFFLINE")
      yield* write(ClientId.make("replaying-1"), 3, "REPLAYING")
      yield* write(ClientId.make("replaying-2"), 4, "REPLAYING")
      yield* write(ClientId.make("orphan"), 7, "LIVE", PodId.make("dead"))
      yield* putMail(ClientId.make("away-mail"), 5)
      const { clients, more } = yield* Operations.use(({ clients }) => clients({ query: {} }))
      assert.deepStrictEqual(
        clients.map(({ clientId, status, waiting }) => `${clientId} ${status} ${waiting}`),
        [
          "replaying-2 REPLAYING 0",
          "replaying-1 REPLAYING 0",
          "away-mail OFFLINE 1",
          "live LIVE 0",
          "away-2 OFFLINE 0",
          "orphan OFFLINE 0",
        ],
      )
      assert.isFalse(more)
      assert.sameDeepMembers(
        [...(yield* Operations.use(({ pods }) => pods()))],
        [
          { pod, clients: 3, isLive: true },
          { pod: PodId.make("dead"), clients: 1, isLive: false },
        ],
      )
    }).pipe(on()),
  )

  it.effect("finds by status and by a part of the id, and says where there are more", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* (yield* Registry).lease(pod, 60_000)
      for (let i = 0; i < 30; i++) yield* write(ClientId.make(`c-${i}`), i, i % 2 === 0 ? "LIVE" : "REPLAYING")
      const { clients } = yield* Operations
      const live = yield* clients({ query: { status: "LIVE", limit: 10 } })
      assert.strictEqual(live.clients.length, 10)
      assert.isTrue(live.more)
      assert.isTrue(live.clients.every(({ status }) => status === "LIVE"))
      const found = yield* clients({ query: { search: "-2" } })
      assert.sameMembers(
        found.clients.map(({ clientId }) => `${clientId}`),
        ["c-2", ...Array.from({ length: 10 }, (_, i) => `c-2${i}`)],
      )
      assert.isFalse(found.more)
    }).pipe(on()),
  )

  it.effect("counts no more clients than it may look at, and says so", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 30; i++) yield* write(ClientId.make(`c${i}`), i, "LIVE")
      const status = yield* Operations.use(({ status }) => status())
      assert.strictEqual(status.clients.OFFLINE, 20)
      assert.isTrue(status.clientsMore)
    }).pipe(on({ scan_clients: 20 })),
  )

  it.effect("shows one client: what the registry, its mailbox and the log know of it, its newest events first", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* (yield* Registry).lease(pod, 60_000)
      yield* write(ada, 7, "LIVE")
      yield* publish("events", ada, [event("e0"), barrier, event("e2", null, "message")])
      yield* publish(
        "events",
        bob,
        Array.from({ length: 2_500 }, (_, i) => event(`b${i}`)),
      )
      yield* putMail(ada, 0)
      const view = yield* Operations.use(({ client }) => client({ params: { clientId: ada } }))
      assert.deepStrictEqual(view.registry, { status: "LIVE", epoch: Epoch.make(7), pod })
      assert.strictEqual(view.mailbox.results, 1)
      assert.deepStrictEqual(
        view.lastEvents.map(({ id, seq, type }) => ({ id, seq: Number(seq), type })),
        [
          { id: "e2", seq: 2, type: "message" },
          { id: "e0", seq: 0, type: "event" },
        ],
      )
      assert.isUndefined(view.session)
    }).pipe(on()),
  )

  it.effect("knows a client by its mail alone, and says of another that nothing is known of it", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* putMail(ada, 0)
      const view = yield* Operations.use(({ client }) => client({ params: { clientId: ada } }))
      assert.isUndefined(view.registry)
      assert.strictEqual(view.mailbox.results, 1)
      const { _tag, message } = yield* Effect.flip(
        Operations.use(({ client }) => client({ params: { clientId: ClientId.make("nobody") } })),
      )
      assert.strictEqual(_tag, "NotFound")
      assert.include(message, "nobody")
    }).pipe(on()),
  )

  it.effect("looks no further back for events than it may", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* publish("events", ada, [event("e0"), event("e1"), event("e2")])
      const { lastEvents } = yield* Operations.use(({ client }) => client({ params: { clientId: ada } }))
      assert.deepStrictEqual(
        lastEvents.map(({ id }) => id),
        ["e2", "e1"],
      )
    }).pipe(on({ last_scan_records: 2 })),
  )

  it.effect("shows the lowest records of a mailbox, and says that there are more", () =>
    Effect.gen(function* () {
      yield* claimed
      for (const seq of [3, 5, 9]) yield* putMail(ada, seq)
      const view = yield* Operations.use(({ mailbox }) => mailbox({ params: { clientId: ada }, query: { limit: 2 } }))
      assert.strictEqual(view.results, 3)
      assert.deepStrictEqual(
        view.records.map(({ seq }) => Number(seq)),
        [3, 5],
      )
      assert.strictEqual(Object(JSON.parse(view.records[0]!.value)).id, "e3")
      assert.isTrue(view.more)
    }).pipe(on()),
  )
})

const words = (ops: Operations["Service"], clientId: ClientId, seq: number) =>
  Effect.map(ops.journey({ params: { clientId: clientId, seq: seqOf(seq) } }), ({ hops, isFollowed, place }) => ({
    isFollowed,
    place,
    hops: hops
      .map((hop) => (hop._tag === "Seen" ? hop.step.step : `?${hop.step}${hop.or === undefined ? "" : `/${hop.or}`}`))
      .join(" "),
  }))

describe("Operations: forgetting", () => {
  const forget = (...clientIds: [ClientId, ...Array<ClientId>]) =>
    Operations.use((ops) => ops.forget({ payload: { clientIds } }))

  it.effect("removes a client that is OFFLINE with its mail, and what is on its way to its mailbox", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* write(ada, 5, "OFFLINE")
      yield* write(bob, 5, "OFFLINE")
      yield* publish("events", ada, [event("e0"), event("e1")])
      yield* putMail(ada, 0)
      yield* putMail(bob, 0)
      assert.deepStrictEqual(yield* forget(ada), { forgotten: [ada], connected: [] })
      yield* putMail(ada, 1)
      const { clients } = yield* Operations.use((ops) => ops.clients({ query: {} }))
      assert.deepStrictEqual(
        clients.map(({ clientId, waiting }) => [clientId, waiting]),
        [[bob, 1]],
      )
      assert.strictEqual((yield* (yield* Mailbox).stats(ada)).results, 0)
    }).pipe(on()),
  )

  it.effect("leaves a client that is connected as it is, with its mail", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* (yield* Registry).lease(pod, 600_000)
      yield* write(ada, 5, "LIVE")
      yield* publish("events", ada, [event("e0")])
      yield* putMail(ada, 0)
      const asked = yield* Effect.forkChild(forget(ada, bob))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(asked), { forgotten: [bob], connected: [ada] })
      const view = yield* Operations.use((ops) => ops.client({ params: { clientId: ada } }))
      assert.deepStrictEqual([view.registry?.status, view.mailbox.results], ["LIVE", 1])
    }).pipe(on()),
  )

  it.effect("waits for a client whose socket is just closing", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* write(ada, 5, "LIVE")
      const asked = yield* Effect.forkChild(forget(ada))
      yield* TestClock.adjust("1 second")
      yield* write(ada, 5, "OFFLINE")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(asked), { forgotten: [ada], connected: [] })
    }).pipe(on()),
  )
})

describe("Operations: journeys", () => {
  const accepted = step("accepted", 10)

  it.effect("puts the steps together from the topics, wherever they were left, and shows their details", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      yield* publish("events", bob, [event("b0")])
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      yield* publish("events", ada, [event("e1", { number: 7 })], { ...stepped(accepted), traceparent })
      assert.deepStrictEqual(yield* words(ops, ada, 1), { isFollowed: true, place: "events", hops: "accepted logged" })

      yield* publish("results", ada, [result(1)], stepped(accepted, step("handled", 30)))
      yield* publish("results", bob, [result(4), result(9)])
      assert.deepStrictEqual(yield* words(ops, ada, 1), {
        isFollowed: true,
        place: "results",
        hops: "accepted logged handled",
      })

      yield* publish("journey", bob, [late(bob, 1, step("shelved", 50))])
      yield* publish("journey", ada, [late(ada, 1, step("sent", 60)), late(ada, 2, step("diverted", 70))])
      yield* publish("journey", ada, [late(ada, 1, step("routed", 40), step("acknowledged", 80))])
      const view = yield* ops.journey({ params: { clientId: ada, seq: seqOf(1) } })
      assert.strictEqual(view.place, "acknowledged")
      assert.deepStrictEqual(view.event, { type: "event", id: EventId.make("e1"), name: "sq" })
      assert.strictEqual(view.traceId, "0af7651916cd43dd8448eb211c80319c")
      assert.deepStrictEqual(
        view.hops.map((hop) => (hop._tag === "Seen" ? (hop.step.details?.["rule"] ?? "-") : `?${hop.step}/${hop.or}`)),
        ["accepted", "-", "handled", "routed", "?pushed/diverted", "sent", "acknowledged"],
      )
    }).pipe(on()),
  )

  it.effect("knows by the mailbox that an event waits there, and by its acks that one was acknowledged", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      yield* publish("events", ada, [event("e0"), event("e1")], stepped(accepted))
      yield* publish("results", ada, [result(0), result(1)], stepped(accepted, step("handled", 20)))
      yield* putMail(ada, 0, result(0), stepped(accepted, step("handled", 20), step("shelved", 30), step("put", 40)))
      yield* putMail(ada, 1)
      assert.deepStrictEqual(yield* words(ops, ada, 0), {
        isFollowed: true,
        place: "mailbox",
        hops: "accepted logged handled shelved put",
      })
      assert.deepStrictEqual(yield* words(ops, ada, 1), {
        isFollowed: true,
        place: "mailbox",
        hops: "accepted logged handled ?shelved/diverted ?put",
      })
      yield* (yield* Mailbox).ack([{ clientId: ada, seq: seqOf(0) }])
      assert.deepStrictEqual(yield* words(ops, ada, 0), {
        isFollowed: true,
        place: "acknowledged",
        hops: "accepted logged handled ?routed/shelved ?sent ?acknowledged",
      })
    }).pipe(on()),
  )

  it.effect("finds a result by halving, also where a consumer that started over has written some again", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      const seqs = Array.from({ length: 200 }, (_, i) => i)
      yield* publish(
        "events",
        ada,
        seqs.map((seq) => event(`e${seq}`)),
      )
      const again = [...seqs.slice(0, 120), ...seqs.slice(80, 150), ...seqs.slice(140, 200)]
      yield* publish("results", ada, again.filter((seq) => seq % 7 !== 3).map(result))
      for (const seq of seqs) {
        const { place } = yield* ops.journey({ params: { clientId: ada, seq: seqOf(seq) } })
        assert.strictEqual(place, seq % 7 === 3 ? "events" : "results", `seq ${seq}`)
      }
    }).pipe(on()),
  )

  it.effect("shows what was sent and what the client gets, in their own spelling and up to the bound", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      const written = (text: string) => utf8.encode(text)
      yield* publish("events", ada, [
        written(`{"type":"event","id":"e0","name":"sq","data":{"n":9007199254740993}}`),
        written(`{"type":"event","id":"e1","name":"sq","data":"${"ü".repeat(40)}"}`),
        written(`{"type":"event","id":"e2","name":"sq","data":null}`),
      ])
      yield* publish("results", ada, [
        written(`{"seq":0,"id":"e0","name":"sq","data":[1.0]}`),
        written(`{"seq":1,"id":"e1","name":"sq","error":{"code":"HANDLER_FAILED","message":"no"}}`),
      ])
      const shown = (seq: number) =>
        Effect.map(ops.journey({ params: { clientId: ada, seq: seqOf(seq) } }), ({ result, sent }) => ({
          result,
          sent,
        }))
      assert.deepStrictEqual(yield* shown(0), {
        sent: { text: `{"n":9007199254740993}`, bytes: 22 },
        result: { text: "[1.0]", bytes: 5 },
      })
      assert.deepStrictEqual(yield* shown(1), {
        // The bound falls into the middle of a character.
        sent: { text: `"${"ü".repeat(24)}`, bytes: 82 },
        result: { text: `{"code":"HANDLER_FAILED","message":"no"}`, bytes: 40 },
      })
      assert.deepStrictEqual(yield* shown(2), { sent: { text: "null", bytes: 4 }, result: undefined })
    }).pipe(on({ journey_payload_bytes: 50 })),
  )

  it.effect("says what is known of an event that is not sampled, and marks nothing as missing", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      yield* publish("events", ada, [event("e0")])
      yield* publish("results", ada, [result(0)])
      assert.deepStrictEqual(yield* words(ops, ada, 0), { isFollowed: false, place: "results", hops: "logged" })
    }).pipe(on()),
  )

  it.effect("looks at no more late steps than it may: the first after the event, and the newest", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      yield* publish("events", ada, [event("e0")], stepped(accepted))
      const steps = ["routed", "pushed", "diverted", "put", "sent", "acknowledged"] as const
      for (const name of steps) yield* publish("journey", ada, [late(ada, 0, step(name, 50))])
      assert.strictEqual((yield* words(ops, ada, 0)).hops, "accepted logged ?handled routed pushed sent acknowledged")
    }).pipe(on({ journey_scan_records: 4 })),
  )

  it.effect("finds where the late steps begin by the time of the event", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      const noise = Array.from({ length: 100 }, (_, i) => late(bob, i, step("sent", 1)))
      yield* publish("journey", bob, noise)
      yield* TestClock.adjust("1 minute")
      yield* publish("events", ada, [event("e0")], stepped(accepted))
      yield* publish("journey", ada, [late(ada, 0, step("sent", 50))])
      yield* TestClock.adjust("1 minute")
      yield* publish("journey", bob, noise)
      assert.strictEqual((yield* words(ops, ada, 0)).hops, "accepted logged ?handled ?routed/shelved sent")
    }).pipe(on({ journey_scan_records: 10 })),
  )

  it.effect("ends the journey of a task's event at the task workers, whatever the client has acknowledged since", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      const note = (task: number, id: string) =>
        TaskRecords.encodeTask({ task: seqOf(task), is: "open", id: EventId.make(id), name: "ask", data: null })
      yield* publish("tasks", ada, [note(0, "older")])
      yield* TestClock.adjust("1 minute")
      yield* publish("events", ada, [event("e0"), event("e1"), event("e2")], stepped(accepted))
      yield* publish("tasks", bob, [note(0, "theirs")])
      yield* publish("tasks", ada, [note(1, "e1")], stepped(accepted, step("handled", 20)))
      yield* publish("results", ada, [result(2)], stepped(accepted, step("handled", 30)))
      yield* (yield* Mailbox).ack([{ clientId: ada, seq: seqOf(2) }])
      assert.deepStrictEqual(yield* words(ops, ada, 1), {
        isFollowed: true,
        place: "tasks",
        hops: "accepted logged handled",
      })
      assert.strictEqual((yield* words(ops, ada, 0)).place, "acknowledged")
      assert.strictEqual((yield* words(ops, ada, 2)).place, "acknowledged")
    }).pipe(on()),
  )

  it.effect("says of a record of a task whose it is", () =>
    Effect.gen(function* () {
      yield* claimed
      yield* publish("events", ada, [
        TaskRecords.encodeTask({ task: EventId.make("e9"), do: "cancel", by: "client" }),
        TaskRecords.encodeTask({ task: seqOf(7), do: "end", run: RunId.make("r.1"), part: 0 }),
      ])
      const why = (seq: number) =>
        Operations.use(({ journey }) => failure(journey({ params: { clientId: ada, seq: seqOf(seq) } }))).pipe(
          Effect.map((error) => Object(Object(error).value).message),
        )
      assert.include(yield* why(0), "cancels the task of the event e9")
      assert.include(yield* why(1), "an end of the task whose event has the seq 7")
    }).pipe(on()),
  )

  it.effect.each([
    { seq: 1, why: "another client" },
    { seq: 2, why: "barrier" },
    { seq: 3, why: "no event" },
    { seq: 4, why: "the log ends" },
  ])("refuses seq $seq, with the reason: $why", ({ seq, why }) =>
    Effect.gen(function* () {
      yield* claimed
      yield* publish("events", ada, [event("e0")])
      yield* publish("events", bob, [event("b1")])
      yield* publish("events", ada, [barrier, utf8.encode("{")])
      const error = yield* Operations.use(({ journey }) =>
        failure(journey({ params: { clientId: ada, seq: seqOf(seq) } })),
      )
      assert.strictEqual(codeOf(error), "NOT_FOUND")
      assert.include(Object(Object(error).value).message, why)
    }).pipe(on()),
  )
})

const named = ({ events, published }: Republished) => ({
  published,
  old: events.map(({ oldSeq }) => Number(oldSeq)),
  fresh: events.map(({ newSeq }) => Number(newSeq)),
})

describe("Operations: publishing anew", () => {
  it.effect("replays a client's events with new ids and seqs, in their order, and nobody else's", () =>
    Effect.gen(function* () {
      yield* claimed
      const { replay } = yield* Operations
      yield* publish("events", ada, [event("e0", 0), event("e1", 1), barrier])
      yield* publish("events", bob, [event("b3")])
      yield* publish("events", ada, [event("e4", 4, "message"), utf8.encode("{")])
      const answer = yield* replay({ params: { clientId: ada }, payload: { from: seqOf(1) } })
      assert.deepStrictEqual(named(answer), { published: 2, old: [1, 4], fresh: [6, 7] })
      assert.isUndefined(answer.next)
      const { end, events } = yield* logged(ada)
      assert.strictEqual(end, 8)
      assert.deepStrictEqual(
        events.slice(-2).map(({ id, seq, type }) => ({ id, seq: Number(seq), type })),
        [
          { id: answer.events[0]!.newId, seq: 6, type: "event" },
          { id: answer.events[1]!.newId, seq: 7, type: "message" },
        ],
      )
      assert.notInclude(["e1", "e4"], answer.events[0]!.newId)
    }).pipe(on()),
  )

  it.effect("replays an event for who has caused it, and an event of nobody for nobody", () =>
    Effect.gen(function* () {
      yield* claimed
      const { replay } = yield* Operations
      const caller = { [callerHeader]: `{"issuer":"i","subject":"ada","claims":{}}` }
      const sampled = stepped(step("accepted", 1))
      yield* publish("events", ada, [event("e0")], { ...caller, ...sampled })
      yield* publish("events", ada, [event("e1")], { ...caller, other: "x" })
      yield* publish("events", ada, [event("e2")])
      yield* replay({ params: { clientId: ada }, payload: { from: seqOf(0) } })
      const log = yield* EventLog
      const chunks = log.tail((yield* Topics).events, partitionOf(ada, log.partitions), 3)
      const [chunk] = yield* Stream.runCollect(Stream.take(chunks, 1))
      const [first, second, third, ...more] = chunk?.records ?? []
      assert.lengthOf(more, 0)
      assert.strictEqual(first?.headers?.[callerHeader], caller[callerHeader])
      assert.lengthOf(Journey.steps(first?.headers), 1)
      assert.deepStrictEqual(second?.headers, caller)
      assert.isUndefined(third?.headers)
    }).pipe(on()),
  )

  it.effect("goes on where it stopped at its bound, and never publishes its own events again", () =>
    Effect.gen(function* () {
      yield* claimed
      const { replay } = yield* Operations
      yield* publish(
        "events",
        ada,
        Array.from({ length: 8 }, (_, i) => event(`e${i}`)),
      )
      const old: Array<number> = []
      let next: Republished["next"] = { from: seqOf(0), upTo: seqOf(8) }
      while (next !== undefined) {
        const answer: Republished = yield* replay({ params: { clientId: ada }, payload: next })
        old.push(...answer.events.map(({ oldSeq }) => Number(oldSeq)))
        assert.isAtMost(answer.published, 3)
        next = answer.next
      }
      assert.deepStrictEqual(old, [0, 1, 2, 3, 4, 5, 6, 7])
      assert.strictEqual((yield* logged(ada)).end, 16)
    }).pipe(on({ replay_events: 3, replay_scan_records: 4 })),
  )

  it.effect("stops at its bound of bytes, but publishes one event whatever its size", () =>
    Effect.gen(function* () {
      const { replay } = yield* Operations
      yield* publish("events", ada, [event("e0", "x".repeat(500)), event("e1", "x")])
      const answer = yield* replay({ params: { clientId: ada }, payload: { from: seqOf(0) } })
      assert.deepStrictEqual(named(answer), { published: 1, old: [0], fresh: [2] })
      assert.deepStrictEqual(answer.next, { from: seqOf(1), upTo: seqOf(2) })
    }).pipe(on({ replay_bytes: 100 })),
  )

  it.effect("samples the new event if the old one was sampled", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* claimed
      yield* publish("events", ada, [event("e0")], stepped(step("accepted", 10)))
      yield* ops.replay({ params: { clientId: ada }, payload: { from: seqOf(0) } })
      const { hops } = yield* ops.journey({ params: { clientId: ada, seq: seqOf(1) } })
      assert.deepInclude(hops[0], { _tag: "Seen", since_ms: 0 })
      assert.strictEqual(hops[0]?._tag === "Seen" ? hops[0].step.service : "", "admin")
    }).pipe(on()),
  )

  it.effect("refuses to replay from beyond the log's end", () =>
    Effect.gen(function* () {
      const error = yield* Operations.use(({ replay }) =>
        failure(replay({ params: { clientId: ada }, payload: { from: seqOf(0) } })),
      )
      assert.strictEqual(codeOf(error), "NOT_POSSIBLE")
    }).pipe(on()),
  )
})

describe("Operations: quarantine", () => {
  const quarantined = (topic: TopicName, offset: number, time: number, value: Uint8Array, key = "ada") =>
    Effect.gen(function* () {
      const topics = yield* Topics
      const from = { topic: topics[topic], partition: 1, offset }
      return yield* publish("quarantine", key, [value], Quarantined.encode({ reason: "r", from, time }))
    })
  const partition = partitionOf(ada, 3)

  it.effect("lists the newest first, within its bound, and shows one with its text", () =>
    Effect.gen(function* () {
      const { quarantine, quarantined: show, status } = yield* Operations
      for (let i = 0; i < 5; i++) yield* quarantined("events", i, 100 + i, utf8.encode(`{"broken":${i}`))
      const { more, records } = yield* quarantine({ query: { limit: 2 } })
      assert.deepStrictEqual(
        records.map(({ offset, time }) => ({ offset, time })),
        [
          { offset: 4, time: 104 },
          { offset: 3, time: 103 },
        ],
      )
      assert.isTrue(more)
      assert.isFalse((yield* quarantine({ query: { limit: 5 } })).more)
      assert.strictEqual((yield* status()).quarantined, 5)
      const one = yield* show({ params: { partition, offset: 3 } })
      assert.strictEqual(one.text, `{"broken":3`)
      assert.strictEqual(one.from?.offset, 3)
    }).pipe(on()),
  )

  it.effect("shows what somebody else has put there, which can't be published anew", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* publish("quarantine", "ada", [event("e0")])
      assert.isUndefined((yield* ops.quarantined({ params: { partition, offset: 0 } })).from)
      assert.strictEqual(codeOf(yield* failure(ops.retry({ params: { partition, offset: 0 } }))), "NOT_POSSIBLE")
    }).pipe(on()),
  )

  it.effect("publishes anew what can be decoded by now: an event as it was, a result as a message", () =>
    Effect.gen(function* () {
      yield* claimed
      const { client, retry } = yield* Operations
      yield* publish("events", bob, [event("b0")])
      yield* quarantined("events", 7, 1, event("e7", { number: 1 }))
      yield* quarantined("results", 9, 1, result(9))
      assert.deepStrictEqual(named(yield* retry({ params: { partition, offset: 0 } })), {
        published: 1,
        old: [7],
        fresh: [1],
      })
      assert.deepStrictEqual(named(yield* retry({ params: { partition, offset: 1 } })), {
        published: 1,
        old: [9],
        fresh: [2],
      })
      const { lastEvents } = yield* client({ params: { clientId: ada } })
      assert.deepStrictEqual(
        lastEvents.map(({ type }) => type),
        ["message", "event"],
      )
    }).pipe(on()),
  )

  it.effect("refuses, with the reason, what is still no record, or of no client, or not there", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* quarantined("events", 0, 1, utf8.encode("{"))
      yield* quarantined("events", 0, 1, barrier)
      yield* quarantined("chats", 0, 1, event("e0"))
      yield* quarantined("events", 0, 1, event("e0"), "no client id")
      for (const offset of [0, 1, 2, 3]) {
        assert.strictEqual(
          codeOf(yield* failure(ops.retry({ params: { partition, offset } }))),
          "NOT_POSSIBLE",
          `${offset}`,
        )
      }
      for (const place of [
        { partition, offset: 4 },
        { partition: 99, offset: 0 },
      ]) {
        assert.strictEqual(codeOf(yield* failure(ops.retry({ params: place }))), "NOT_FOUND")
        assert.strictEqual(codeOf(yield* failure(ops.quarantined({ params: place }))), "NOT_FOUND")
      }
      assert.strictEqual(yield* (yield* EventLog).end((yield* Topics).events, partition), 0)
    }).pipe(on()),
  )
})

describe("Operations: what is away", () => {
  /** On services of which some are not as they should be. */
  const onBroken =
    <S>(broken: Layer.Layer<S, never, Layer.Success<typeof MemoryParts.layer>>) =>
    <A, E, R>(test: Effect.Effect<A, E, R>) =>
      Effect.provide(
        test,
        ServiceOperations.layer.pipe(Layer.provideMerge(broken), Layer.provideMerge(MemoryParts.layer)),
        {
          local: true,
        },
      )

  it.effect("is told as ADMIN_UNAVAILABLE, with the code of what is away", () =>
    Effect.gen(function* () {
      const { clients, kick, status } = yield* Operations
      for (const asked of [clients({ query: {} }), status(), kick({ params: { clientId: ada } })]) {
        const error = yield* failure<unknown, unknown, never>(asked)
        assert.strictEqual(codeOf(error), "ADMIN_UNAVAILABLE")
        assert.include(Object(Object(error).value).message, "REGISTRY_UNAVAILABLE")
      }
    }).pipe(
      onBroken(
        Layer.effect(
          Registry,
          Effect.map(Registry, (registry) => {
            const away = new RegistryUnavailable({ operation: "test", cause: "told to fail" })
            return {
              ...registry,
              livePods: Effect.fail(away),
              entries: Stream.fail(away),
              statuses: () => Effect.fail(away),
            }
          }),
        ),
      ),
    ),
  )

  it.effect("is not waited for longer than the bound of a read", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      yield* publish("events", ada, [event("e0")])
      const asked = yield* Effect.forkChild(
        failure(ops.replay({ params: { clientId: ada }, payload: { from: seqOf(0) } })),
      )
      yield* TestClock.adjust(adminLimits.read_timeout_ms)
      assert.strictEqual(codeOf(yield* Fiber.join(asked)), "ADMIN_UNAVAILABLE")
    }).pipe(
      onBroken(
        Layer.effect(
          EventLog,
          Effect.map(EventLog, (log) => ({ ...log, tail: () => Stream.never })),
        ),
      ),
    ),
  )
})

describe("Operations: orders", () => {
  it.effect("are refused for whom nobody knows, and say where nobody listens", () =>
    Effect.gen(function* () {
      const ops = yield* Operations
      assert.strictEqual(codeOf(yield* failure(ops.kick({ params: { clientId: ada } }))), "NOT_FOUND")
      assert.strictEqual(codeOf(yield* failure(ops.drain({ params: { pod } }))), "NOT_FOUND")
      yield* (yield* Registry).lease(pod, 60_000)
      yield* write(ada, 1, "LIVE")
      assert.isFalse((yield* ops.kick({ params: { clientId: ada } })).received)
      assert.isFalse((yield* ops.drain({ params: { pod } })).received)
    }).pipe(on()),
  )
})
