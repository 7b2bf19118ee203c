/** The trace of an event, as somebody who takes OTLP sees it: all of its spans in one tree, live and replayed. */
import { assert, describe, it } from "@effect/vitest"
import { Telemetry } from "@nimbus/adapters/process"
import { Client, Memory } from "@nimbus/client"
import { Handlers } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Layer } from "effect"
import * as Nimbus from "./Nimbus.ts"
import { drawn, type OtlpReceiver, type ReceivedSpan, receiver, treesOf } from "./testing/OtlpReceiver.ts"
import { hasShown, isLive, sendNumbers, show } from "./testing/Squares.ts"

class Receiver extends Context.Service<Receiver, OtlpReceiver>()("test/Receiver") {
  static readonly layer = Layer.effect(Receiver, receiver)
}

const telemetry = (spans_per_second: number) =>
  Layer.unwrap(
    Effect.map(Receiver, ({ url }) =>
      Telemetry.layerWith("nimbus-test", {
        url,
        headers: { authorization: "Bearer a" },
        serviceName: undefined,
        spans_per_second,
      }),
    ),
  )

/** `journeys_per_second`: of an event that is not sampled there is no trace. `spans_per_second`: of calls to services. */
const on = (journeys_per_second: number, spans_per_second = 0) =>
  Nimbus.layerMemory({ host: "127.0.0.1", port: 0, limits: { journeys_per_second } }).pipe(
    Layer.provide(Handlers.layer(Handlers.samples)),
    Layer.provideMerge(Memory.layerMemory),
    Layer.provide(telemetry(spans_per_second)),
    Layer.provideMerge(Receiver.layer),
  )

const connect = Effect.gen(function* () {
  const client = yield* Client.make({ url: yield* Nimbus.url, clientId: "c1" })
  const shown: Array<number> = []
  yield* Effect.forkScoped(show(client, shown))
  yield* isLive(client)
  return { client, shown }
})

const hasSpans = (what: string, holds: (spans: ReadonlyArray<ReceivedSpan>) => boolean) =>
  Effect.gen(function* () {
    const { faults, spans } = yield* Receiver
    yield* eventually(
      what,
      Effect.sync(() => holds(spans)),
    )
    assert.deepStrictEqual(faults, [])
    return [...spans]
  })

const traceIds = (spans: ReadonlyArray<ReceivedSpan>) => new Set(spans.map(({ traceId }) => traceId))
const has = (spans: ReadonlyArray<ReceivedSpan>, ...names: ReadonlyArray<string>) =>
  names.every((name) => spans.some((span) => span.name === `nimbus.${name}`))

describe("traces", () => {
  it.live("of a live event: one tree, from its acceptance to its ack", () =>
    Effect.gen(function* () {
      const { client, shown } = yield* connect
      yield* sendNumbers(client, 1, 1)
      yield* hasShown(shown, 1)
      const spans = yield* hasSpans("all of it", (spans) => has(spans, "accept", "handle", "route", "deliver"))
      assert.strictEqual(traceIds(spans).size, 1)
      assert.deepStrictEqual(treesOf(spans).map(drawn), ["accept(handle(route(deliver)))"])
      for (const { endTimeUnixNano, service, startTimeUnixNano } of spans) {
        assert.strictEqual(service, "nimbus-test")
        assert.isTrue(BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano))
      }
      const handle = spans.find(({ name }) => name === "nimbus.handle")
      assert.deepInclude(handle?.attributes, { "nimbus.client_id": "c1", "nimbus.name": "sq" })
      assert.deepStrictEqual([...(yield* Receiver).authorizations], ["Bearer a"])
    }).pipe(Effect.provide(on(20), { local: true })),
  )

  it.live("of messages to a client that is away: through the mailbox, on with the trace of whoever sent them", () =>
    Effect.gen(function* () {
      const base = (yield* Nimbus.url).replace(/^ws/, "http")
      const [traceId, parentId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"]
      const { status } = yield* Effect.promise(() =>
        fetch(`${base}/v1/clients/c1/messages`, {
          method: "POST",
          headers: { "content-type": "application/json", traceparent: `00-${traceId}-${parentId}-01` },
          body: JSON.stringify({ name: "note", data: 1 }),
        }),
      )
      assert.strictEqual(status, 200)
      yield* hasSpans("it is put", (spans) => has(spans, "put"))
      yield* connect
      const spans = yield* hasSpans("all of it", (spans) => has(spans, "accept", "handle", "shelve", "put", "deliver"))
      assert.deepStrictEqual([...traceIds(spans)], [traceId])
      const trees = treesOf(spans)
      assert.deepStrictEqual(trees.map(drawn), ["accept(handle(shelve(put(deliver))))"])
      assert.strictEqual(trees[0]?.span.parentSpanId, parentId)
    }).pipe(Effect.provide(on(20), { local: true })),
  )

  it.live("that nobody samples, as the caller says, are not exported, and travel all the same", () =>
    Effect.gen(function* () {
      const { client, shown } = yield* connect
      const base = (yield* Nimbus.url).replace(/^ws/, "http")
      yield* Effect.promise(() =>
        fetch(`${base}/v1/clients/c2/messages`, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
          },
          body: JSON.stringify({ name: "note", data: 1 }),
        }),
      )
      yield* sendNumbers(client, 1, 1)
      yield* hasShown(shown, 1)
      const spans = yield* hasSpans("those of another", (spans) => has(spans, "deliver"))
      assert.strictEqual(traceIds(spans).size, 1)
      assert.isTrue(spans.every(({ attributes }) => attributes["nimbus.client_id"] === "c1"))
    }).pipe(Effect.provide(on(20), { local: true })),
  )

  it.live("of calls to the services, if their budget is set: each a trace of its own", () =>
    Effect.gen(function* () {
      const { client, shown } = yield* connect
      yield* sendNumbers(client, 1, 1)
      yield* hasShown(shown, 1)
      const calls = ["EventLog.publish", "EventLog.read", "Mailbox.page", "Registry.connect", "PodChannel.publish"]
      const isThere = (spans: ReadonlyArray<ReceivedSpan>) =>
        calls.every((call) => spans.some(({ name }) => name === call))
      const spans = yield* hasSpans("the calls", isThere)
      const connected = spans.find(({ name }) => name === "Registry.connect")
      assert.strictEqual(connected?.attributes["nimbus.client_id"], "c1")
      assert.isTrue(spans.every(({ parentSpanId }) => parentSpanId === undefined))
    }).pipe(Effect.provide(on(0, 1_000), { local: true })),
  )

  it.live("are of sampled events alone", () =>
    Effect.gen(function* () {
      const { client, shown } = yield* connect
      yield* sendNumbers(client, 1, 200)
      yield* hasShown(shown, 200)
      const spans = yield* hasSpans("one", (spans) => has(spans, "deliver"))
      assert.isBelow(traceIds(spans).size, 20)
      assert.isTrue(spans.every(({ name }) => name.startsWith("nimbus.")))
    }).pipe(Effect.provide(on(1), { local: true })),
  )
})
