import { assert, describe, it } from "@effect/vitest"
import { Client, isLost, Memory, Transport } from "@nimbus/client"
import { ClientId, Journey, partitionOf, ServerFrames } from "@nimbus/domain/protocol"
import { EventLog, Handlers, Mailbox, Publisher, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { gatewayLimits } from "@nimbus/gateway"
import { Context, Effect, Fiber, Latch, Layer, Result, Schema, Stream } from "effect"
import * as Connection from "./demo/Connection.ts"
import * as Nimbus from "./Nimbus.ts"
import { events, hasShown, isLive, numberOf, oneTo, sendNumbers, show } from "./testing/Squares.ts"

type GatewayOptions = Parameters<typeof Nimbus.layerMemory>[0]

/** Opens the way for `gated`, which squares as `sq` does. */
class Gate extends Context.Service<Gate, Latch.Latch>()("test/Gate") {
  static readonly layer = Layer.effect(Gate, Latch.make(false))
}

const gated = Handlers.make("gated", {
  input: Schema.Struct({ number: Schema.Int }),
  output: Schema.Struct({ result: Schema.Int }),
  handler: ({ number }) =>
    Effect.as(
      Effect.flatMap(Gate, (gate) => gate.await),
      { result: number ** 2 },
    ),
})

/** Nimbus in this process, at a real port, and the SDK over real sockets. */
const nimbus = (options?: GatewayOptions) =>
  Publisher.layer.pipe(
    Layer.provideMerge(Nimbus.layerMemory(options)),
    Layer.provide(Handlers.layer([...Handlers.samples, gated])),
    Layer.provideMerge(Gate.layer),
    Layer.provideMerge(Memory.layerMemory),
  )

/** A test with a Nimbus of its own. */
const on =
  (options?: GatewayOptions) =>
  <A, E, R>(test: Effect.Effect<A, E, R>) =>
    Effect.provide(test, nimbus(options), { local: true })

const limits = { reconnect_min_ms: 5, reconnect_max_ms: 20 }

const connect = Effect.fnUntraced(function* (
  clientId: string,
  transport?: Transport.TransportShape,
  options?: Partial<Client.ClientOptions>,
) {
  const made = Client.make({ url: yield* Nimbus.url, clientId, limits, ...options })
  return yield* transport === undefined ? made : Effect.provideService(made, Transport.Transport, transport)
})

const waitingFor = (clientId: string) => Mailbox.use((mailbox) => mailbox.stats(ClientId.make(clientId)))

const notes = (clientId: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({ clientId: ClientId.make(clientId), name: "note", data: i }))

/** What the journey topic has of a client now, oldest first. */
const lateSteps = (clientId: string) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const { journey } = yield* Topics
    const partition = partitionOf(clientId, log.partitions)
    const chunks = log.tail(journey, partition, 0).pipe(Stream.takeUntilEffect(({ next }) => isEnd(partition, next)))
    if (yield* isEnd(partition, 0)) return []
    const records = (yield* Stream.runCollect(chunks)).flatMap(({ records }) => records)
    const decoded = yield* Effect.forEach(records, ({ value }) => decodeSteps(new TextDecoder().decode(value)))
    return decoded.filter((late) => late.clientId === clientId)
  })

const decodeSteps = Schema.decodeEffect(Schema.fromJsonString(Journey.LateSteps))

const isEnd = (partition: number, offset: number) =>
  Effect.gen(function* () {
    return offset >= (yield* (yield* EventLog).end((yield* Topics).journey, partition))
  })

/** The steps of the client's `nth` sampled event, from the journey topic, once it is acknowledged. */
const journeyOf = (clientId: string, nth: number) =>
  Effect.gen(function* () {
    let steps: ReadonlyArray<Journey.JourneyStep> = []
    yield* eventually(
      `journey ${nth} of ${clientId} has ended`,
      Effect.map(lateSteps(clientId), (late) => {
        const seq = [...new Set(late.map(({ seq }) => seq))].toSorted((a, b) => a - b)[nth - 1]
        // The router's own late step may come before or after the gateway's.
        const ofGateway = ({ step }: Journey.JourneyStep) => step !== "pushed"
        steps = late.filter((one) => one.seq === seq).flatMap(({ steps }) => steps.filter(ofGateway))
        return steps.some(({ step }) => step === "acknowledged")
      }),
    )
    return steps
  })

describe("Nimbus", () => {
  it.live("a client is cut off, results pile up, it returns, replays, and is LIVE", () =>
    Effect.gen(function* () {
      const connection = Connection.make()
      const client = yield* connect("c1", connection.transport)
      const other = yield* connect("c2")
      const [shown, othersShown]: ReadonlyArray<Array<number>> = [[], []]
      yield* Effect.forkScoped(show(client, shown!))
      yield* Effect.forkScoped(show(other, othersShown!))
      const statuses: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(client.status, (status) => Effect.sync(() => statuses.push(status))))
      yield* isLive(client)
      yield* sendNumbers(client, 1, 100)
      yield* hasShown(shown!, 100)

      const burst = yield* Effect.forkScoped(client.sendAll(events(101, 1_000, { name: "gated" })))
      yield* eventually(
        "the first of the burst are accepted",
        Effect.map(client.stats, ({ accepted }) => accepted > 100),
      )
      yield* connection.cut
      yield* Gate.use((gate) => gate.open)
      yield* sendNumbers(other, 1, 500)
      yield* hasShown(othersShown!, 500)
      yield* eventually(
        "results pile up",
        Effect.map(waitingFor("c1"), ({ results }) => results > 0),
      )
      assert.strictEqual(shown!.length, 100)
      assert.strictEqual(yield* client.currentStatus, "OFFLINE")

      yield* connection.mend
      yield* Fiber.join(burst)
      yield* hasShown(shown!, 1_000)
      yield* isLive(client)
      yield* sendNumbers(client, 1_001, 1_100)
      yield* hasShown(shown!, 1_100)
      assert.deepStrictEqual(shown, oneTo(1_100))
      // It may fall behind once more, as any client may; but it was away once, and replayed before it was LIVE again.
      const away = statuses.lastIndexOf("OFFLINE")
      assert.deepStrictEqual(statuses.slice(away - 1, away + 3), ["LIVE", "OFFLINE", "REPLAYING", "LIVE"])
      yield* eventually(
        "the mailbox is empty once all is acknowledged",
        Effect.map(waitingFor("c1"), ({ results }) => results === 0),
      )
    }).pipe(on()),
  )

  it.live("of two connections of one client the newer stays, and the older is told so", () =>
    Effect.gen(function* () {
      const older = yield* connect("c1")
      yield* isLive(older)
      const newer = yield* connect("c1")
      const error = yield* Effect.flip(older.failed)
      assert.strictEqual(error._tag, "Superseded")
      assert.strictEqual((yield* Effect.flip(older.send("sq", { number: 1 }))).code, "SUPERSEDED")
      yield* isLive(newer)
      const shown: Array<number> = []
      yield* Effect.forkScoped(show(newer, shown))
      yield* newer.send("sq", { number: 3 })
      yield* hasShown(shown, 1)
      assert.deepStrictEqual(shown, [3])
    }).pipe(on()),
  )

  it.live("a consumer that is slow gets everything in order, and no more than the window waits for it", () => {
    const window_results = 64
    const session = { ...gatewayLimits.session, window_results }
    return Effect.gen(function* () {
      const wire = countResults()
      const client = yield* connect("c1", wire.transport)
      const gate = yield* Latch.make(false)
      const shown: Array<number> = []
      let most = 0
      yield* Effect.forkScoped(
        client.run((delivery) =>
          Effect.andThen(
            gate.await,
            Effect.sync(() => {
              most = Math.max(most, wire.count() - shown.length)
              shown.push(numberOf(delivery))
            }),
          ),
        ),
      )
      yield* sendNumbers(client, 1, 2_000, 500)
      yield* eventually(
        "the rest is in the mailbox",
        Effect.map(waitingFor("c1"), ({ results }) => results >= 2_000 - window_results),
      )
      assert.isAtMost(wire.count(), window_results)
      assert.deepStrictEqual(shown, [])
      yield* gate.open
      yield* hasShown(shown, 2_000)
      assert.deepStrictEqual(shown, oneTo(2_000))
      assert.isAtMost(most, window_results)
      yield* isLive(client)
    }).pipe(on({ host: "127.0.0.1", port: 0, limits: { session } }))
  })

  it.live("a client that asks for it sees the journey of each result, live and from the mailbox", () =>
    Effect.gen(function* () {
      const connection = Connection.make()
      const client = yield* connect("c1", connection.transport, { journey: true })
      const journeys: Array<ReadonlyArray<string>> = []
      yield* Effect.forkScoped(
        client.run((delivery) =>
          Effect.sync(() => journeys.push(isLost(delivery) ? [] : (delivery.journey ?? []).map(({ step }) => step))),
        ),
      )
      yield* isLive(client)
      yield* client.send("sq", { number: 1 })
      yield* eventually(
        "a result that was pushed",
        Effect.sync(() => journeys.length === 1),
      )
      assert.deepStrictEqual(journeys[0], ["accepted", "logged", "handled", "routed"])

      yield* client.send("gated", { number: 2 })
      yield* connection.cut
      yield* Gate.use((gate) => gate.open)
      yield* eventually(
        "it waits",
        Effect.map(waitingFor("c1"), ({ results }) => results > 0),
      )
      yield* connection.mend
      yield* eventually(
        "a result that waited",
        Effect.sync(() => journeys.length === 2),
      )
      assert.deepStrictEqual(journeys[1]!.slice(0, 3), ["accepted", "logged", "handled"])
      assert.strictEqual(journeys[1]!.at(-1), "put")
    }).pipe(on()),
  )

  it.live(
    "at a low rate the journey topic alone tells the whole journey of every event, and why, live and replayed",
    () =>
      Effect.gen(function* () {
        const connection = Connection.make()
        const client = yield* connect("c1", connection.transport)
        yield* Effect.forkScoped(client.run(() => Effect.void))
        yield* isLive(client)
        yield* client.send("sq", { number: 1 })
        const live = yield* journeyOf("c1", 1)
        assert.deepStrictEqual(
          live.map(({ details, step }) => [step, details?.["rule"]]),
          [
            ["accepted", Journey.rules.accepted],
            ["logged", Journey.rules.logged],
            ["handled", Journey.rules.handled],
            ["routed", Journey.rules.routed],
            ["sent", Journey.rules.sentFromPush],
            ["acknowledged", Journey.rules.acknowledged],
          ],
        )

        yield* client.send("gated", { number: 2 })
        yield* connection.cut
        yield* Gate.use((gate) => gate.open)
        yield* eventually(
          "it waits",
          Effect.map(waitingFor("c1"), ({ results }) => results > 0),
        )
        yield* connection.mend
        const replayed = yield* journeyOf("c1", 2)
        assert.deepStrictEqual(replayed.map(({ details, step }) => [step, details?.["rule"]]).slice(-3), [
          ["put", Journey.rules.put],
          ["sent", Journey.rules.sentFromMailbox],
          ["acknowledged", Journey.rules.acknowledged],
        ])
        const why = replayed.find(({ step }) => step === "shelved" || step === "diverted")?.details?.["rule"]
        assert.include([Journey.rules.shelved, ...Object.values(Journey.rules.diverted)], why)
      }).pipe(on()),
  )

  it.live("of more events than its budget the gateway follows no more than that", () => {
    const limits = { journeys_per_second: 1 }
    return Effect.gen(function* () {
      const client = yield* connect("c1")
      const shown: Array<number> = []
      yield* Effect.forkScoped(show(client, shown))
      yield* sendNumbers(client, 1, 500)
      yield* hasShown(shown, 500)
      yield* journeyOf("c1", 1)
      const sampled = new Set((yield* lateSteps("c1")).map(({ seq }) => seq))
      // One at once, and then one a second; the test lasts some.
      assert.isBelow(sampled.size, 50)
    }).pipe(on({ host: "127.0.0.1", port: 0, limits }))
  })

  it.live("messages to a client that is away are the first that it gets when it comes", () =>
    Effect.gen(function* () {
      const { sendAll } = yield* Publisher
      const receipts = yield* sendAll(notes("c1", 300))
      const client = yield* connect("c1")
      const seen: Array<unknown> = []
      const names: Array<string> = []
      yield* Effect.forkScoped(
        client.run((delivery) =>
          Effect.sync(() => {
            if (isLost(delivery)) return
            names.push(delivery.name)
            seen.push(delivery.name === "note" ? [delivery.id, delivery.data] : numberOf(delivery))
          }),
        ),
      )
      yield* client.send("sq", { number: 5 })
      yield* eventually(
        "all of it",
        Effect.sync(() => seen.length === 301),
      )
      assert.deepStrictEqual(seen, [...receipts.map(({ id }, i) => [id, i]), 5])
    }).pipe(on()),
  )
})

/** The usual transport, and how many results have come over it. */
const countResults = () => {
  let count = 0
  const { connect } = Transport.webSocket(globalThis.WebSocket)
  const transport: Transport.TransportShape = {
    connect: (url) =>
      Effect.map(connect(url), ({ read, write }) => ({
        write,
        read: Effect.tap(read, (frames) =>
          Effect.sync(() => {
            for (const text of frames) {
              const frame = Result.getOrThrow(ServerFrames.parse(text))
              if (frame.type === "results") count += frame.items.length
            }
          }),
        ),
      })),
  }
  return { transport, count: () => count }
}
