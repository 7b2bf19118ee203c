/** The transport on its own: real connections, the delivery core, and the services of the domain in memory. */
import { once } from "node:events"
import { connect as connectHttp2, constants } from "node:http2"
import { connect as connectTcp, createServer, type Socket } from "node:net"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf"
import { FileDescriptorProtoSchema, timestampMs } from "@bufbuild/protobuf/wkt"
import { autoAckLimits, sessionLimits } from "@nimbus/domain/limits"
import {
  ClientId,
  encodePlacedBarrier,
  Epoch,
  EventId,
  type Failure,
  isTaskRecord,
  Journey,
  RouteId,
  Seq,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { EventLog, Registry } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer, type Schema, Scope, Stream } from "effect"
import { HttpServer } from "effect/http"
import { Delivery } from "../delivery/Delivery.ts"
import { Gateway } from "../index.ts"
import { connect, frame, type GrpcClient, type GrpcOptions } from "../testing/GrpcClient.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { Health, HealthCheckResponse_ServingStatus as Serving } from "./gen/grpc/health/v1/health_pb.js"
import { ServerReflection, ServerReflectionRequestSchema } from "./gen/grpc/reflection/v1/reflection_pb.js"
import * as v1alpha from "./gen/grpc/reflection/v1alpha/reflection_pb.js"
import { EventRequestSchema, Status, TaskEnd } from "./gen/nimbus_pb.js"
import { path } from "./GrpcTransport.ts"
import { GrpcServer } from "./GrpcServer.ts"

type Limits = Parameters<typeof Gateway.layerWith>[0]["limits"]

/** What a client is sent counts as read soon: most tests are not about how long it takes. */
const soon = { ...autoAckLimits, quiet_ms: 50, look_ms: 20 }
/** It counts by what was sent behind it, and never by time. */
const byWindow = { ...autoAckLimits, mark_bytes: 1, quiet_ms: 60_000, look_ms: 20 }

const gateway = (limits: Limits = {}, followsAll = false) =>
  Gateway.layerWith({
    host: "127.0.0.1",
    port: 0,
    grpc: { host: "127.0.0.1", port: 0, followsAll },
    limits: { tick_ms: 20, frame_bytes: 4096, close_ms: 300, auto_ack: soon, ...limits },
  }).pipe(Layer.provideMerge(MemoryParts.layer))

type Parts = Layer.Success<ReturnType<typeof gateway>>

const scenario = (name: string, test: Effect.Effect<void, unknown, Parts | Scope.Scope>, limits: Limits = {}) =>
  it.live(name, () => test.pipe(Effect.scoped, Effect.provide(gateway(limits))))

const call = Effect.fnUntraced(function* (
  metadata: GrpcOptions["metadata"],
  more: { readonly path?: string; readonly headers?: Readonly<Record<string, string>> } = {},
) {
  const { port } = yield* GrpcServer
  return yield* connect({ port, metadata, ...more })
})

/** A call that is told everything, once it is welcome. */
const welcomed = Effect.fnUntraced(function* (metadata: Readonly<Record<string, string>>) {
  const client = yield* call({ notices: "true", ...metadata })
  const { welcome } = yield* client.first("welcome", ({ welcome }) => welcome !== undefined)
  return { client, welcome: welcome ?? assert.fail("no welcome") }
})

/** What the replay consumer puts, once this client's barrier has come through: the client goes LIVE. */
const bringBarrier = Effect.fnUntraced(function* (id: string, seq: number, epoch: bigint) {
  const { pod } = yield* Delivery
  const of = { epoch: Epoch.make(Number(epoch)), pod, route: RouteId.make("r.1") }
  const value = encodePlacedBarrier(Seq.make(seq), of)
  yield* MemoryParts.put(id, [{ seq, value }])
})

const put = (id: string, seqs: ReadonlyArray<number>) =>
  MemoryParts.put(
    id,
    seqs.map((seq) => MemoryParts.result(seq, { data: { number: seq, result: seq * seq } })),
  )

const seqs = (client: GrpcClient) => client.results().map(({ seq }) => Number(seq))

const isAcked = (id: string, upTo: number) =>
  eventually(
    `${id} has acknowledged ${upTo}`,
    Effect.map(MemoryParts.acked(id), (acked) => acked === upTo),
  )

describe("GrpcTransport", () => {
  scenario(
    "welcomes a client that wants to know, takes its events, and says when the log has them",
    Effect.gen(function* () {
      const { client, welcome } = yield* welcomed({ client_id: "c1" })
      assert.strictEqual(welcome.log, (yield* EventLog).incarnation)
      assert.deepStrictEqual([welcome.after, welcome.status], [-1n, Status.REPLAYING])
      client.send({ eventName: "sq", number: 7, eventId: "e1" }, { eventName: "news", dataJson: `{"a": [1,"ü"]}` })
      const { accepted } = yield* client.first("accepted", ({ accepted }) => accepted.length > 0)
      assert.strictEqual(accepted[0], "e1")
      const [barrier, ...events] = (yield* MemoryParts.logged("c1", 3)).map(({ value }) =>
        JSON.parse(Buffer.from(value).toString()),
      )
      assert.strictEqual(barrier.type, "barrier")
      assert.deepStrictEqual(events[0], { type: "event", id: "e1", name: "sq", data: { number: 7 } })
      assert.isNotEmpty(events[1].id)
      assert.deepStrictEqual({ ...events[1], id: "" }, { type: "event", id: "", name: "news", data: { a: [1, "ü"] } })
    }),
  )

  scenario(
    "carries the trace with which a client calls on into the log, and nothing that is none",
    Effect.gen(function* () {
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      const traced = yield* call({ client_id: "c1" }, { headers: { traceparent } })
      const untraced = yield* call({ client_id: "c2" }, { headers: { traceparent: "nonsense" } })
      traced.square(7)
      untraced.square(7)
      const [event] = yield* MemoryParts.sampled("c1", 1)
      const [other] = yield* MemoryParts.sampled("c2", 1)
      assert.strictEqual(event?.headers?.["traceparent"], traceparent)
      assert.isDefined(other?.headers)
      assert.notProperty(other?.headers, "traceparent")
    }),
  )

  scenario(
    "tells an old client nothing but its results",
    Effect.gen(function* () {
      const client = yield* call({ client_id: "c1" })
      client.square(7)
      yield* put("c1", [1])
      yield* client.hasResults(1)
      assert.deepStrictEqual(
        client.responses.map(({ seq }) => seq),
        [1n],
      )
    }),
  )

  scenario(
    "goes LIVE when the own barrier comes out of the mailbox, after everything before it",
    Effect.gen(function* () {
      yield* put("c1", [1, 2])
      const { client, welcome } = yield* welcomed({ client_id: "c1" })
      yield* client.hasResults(2)
      yield* bringBarrier("c1", 3, welcome.epoch)
      yield* client.isLive
      assert.deepStrictEqual(seqs(client), [1, 2])
    }),
  )

  describe("a result", () => {
    const outcomes: ReadonlyArray<
      readonly [
        what: string,
        outcome: { readonly data: Schema.Json } | { readonly error: Failure },
        expected: readonly [number: number, result: number, dataJson: string | undefined, code: string | undefined],
      ]
    > = [
      ["of sq", { data: { number: -7, result: 49 } }, [-7, 49, undefined, undefined]],
      ["without data", { data: null }, [0, 0, "null", undefined]],
      ["that is a list", { data: [1] }, [0, 0, "[1]", undefined]],
      ["with more in it", { data: { number: 1, word: "x" } }, [1, 0, `{"number":1,"word":"x"}`, undefined]],
      ["that is text where a number was", { data: { result: "x" } }, [0, 0, `{"result":"x"}`, undefined]],
      [
        "at the end of int32",
        { data: { number: 46340, result: 2147483647 } },
        [46340, 2147483647, undefined, undefined],
      ],
      [
        "beyond int32",
        { data: { number: 46341, result: 2147488281 } },
        [46341, 0, `{"number":46341,"result":2147488281}`, "NOT_INT32"],
      ],
      ["that is half", { data: { result: 0.5 } }, [0, 0, `{"result":0.5}`, "NOT_INT32"]],
      ["that is an error", { error: { code: "BAD_INPUT", message: "no" } }, [0, 0, undefined, "BAD_INPUT"]],
    ]
    for (const [what, outcome, expected] of outcomes) {
      scenario(
        `${what} has number, result, data and error ${JSON.stringify(expected)}, and always a log`,
        Effect.gen(function* () {
          yield* MemoryParts.put("c1", [MemoryParts.result(1, outcome)])
          const client = yield* call({ client_id: "c1" })
          yield* client.hasResults(1)
          const { dataJson, error, eventId, eventName, log, number, result } = client.results()[0]!
          assert.deepStrictEqual([eventId, eventName], ["e1", "sq"])
          assert.deepStrictEqual([number, result, dataJson, error?.code], [...expected])
          // An old client sees an error as the last step of the log.
          const step = log?.steps.at(-1)
          assert.strictEqual(log?.steps.length, error === undefined ? 0 : 1)
          if (error !== undefined) assert.strictEqual(step?.message, `${error.code}: ${error.message}`)
        }),
      )
    }

    const sampled = {
      ...MemoryParts.result(1, { data: { number: 1, result: 1 } }),
      headers: Journey.sample({
        time: 1_790_000_000_123,
        service: "gateway",
        instance: "gw-1",
        step: "accepted",
        details: { a: "b" },
      }),
    }

    for (const journey of ["true", "false", undefined] as const) {
      it.live(
        `that is sampled has its steps in the log unless the call says that it wants none: journey ${journey}`,
        () =>
          Effect.gen(function* () {
            yield* MemoryParts.put("c1", [sampled])
            const client = yield* call({ client_id: "c1", ...(journey === undefined ? {} : { journey }) })
            yield* client.hasResults(1)
            const steps = client.results()[0]?.log?.steps ?? []
            if (journey === "false") return assert.deepStrictEqual(steps, [])
            const [step, ...more] = steps
            assert.deepStrictEqual(more, [])
            assert.deepStrictEqual(
              [step?.serviceName, step?.instanceId, step?.methodName, step?.message, step?.metadata],
              ["gateway", "gw-1", "accepted", "accepted by gateway", { a: "b" }],
            )
            assert.strictEqual(timestampMs(step?.timestamp ?? assert.fail("no time")), 1_790_000_000_123)
          }).pipe(Effect.scoped, Effect.provide(gateway())),
      )
    }
  })

  for (const [journey, followsAll, isFollowed] of [
    [undefined, true, true],
    [undefined, false, false],
    ["true", false, true],
    ["false", true, false],
  ] as const) {
    it.live(`an event of a call with journey ${journey}, where all are sampled: ${followsAll}, is ${isFollowed}`, () =>
      Effect.gen(function* () {
        const client = yield* call({ client_id: "c1", ...(journey === undefined ? {} : { journey }) })
        client.square(7)
        const records = yield* MemoryParts.logged("c1", 2)
        assert.strictEqual(
          records.some(({ headers }) => Journey.isSampled(headers)),
          isFollowed,
        )
      }).pipe(Effect.scoped, Effect.provide(gateway({ journeys_per_second: 0 }, followsAll))),
    )
  }

  describe("acks", () => {
    scenario(
      "counts a result as acknowledged when the client's transport has had it for a while",
      Effect.gen(function* () {
        yield* put("c1", [1, 2])
        yield* call({ client_id: "c1" })
        yield* isAcked("c1", 2)
      }),
    )

    scenario(
      "does not count what waits for a client that reads nothing",
      Effect.gen(function* () {
        const client = yield* call({ client_id: "c1" })
        client.stream.pause()
        const page = (from: number, to: number) =>
          MemoryParts.put(
            "c1",
            Array.from({ length: to - from }, (_, i) => MemoryParts.result(from + i, { data: "x".repeat(2_000) })),
          )
        yield* page(0, 10)
        yield* isAcked("c1", 9)
        // More than the window of the stream, 64 KiB.
        for (let from = 10; from < 100; from += 10) yield* page(from, from + 10)
        // 32 results and a bit are what the window lets through: pings are answered all the time, and prove no more.
        yield* Effect.sleep("200 millis")
        assert.isBelow(yield* MemoryParts.acked("c1"), 40)
        client.stream.resume()
        yield* isAcked("c1", 99)
        assert.deepStrictEqual(
          seqs(client),
          Array.from({ length: 100 }, (_, i) => i),
        )
      }),
    )

    /** A hundred results of 2,000 bytes, ten in a batch. */
    const sendLarge = Effect.fnUntraced(function* (client: GrpcClient) {
      for (let from = 0; from < 100; from += 10) {
        const data = "x".repeat(2_000)
        yield* MemoryParts.put(
          "c1",
          Array.from({ length: 10 }, (_, i) => MemoryParts.result(from + i, { data })),
        )
        yield* client.hasResults(from + 10)
      }
    })

    scenario(
      "counts what a whole window is behind of, and nothing else, however often the transport answers",
      Effect.gen(function* () {
        const client = yield* call({ client_id: "c1" })
        yield* sendLarge(client)
        // 64 KiB are 32 results and a bit.
        yield* eventually(
          "most are acknowledged",
          Effect.map(MemoryParts.acked("c1"), (acked) => acked >= 49),
        )
        assert.isBelow(yield* MemoryParts.acked("c1"), 68)
      }),
      { auto_ack: { ...byWindow, read_ahead_bytes: 0 } },
    )

    scenario(
      "counts by the window as the client has widened it",
      Effect.gen(function* () {
        const client = yield* call({ client_id: "c1" })
        yield* Effect.callback<void>(
          (resume) => void client.session.settings({ initialWindowSize: 160_000 }, () => resume(Effect.void)),
        )
        yield* sendLarge(client)
        yield* eventually(
          "some are acknowledged",
          Effect.map(MemoryParts.acked("c1"), (acked) => acked >= 9),
        )
        // 160,000 bytes are 79 results.
        assert.isBelow(yield* MemoryParts.acked("c1"), 21)
      }),
      { auto_ack: { ...byWindow, read_ahead_bytes: 0 } },
    )

    for (const [what, leave] of [
      ["resets its call", (client: GrpcClient) => client.stream.close(constants.NGHTTP2_CANCEL)],
      ["resets its call without an error", (client: GrpcClient) => client.stream.close(constants.NGHTTP2_NO_ERROR)],
      ["is gone", (client: GrpcClient) => client.cut()],
    ] as const) {
      scenario(
        `counts nothing that it held back when the client ${what}, and sends it again`,
        Effect.gen(function* () {
          yield* put("c1", [1, 2])
          const first = yield* call({ client_id: "c1" })
          yield* first.hasResults(2)
          leave(first)
          yield* first.ended
          const second = yield* call({ client_id: "c1" })
          yield* second.hasResults(2)
          assert.deepStrictEqual(seqs(second), [1, 2])
        }),
        { auto_ack: byWindow },
      )
    }

    scenario(
      "with ack=client counts only the client's word, and sends what it did not acknowledge again",
      Effect.gen(function* () {
        yield* put("c1", [1, 2])
        const first = yield* call({ client_id: "c1", ack: "client" })
        yield* first.hasResults(2)
        const second = yield* call({ client_id: "c1", ack: "client" })
        yield* second.hasResults(2)
        second.ack(1n)
        yield* isAcked("c1", 1)
        const third = yield* call({ client_id: "c1", ack: "client" })
        yield* third.hasResults(1)
        const { client: fourth } = yield* welcomed({ client_id: "c1", ack: "client", after: "2" })
        yield* put("c1", [5])
        yield* fourth.hasResults(1)
        assert.deepStrictEqual([first, second, third, fourth].map(seqs), [[1, 2], [1, 2], [2], [5]])
      }),
    )

    scenario(
      "counts only the client's word from its first ack on",
      Effect.gen(function* () {
        yield* put("c1", [1])
        const client = yield* call({ client_id: "c1" })
        yield* isAcked("c1", 1)
        client.ack(1n)
        client.square(1)
        // The ack has come with the event behind it.
        yield* MemoryParts.logged("c1", 2)
        yield* put("c1", [2])
        yield* client.hasResults(2)
        const again = yield* call({ client_id: "c1" })
        yield* again.hasResults(1)
        assert.deepStrictEqual(seqs(again), [2])
      }),
    )
  })

  scenario(
    "ends the older of two calls of one client with ABORTED",
    Effect.gen(function* () {
      const { client } = yield* welcomed({ client_id: "c1" })
      yield* welcomed({ client_id: "c1" })
      const { code, message, trailers } = yield* client.ended
      assert.strictEqual(code, 10)
      assert.match(message, /^SUPERSEDED: /)
      assert.notProperty(trailers, "grpc-retry-pushback-ms")
    }),
  )

  scenario(
    "takes messages that are compressed beside others that are not, where the call says so",
    Effect.gen(function* () {
      const headers = { "grpc-encoding": "gzip" }
      const client = yield* call({ client_id: "c1", notices: "true" }, { headers })
      const event = toBinary(
        EventRequestSchema,
        create(EventRequestSchema, { eventName: "sq", number: 7, eventId: "e1" }),
      )
      client.sendBytes(Buffer.concat([frame(gzipSync(event), 1), frame(event), frame(gzipSync(event), 1)]))
      const records = (yield* MemoryParts.logged("c1", 4)).map(({ value }) => JSON.parse(Buffer.from(value).toString()))
      assert.deepStrictEqual(
        records.filter(({ type }) => type === "event").map(({ data }) => data),
        [{ number: 7 }, { number: 7 }, { number: 7 }],
      )
    }),
  )

  scenario(
    "ends a call whose time is over with DEADLINE_EXCEEDED, and keeps what it was sent for the next",
    Effect.gen(function* () {
      yield* put("c1", [1])
      const client = yield* call({ client_id: "c1", "grpc-timeout": "300m" })
      const { code } = yield* client.ended
      assert.strictEqual(code, 4)
      yield* eventually(
        "its session is gone",
        Effect.map(Delivery, ({ size }) => size() === 0),
      )
      const next = yield* call({ client_id: "c1", "grpc-timeout": "99999999H" })
      yield* next.hasResults(1)
    }),
    { auto_ack: byWindow },
  )

  describe("a client that says no more", () => {
    scenario(
      "is answered what is left, and then the call ends with OK",
      Effect.gen(function* () {
        const { client, welcome } = yield* welcomed({ client_id: "c1" })
        client.send({ eventName: "sq", number: 1, eventId: "e1" }, { eventName: "sq", number: 2, eventId: "e2" })
        client.halfClose()
        yield* MemoryParts.logged("c1", 3)
        yield* bringBarrier("c1", 0, welcome.epoch)
        yield* client.isLive
        yield* put("c1", [1])
        yield* client.hasResults(1)
        yield* put("c1", [2])
        // There is no pipeline here: what was found in the mailbox took the session back to REPLAYING.
        yield* bringBarrier("c1", 3, welcome.epoch)
        assert.strictEqual((yield* client.ended).code, 0)
        assert.deepStrictEqual(seqs(client), [1, 2])
        // Its transport has the end that it asked for: nothing is held back any more.
        yield* isAcked("c1", 3)
      }),
      { auto_ack: byWindow },
    )

    scenario(
      "is not sent again in its next call what it was sent in one that ended well, however soon that comes",
      Effect.gen(function* () {
        const { client, welcome } = yield* welcomed({ client_id: "c1" })
        yield* put("c1", [1, 2])
        yield* client.hasResults(2)
        client.halfClose()
        const { port } = yield* GrpcServer
        const scope = yield* Effect.scope
        const nextCall = connect({ port, metadata: { client_id: "c1" }, session: client.session })
        // With the end itself, in the same turn: no answer to a ping can be back.
        const next = new Promise<GrpcClient>((resolve) =>
          client.stream.once("trailers", () =>
            resolve(Effect.runSync(Effect.provideService(nextCall, Scope.Scope, scope))),
          ),
        )
        yield* bringBarrier("c1", 3, welcome.epoch)
        const again = yield* Effect.promise(() => next)
        yield* put("c1", [4])
        yield* again.hasResults(1)
        assert.deepStrictEqual(seqs(again), [4])
      }),
      { auto_ack: byWindow },
    )

    scenario(
      "is sent everything again if its connection breaks before its transport has the end",
      Effect.gen(function* () {
        const { port } = yield* GrpcServer
        const cable = yield* makeCable(port)
        const metadata = { client_id: "c1", notices: "true" }
        const client = yield* connect({ port: cable.port, metadata })
        const { welcome } = yield* client.first("welcome", ({ welcome }) => welcome !== undefined)
        yield* put("c1", [1, 2])
        yield* client.hasResults(2)
        yield* Effect.callback<void>((resume) => void client.stream.end(() => resume(Effect.void)))
        yield* Effect.callback<void>((resume) => void client.session.ping(() => resume(Effect.void)))
        // The end goes into a network that carries nothing any more, to a client that is gone.
        cable.unplug()
        yield* bringBarrier("c1", 3, welcome?.epoch ?? assert.fail("no welcome"))
        yield* eventually(
          "the call has ended",
          Effect.map(Delivery, ({ session }) => session(ClientId.make("c1"))?.acknowledged === -1),
        )
        cable.cut()
        const again = yield* call({ client_id: "c1" })
        yield* again.hasResults(2)
        assert.deepStrictEqual(seqs(again), [1, 2])
      }),
      { auto_ack: byWindow },
    )

    for (const [what, last] of [
      ["its task has ended", { end: "done" }],
      ["its task has failed", { end: "failed", error: { code: "HANDLER_FAILED", message: "no" } }],
    ] as const) {
      scenario(
        `is answered until ${what}, although what it has sent later has its result before`,
        Effect.gen(function* () {
          const { client, welcome } = yield* welcomed({ client_id: "c1" })
          client.send({ eventName: "ask", eventId: "task" }, { eventName: "sq", number: 2, eventId: "e2" })
          client.halfClose()
          yield* MemoryParts.logged("c1", 3)
          const opened = { clientId: ClientId.make("c1"), id: EventId.make("task"), seq: Seq.make(1), name: "ask" }
          const task = { ...opened, resumes: false, timestamp_ms: 0, attempt: 1, next: 1 }
          const part = { seq: 3, value: TaskRecords.encodePart(Seq.make(3), task, 0, `"one"`) }
          const end = { seq: 5, value: TaskRecords.encodeEnd(Seq.make(5), { _tag: "Ended", task, part: 1, ...last }) }
          yield* put("c1", [2])
          yield* MemoryParts.put("c1", [part])
          yield* bringBarrier("c1", 4, welcome.epoch)
          yield* client.isLive
          yield* client.hasResults(2)
          assert.strictEqual((yield* Delivery).size(), 1)
          yield* MemoryParts.put("c1", [end])
          yield* bringBarrier("c1", 6, welcome.epoch)
          assert.strictEqual((yield* client.ended).code, 0)
          const [, first, ended] = client.results()
          const item = { of: "task", attempt: 1 }
          assert.deepInclude(first, { eventId: "t1.1.0", dataJson: `"one"` })
          assert.deepInclude(first?.task, { ...item, part: 0, end: TaskEnd.UNSPECIFIED })
          assert.deepInclude(ended?.task, {
            ...item,
            part: 1,
            end: last.end === "done" ? TaskEnd.DONE : TaskEnd.FAILED,
          })
          assert.strictEqual(ended?.error?.code, last.end === "done" ? undefined : "HANDLER_FAILED")
          assert.include(ended?.log?.steps.at(-1)?.message, `has ended: ${last.end}`)
        }),
      )
    }

    scenario(
      "is not sent away before the log has its cancel",
      Effect.gen(function* () {
        const { client, welcome } = yield* welcomed({ client_id: "c1" })
        yield* bringBarrier("c1", 0, welcome.epoch)
        yield* client.isLive
        client.send({ cancel: "e1" })
        client.halfClose()
        assert.strictEqual((yield* client.ended).code, 0)
        const { value } = (yield* MemoryParts.logged("c1", 2)).find(({ value }) => isTaskRecord(value)) ?? assert.fail()
        assert.strictEqual(Buffer.from(value).toString(), `{"task":"e1","do":"cancel","by":"client"}`)
        assert.deepStrictEqual(client.responses.at(-1)?.cancelling, ["e1"])
      }),
    )

    scenario(
      "is not sent away while it is not LIVE",
      Effect.gen(function* () {
        const { client, welcome } = yield* welcomed({ client_id: "c1" })
        client.halfClose()
        yield* put("c1", [1])
        yield* client.hasResults(1)
        assert.strictEqual((yield* Delivery).size(), 1)
        yield* bringBarrier("c1", 2, welcome.epoch)
        assert.strictEqual((yield* client.ended).code, 0)
      }),
    )
  })

  describe("bad input", () => {
    const bad: ReadonlyArray<readonly [what: string, metadata: GrpcOptions["metadata"]]> = [
      ["no client id", {}],
      ["an illegal client id", { client_id: "a b" }],
      ["a client id that is too long", { client_id: "x".repeat(129) }],
      ["an `after` that is no number", { client_id: "c1", after: "x" }],
      ["an `after` below -1", { client_id: "c1", after: "-2" }],
      ...["", "0x10", "1e3", "+1", "01", "9007199254740992"].map(
        (after) => [`${JSON.stringify(after)} as \`after\``, { client_id: "c1", after }] as const,
      ),
      ["two of `after`", { client_id: "c1", after: ["1", "2"] }],
      ["an unknown way to acknowledge", { client_id: "c1", ack: "never" }],
    ]
    for (const [what, metadata] of bad) {
      scenario(
        `ends a call with ${what} with INVALID_ARGUMENT, and says what is wrong`,
        Effect.gen(function* () {
          const { code, message } = yield* (yield* call(metadata)).ended
          assert.strictEqual(code, 3)
          assert.match(message, /^BAD_REQUEST: ./)
        }),
      )
    }

    for (const [what, cancel] of [
      ["an empty id", ""],
      ["an id that is too long", "x".repeat(129)],
    ] as const) {
      scenario(
        `answers a cancel of ${what} with an error, and goes on: an event in the same message is taken`,
        Effect.gen(function* () {
          const { client } = yield* welcomed({ client_id: "c1" })
          client.send({ cancel }, { cancel, eventName: "sq", eventId: "e1" }, { cancel: "e1", ack: -1n })
          const refused = yield* client.first("an error", ({ error }) => error?.code === "BAD_FRAME")
          assert.deepStrictEqual([refused.eventId, refused.seq], ["", undefined])
          yield* client.first("accepted", ({ accepted }) => accepted.includes("e1"))
          yield* client.first("cancelling", ({ cancelling }) => cancelling.includes("e1"))
          const records = (yield* MemoryParts.logged("c1", 3)).map(({ value }) => Buffer.from(value).toString())
          assert.deepStrictEqual(
            records.filter((record) => !record.includes(`"barrier"`)),
            [`{"type":"event","id":"e1","name":"sq","data":{"number":0}}`, `{"task":"e1","do":"cancel","by":"client"}`],
          )
        }),
      )
    }

    for (const [what, bytes, code, said] of [
      [
        "a message that is no EventRequest",
        frame(Buffer.from([0xff, 0xff, 0xff])),
        3,
        /^BAD_REQUEST: not an EventRequest/,
      ],
      ["text that is not UTF-8", frame(Buffer.from([0x0a, 2, 0xc3, 0x28])), 3, /^BAD_REQUEST: not an EventRequest/],
      ["a message over the limit", frame(Buffer.alloc(5000)), 8, /^MESSAGE_TOO_BIG: .* 4096 bytes/],
      ["the head of a message of 4 GiB", Buffer.from([0, 255, 255, 255, 255]), 8, /^MESSAGE_TOO_BIG: /],
      [
        "a compressed message on a call that is not",
        frame(gzipSync(Buffer.alloc(3)), 1),
        13,
        /^BAD_FRAME: .*compressed/,
      ],
      ["a message of an unknown flag", frame(Buffer.alloc(3), 2), 13, /^BAD_FRAME: .*compressed/],
    ] as const) {
      scenario(
        `ends a call that sends ${what} with code ${code}`,
        Effect.gen(function* () {
          const other = yield* welcomed({ client_id: "other" })
          const { client } = yield* welcomed({ client_id: "c1" })
          client.sendBytes(bytes)
          const ended = yield* client.ended
          assert.strictEqual(ended.code, code)
          assert.match(ended.message, said)
          yield* eventually(
            "its session is gone, the other is there",
            Effect.map(Delivery, ({ size }) => size() === 1),
          )
          other.client.square(1)
          yield* other.client.first("accepted", ({ accepted }) => accepted.length > 0)
        }),
      )
    }

    scenario(
      "ends a call that is half-closed within a message with BAD_REQUEST, once it was answered what is left",
      Effect.gen(function* () {
        yield* put("c1", [1])
        const { client, welcome } = yield* welcomed({ client_id: "c1" })
        client.sendBytes(frame(Buffer.alloc(100)).subarray(0, 50))
        client.halfClose()
        yield* client.hasResults(1)
        yield* bringBarrier("c1", 2, welcome.epoch)
        const { code, message } = yield* client.ended
        assert.strictEqual(code, 3)
        assert.match(message, /^BAD_REQUEST: .*within a message/)
      }),
    )

    for (const [what, bytes, code, said] of [
      ["what is no gzip", Buffer.from("no gzip"), 13, /^BAD_FRAME: .*gzip/],
      ["gzip that is cut off", gzipSync(Buffer.alloc(300, "x")).subarray(0, 20), 13, /^BAD_FRAME: .*gzip/],
      [
        "a thousand times as much as it says",
        gzipSync(Buffer.alloc(1024 * 1024)),
        8,
        /^MESSAGE_TOO_BIG: .* 4096 bytes/,
      ],
    ] as const) {
      scenario(
        `ends a call that compresses and sends ${what} with code ${code}`,
        Effect.gen(function* () {
          const client = yield* call({ client_id: "c1" }, { headers: { "grpc-encoding": "gzip" } })
          client.sendBytes(frame(bytes, 1))
          const ended = yield* client.ended
          assert.strictEqual(ended.code, code)
          assert.match(ended.message, said)
        }),
      )
    }

    for (const [what, more] of [
      ["a method that is not there", { path: "/nimbus.NimbusService/Forget" }],
      ["a service that is not there", { path: "/nimbus.Other/ProcessEvent" }],
      ["a compression that is not there", { headers: { "grpc-encoding": "br" } }],
    ] as const) {
      scenario(
        `answers ${what} with UNIMPLEMENTED`,
        Effect.gen(function* () {
          const { code, trailers } = yield* (yield* call({ client_id: "c1" }, more)).ended
          assert.strictEqual(code, 12)
          assert.strictEqual(trailers["grpc-accept-encoding"], "gzip,identity")
        }),
      )
    }

    for (const headers of [
      { "content-type": "application/json" },
      { "content-type": "application/grpc-web+proto" },
      { "content-type": "application/grpc+json" },
      { ":method": "PUT" },
    ]) {
      scenario(
        `answers ${JSON.stringify(headers)} with HTTP 415`,
        Effect.gen(function* () {
          const { code, trailers } = yield* (yield* call({ client_id: "c1" }, { headers })).ended
          assert.deepStrictEqual([code, trailers[":status"]], [-1, 415])
        }),
      )
    }

    for (const [what, event, code, said] of [
      ["an event without a name", { number: 3 }, "BAD_FRAME", /event_name/],
      ["a name that is too long", { eventName: "x".repeat(129) }, "BAD_FRAME", /event_name/],
      ["an id that is too long", { eventName: "sq", eventId: "x".repeat(129) }, "BAD_FRAME", /event_id/],
      ["data that is not JSON", { eventName: "sq", dataJson: "{" }, "BAD_FRAME", /data_json: ./],
      [
        "a number that would change",
        { eventName: "event", dataJson: "9007199254740993" },
        "BAD_NUMBER",
        /data_json: ./,
      ],
    ] as const) {
      scenario(
        `refuses ${what}, says why, and goes on`,
        Effect.gen(function* () {
          const { client } = yield* welcomed({ client_id: "c1" })
          client.send(event, { eventName: "sq", eventId: "good" })
          const refused = yield* client.first("refusal", ({ error }) => error?.code === code)
          assert.match(refused.error?.message ?? "", said)
          assert.isUndefined(refused.seq)
          assert.isTrue(refused.log?.steps[0]?.message.startsWith(`${code}: `))
          yield* client.first("the next is accepted", ({ accepted }) => accepted.includes("good"))
        }),
      )
    }

    for (const ack of [5n, -1n, 2n ** 62n]) {
      scenario(
        `says ACK_BEYOND_SENT to an ack of ${ack}, and changes nothing`,
        Effect.gen(function* () {
          yield* put("c1", [1])
          const client = yield* call({ client_id: "c1", ack: "client" })
          yield* client.hasResults(1)
          client.ack(ack)
          yield* client.first("the error", ({ error }) => error?.code === "ACK_BEYOND_SENT")
          assert.strictEqual(yield* MemoryParts.acked("c1"), -1)
        }),
      )
    }

    scenario(
      "ignores an `after` beyond the log's end, or of another log, and says so",
      Effect.gen(function* () {
        const beyond = yield* welcomed({ client_id: "c1", after: "1000" })
        yield* beyond.client.first("the error", ({ error }) => error?.code === "AFTER_BEYOND_END")
        const other = yield* welcomed({ client_id: "c2", after: "0", log: "other" })
        yield* other.client.first("the error", ({ error }) => error?.code === "AFTER_OTHER_LOG")
        assert.deepStrictEqual([beyond.welcome.after, other.welcome.after], [-1n, -1n])
      }),
    )

    scenario(
      "closes a connection that speaks HTTP/1 or nothing known, and lets others go on",
      Effect.gen(function* () {
        const { client } = yield* welcomed({ client_id: "c1" })
        const { port } = yield* GrpcServer
        for (const text of ["GET / HTTP/1.1\r\nHost: here\r\n\r\n", "\u0000\u0001\u0002".repeat(100)]) {
          yield* Effect.callback<void>((resume) => {
            const socket = connectTcp(port, "127.0.0.1", () => socket.write(text))
            socket.resume().on("error", () => {})
            socket.on("close", () => resume(Effect.void))
          })
        }
        client.square(1)
        yield* client.first("accepted", ({ accepted }) => accepted.length > 0)
      }),
    )

    scenario(
      "survives 500 calls of random bytes, and lets others go on",
      Effect.gen(function* () {
        const { client: quiet } = yield* welcomed({ client_id: "quiet" })
        let state = 42
        const random = (n: number) => (state = (state * 1103515245 + 12345) % 2147483648) % n
        const codes = new Set<number>()
        const noise = Effect.gen(function* () {
          const noisy = yield* call({ client_id: `noisy-${random(1_000)}` })
          const message = Buffer.from(Array.from({ length: 1 + random(40) }, () => random(256)))
          noisy.sendBytes(random(4) === 0 ? message : frame(message))
          // Whatever that was, after this the call can't go on: a message ends in here, and no other begins like this.
          noisy.sendBytes(Buffer.alloc(5_000, 0xff))
          codes.add((yield* noisy.ended).code)
        })
        yield* Effect.forEach(Array.from({ length: 500 }), () => Effect.scoped(noise), {
          concurrency: 10,
          discard: true,
        })
        assert.includeMembers([3, 8, 10, 13], [...codes])
        assert.include([...codes], 3)
        quiet.square(1)
        yield* quiet.first("accepted", ({ accepted }) => accepted.length > 0)
      }),
    )
  })

  describe("a client that is slow, fast or gone", () => {
    scenario(
      "that reads nothing is sent no more than its buffers hold",
      Effect.gen(function* () {
        const before = yield* deliveredInAll
        const client = yield* call({ client_id: "c1" })
        client.stream.pause()
        const large = "x".repeat(10_000)
        for (let page = 0; page < 20; page++) {
          yield* MemoryParts.put(
            "c1",
            Array.from({ length: 50 }, (_, i) => MemoryParts.result(page * 50 + i, { data: large })),
          )
        }
        const delivered = Effect.map(deliveredInAll, (now) => now - before)
        yield* eventually(
          "it is sent some",
          Effect.map(delivered, (count) => count > 5),
        )
        yield* Effect.sleep("300 millis")
        // 10 MB wait; the stream has its window and a buffer of 100 KB, and what came in one page beyond it.
        assert.isBelow(yield* delivered, 50)
        client.stream.resume()
        yield* client.hasResults(1_000)
        assert.deepStrictEqual(
          seqs(client),
          Array.from({ length: 1_000 }, (_, i) => i),
        )
      }),
      { socket_buffer_bytes: 100_000, session: { ...sessionLimits, page_bytes: 100_000 } },
    )

    scenario(
      "that sends too fast is read more slowly, and refused nothing",
      Effect.gen(function* () {
        const { client } = yield* welcomed({ client_id: "c1" })
        const accepted = () => client.responses.reduce((sum, { accepted }) => sum + accepted.length, 0)
        const has = (count: number) =>
          eventually(
            `${count} accepted`,
            Effect.sync(() => accepted() === count),
          )
        // 50 are free; the other 25, read in one go with them, are owed: half a second at 50 a second.
        const from = Date.now()
        client.square(...Array.from({ length: 75 }, (_, i) => i))
        yield* has(75)
        client.square(1)
        yield* has(76)
        assert.isAbove(Date.now() - from, 400)
      }),
      { events_per_second: 50 },
    )

    scenario(
      "and others are read more slowly where they are together too fast for the gateway",
      Effect.gen(function* () {
        const clients = yield* Effect.forEach(["c1", "c2", "c3"], (client_id) => welcomed({ client_id }))
        const accepted = () =>
          clients.flatMap(({ client }) => client.responses).reduce((sum, { accepted }) => sum + accepted.length, 0)
        // 50 are free, and the others of 90 owed: more than half a second at 50 a second.
        const from = Date.now()
        for (const { client } of clients) client.square(...Array.from({ length: 30 }, (_, i) => i))
        yield* eventually(
          "all are accepted",
          Effect.sync(() => accepted() === 90),
        )
        assert.isAbove(Date.now() - from, 400)
      }),
      { gateway_frames_per_second: 50, read_slice_bytes: 64 },
    )

    scenario(
      "whose network is gone is given up, and its session ends",
      Effect.gen(function* () {
        const { port } = yield* GrpcServer
        const cable = yield* makeCable(port)
        const client = yield* connect({ port: cable.port, metadata: { client_id: "c1", notices: "true" } })
        yield* client.first("welcome", ({ welcome }) => welcome !== undefined)
        // It answers pings: silent for longer than the time-out, it stays.
        yield* Effect.sleep("2500 millis")
        const { size } = yield* Delivery
        assert.strictEqual(size(), 1)
        cable.unplug()
        yield* eventually(
          "the session is gone",
          Effect.sync(() => size() === 0),
        )
      }),
      // So long that a busy machine does not keep the answer to a ping for it.
      { idle_timeout_ms: 2_000 },
    )
  })

  /** A connection on which so many calls are begun and reset. */
  const resets = (calls: number) =>
    Effect.gen(function* () {
      const { port } = yield* GrpcServer
      const session = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const session = connectHttp2(`http://127.0.0.1:${port}`)
          await once(session, "connect")
          return session
        }),
        (session) => Effect.sync(() => session.destroy()),
      )
      session.on("error", () => {})
      const head = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" }
      for (let n = 0; n < calls; n++) {
        const stream = session.request({ ...head, client_id: `reset${n}` })
        stream.on("error", () => {})
        stream.close(constants.NGHTTP2_CANCEL)
      }
      return session
    })

  scenario(
    "a connection ends on which more calls are reset than may be in a second, and others stay",
    Effect.gen(function* () {
      const { client } = yield* welcomed({ client_id: "c1" })
      const session = yield* resets(100)
      yield* eventually(
        "it has ended",
        Effect.sync(() => session.destroyed),
      )
      client.send({ eventName: "sq", eventId: "e1" })
      yield* eventually(
        "the other is served",
        Effect.sync(() => client.responses.length > 1),
      )
    }),
    { resets_per_second: 10 },
  )

  scenario(
    "a call that is reset at once opens no session, however many there are (CVE-2023-44487)",
    Effect.gen(function* () {
      const session = yield* resets(100)
      yield* Effect.promise(() => new Promise<void>((resolve) => void session.ping(() => resolve())))
      yield* welcomed({ client_id: "c1" })
      const { entries } = yield* Registry
      const known = (yield* Stream.runCollect(entries)).filter(({ clientId }) => clientId.startsWith("reset"))
      // Some have their turn before their reset is read.
      assert.isBelow(known.length, 10)
    }),
    { calls_per_turn: 1, openings_per_turn: 1_000 },
  )

  it.live("tells its clients to come back, each after a while of its own, when it goes away", () =>
    Effect.gen(function* () {
      const ended = yield* Effect.gen(function* () {
        const { client } = yield* welcomed({ client_id: "c1" }).pipe(
          Effect.provideService(Scope.Scope, yield* Effect.scope),
        )
        return client.ended
      }).pipe(Effect.provide(gateway()))
      const { code, message, trailers } = yield* ended
      assert.strictEqual(code, 14)
      assert.match(message, /^GOING_AWAY: /)
      const retry_ms = Number(trailers["grpc-retry-pushback-ms"])
      assert.isTrue(retry_ms >= 0 && retry_ms < 2_000, `${retry_ms} ms`)
    }),
  )

  describe("services of every gRPC server", () => {
    const transport = Effect.map(GrpcServer, ({ port }) => createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }))

    scenario(
      "health: serving, as a whole and by name; others are not known",
      Effect.gen(function* () {
        const client = createClient(Health, yield* transport)
        for (const service of ["", "nimbus.NimbusService"]) {
          const { status } = yield* Effect.promise(() => client.check({ service }))
          assert.strictEqual(status, Serving.SERVING)
        }
        const unknown = yield* Effect.promise(() => client.check({ service: "other" }).catch((error: unknown) => error))
        assert.match(String(unknown), /not_found/)
        const watched = yield* Stream.fromAsyncIterable(client.watch({ service: "other" }), String).pipe(Stream.runHead)
        assert.strictEqual(watched._tag === "Some" ? watched.value.status : undefined, Serving.SERVICE_UNKNOWN)
      }),
    )

    scenario(
      "reflection: the services, and the contract with what it imports",
      Effect.gen(function* () {
        const client = createClient(ServerReflection, yield* transport)
        const ask = (messageRequest: Question) =>
          Stream.fromAsyncIterable(client.serverReflectionInfo(request(messageRequest)), String).pipe(
            Stream.runHead,
            Effect.flatMap(Effect.fromOption),
            Effect.map(({ messageResponse }) => messageResponse),
          )
        const listed = yield* ask({ case: "listServices", value: "" })
        assert.deepStrictEqual(
          listed.case === "listServicesResponse" ? listed.value.service.map(({ name }) => name) : [],
          services,
        )
        for (const value of ["nimbus.NimbusService", "nimbus.NimbusService.ProcessEvent", "nimbus.TraceStep"]) {
          const found = yield* ask({ case: "fileContainingSymbol", value })
          const files = found.case === "fileDescriptorResponse" ? found.value.fileDescriptorProto : []
          assert.deepStrictEqual(
            files.map((file) => fromBinary(FileDescriptorProtoSchema, file).name),
            ["nimbus.proto", "google/protobuf/timestamp.proto"],
          )
        }
        const file = yield* ask({ case: "fileByFilename", value: "google/protobuf/timestamp.proto" })
        assert.strictEqual(file.case, "fileDescriptorResponse")
        const unknown = yield* ask({ case: "fileContainingSymbol", value: "nimbus.Nothing" })
        assert.strictEqual(unknown.case === "errorResponse" ? unknown.value.errorCode : undefined, 5)
      }),
    )

    scenario(
      "reflection by its name of before, which tells the same",
      Effect.gen(function* () {
        const client = createClient(v1alpha.ServerReflection, yield* transport)
        const answers = yield* Stream.fromAsyncIterable(
          client.serverReflectionInfo(
            alphaRequests(
              { case: "listServices", value: "" },
              { case: "fileContainingSymbol", value: "nimbus.NimbusService" },
              { case: "fileContainingSymbol", value: "nimbus.Nothing" },
            ),
          ),
          String,
        ).pipe(
          Stream.map(({ messageResponse }) => messageResponse),
          Stream.runCollect,
        )
        const [listed, found, unknown] = answers
        assert.deepStrictEqual(
          listed?.case === "listServicesResponse" ? listed.value.service.map(({ name }) => name) : [],
          services,
        )
        assert.deepStrictEqual(
          (found?.case === "fileDescriptorResponse" ? found.value.fileDescriptorProto : []).map(
            (file) => fromBinary(FileDescriptorProtoSchema, file).name,
          ),
          ["nimbus.proto", "google/protobuf/timestamp.proto"],
        )
        assert.strictEqual(unknown?.case === "errorResponse" ? unknown.value.errorCode : undefined, 5)
      }),
    )
  })
})

/** The same messages under the name that older tools know. */
async function* alphaRequests(
  ...questions: ReadonlyArray<MessageInitShape<typeof v1alpha.ServerReflectionRequestSchema>["messageRequest"]>
) {
  for (const messageRequest of questions) {
    yield create(v1alpha.ServerReflectionRequestSchema, messageRequest === undefined ? {} : { messageRequest })
  }
}

/** Results handed to transports so far, as the metrics have it. */
const deliveredInAll = Effect.gen(function* () {
  const base = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const text = yield* Effect.promise(async () => (await fetch(`${base}/metrics`)).text())
  return Number(/^nimbus_gateway_results_delivered_total{door="grpc"} (\d+)/m.exec(text)?.[1] ?? 0)
})

/** A network between a client and a port, which can be unplugged: nothing goes through any more, nor is anything said. */
const makeCable = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; unplug(): void; cut(): void }>((resume) => {
      const ends = new Set<Socket>()
      const server = createServer((near) => {
        const far = connectTcp(port, "127.0.0.1")
        near.pipe(far)
        far.pipe(near)
        for (const end of [near, far]) ends.add(end.on("error", () => {}))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(
          Effect.succeed({
            port: typeof address === "object" && address !== null ? address.port : 0,
            unplug: () => ends.forEach((end) => end.unpipe().pause()),
            cut: () => {
              server.close()
              ends.forEach((end) => end.destroy())
            },
          }),
        )
      })
    }),
    (cable) => Effect.sync(() => cable.cut()),
  )

const services = [
  "nimbus.NimbusService",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
]

type Question = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]

async function* request(messageRequest: Question) {
  yield create(ServerReflectionRequestSchema, messageRequest === undefined ? {} : { messageRequest })
}
