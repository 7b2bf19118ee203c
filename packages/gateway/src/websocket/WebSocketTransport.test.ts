/**
 * The transport on its own: real sockets, the delivery core, and the services of the domain in memory. There is no
 * pipeline here; what a result consumer or the replay consumer would do, the tests do by hand.
 */
import { assert, describe, it } from "@effect/vitest"
import { autoAckLimits, sessionLimits } from "@nimbus/domain/limits"
import {
  ClientId,
  encodePlacedBarrier,
  Epoch,
  isTaskRecord,
  partitionOf,
  RouteId,
  Seq,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { AckChannel, EventLog, PodChannel } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer, Option, Queue, Ref, Result, Schema, Scope, Stream } from "effect"
import { HttpServer } from "effect/http"
import { type ClientOptions, WebSocket } from "ws"
import { Gateway } from "../index.ts"
import { Delivery } from "../delivery/Delivery.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

type Limits = Parameters<typeof Gateway.layerWith>[0]["limits"]

const route = RouteId.make("r.1")

/** What a client is sent counts as read soon: most tests are not about how long it takes. */
const soon = { ...autoAckLimits, quiet_ms: 50, look_ms: 20 }

const gatewayOn = <E>(parts: Layer.Layer<Layer.Success<typeof MemoryParts.layer>, E>, limits: Limits = {}) =>
  Gateway.layerWith({
    host: "127.0.0.1",
    port: 0,
    limits: { tick_ms: 20, frame_bytes: 4096, auto_ack: soon, ...limits },
  }).pipe(Layer.provideMerge(parts))

const gateway = (limits: Limits = {}) => gatewayOn(MemoryParts.layer, limits)

/** Takes what is published, and never says that it has it. */
const stuck = Layer.effect(
  EventLog,
  Effect.map(EventLog, (log) => EventLog.of({ ...log, publish: () => Effect.never })),
)

const Frame = Schema.Record(Schema.String, Schema.Unknown)
const decodeFrame = Schema.decodeUnknownSync(Schema.fromJsonString(Frame))
type Frame = typeof Frame.Type

interface Peer {
  readonly ws: WebSocket
  /** The next frame of this type; others before it are passed over. */
  next(type: string): Effect.Effect<Frame>
  /** How many frames of this type have come. */
  count(type: string): Effect.Effect<number>
  /** How the gateway closed the socket. */
  readonly closed: Effect.Effect<{ readonly code: number; readonly reason: string }>
  say(frame: unknown): void
}

const connect = Effect.fnUntraced(function* (
  query: string,
  options: ClientOptions = {},
  path = "/v1/stream",
): Effect.fn.Return<Peer, never, HttpServer.HttpServer | Scope.Scope> {
  const { address } = yield* HttpServer.HttpServer
  const frames = yield* Queue.unbounded<Frame>()
  const closes = yield* Queue.unbounded<{ readonly code: number; readonly reason: string }>()
  const port = "port" in address ? address.port : assert.fail("no port")
  const ws = yield* Effect.acquireRelease(
    Effect.sync(
      () => new WebSocket(`ws://127.0.0.1:${port}${path}?${query}`, path === "/v1/stream" ? "nimbus.v1" : [], options),
    ),
    (ws) => Effect.sync(() => ws.terminate()),
  )
  const counts = new Map<unknown, number>()
  // What an error comes to shows in the close.
  ws.on("error", () => {})
  ws.on("message", (data) => {
    const frame = decodeFrame(String(data))
    counts.set(frame["type"], (counts.get(frame["type"]) ?? 0) + 1)
    Queue.offerUnsafe(frames, frame)
  })
  ws.on("close", (code, reason) => Queue.offerUnsafe(closes, { code, reason: reason.toString() }))
  yield* Effect.callback<void>((resume) => {
    ws.once("open", () => resume(Effect.void))
  })
  return {
    ws,
    next: (type) => Queue.take(frames).pipe(Effect.repeat({ until: (frame) => frame["type"] === type })),
    count: (type) => Effect.sync(() => counts.get(type) ?? 0),
    closed: Queue.take(closes),
    say: (frame) => ws.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
  }
})

const { put } = MemoryParts
const result = (seq: number) => MemoryParts.result(seq, { data: { result: seq } })

const Ids = Schema.Array(Schema.String)

/** Done once the log has all of these. */
const acceptedAll = Effect.fnUntraced(function* (peer: Peer, ids: ReadonlyArray<string>) {
  const missing = new Set(ids)
  while (missing.size > 0) {
    for (const id of Schema.decodeUnknownSync(Ids)((yield* peer.next("accepted"))["ids"])) missing.delete(id)
  }
})

const seqsOf = (frame: Frame): ReadonlyArray<unknown> =>
  Schema.decodeUnknownSync(Schema.Array(Frame))(frame["items"]).map(({ seq }) => seq)

/** What the events topic has of this client. */
const logged = (id: string, count: number) =>
  Effect.map(MemoryParts.logged(id, count), (records) =>
    records.map(({ value }) => decodeFrame(Buffer.from(value).toString())),
  )

/** `c1`, in its mailbox. */
const isAcked = (upTo: number) =>
  eventually(
    `${upTo} is acknowledged`,
    Effect.map(MemoryParts.acked("c1"), (acked) => acked === upTo),
  )

const scenario = (
  name: string,
  test: Effect.Effect<void, unknown, HttpServer.HttpServer | Layer.Success<ReturnType<typeof gateway>> | Scope.Scope>,
  limits: Parameters<typeof gateway>[0] = {},
) => it.live(name, () => test.pipe(Effect.scoped, Effect.provide(gateway(limits))))

describe("WebSocketTransport", () => {
  scenario(
    "welcomes a client, takes its events as the bytes they are, and says when the log has them",
    Effect.gen(function* () {
      const peer = yield* connect("clientId=c1")
      const welcome = yield* peer.next("welcome")
      assert.strictEqual(welcome["clientId"], "c1")
      assert.strictEqual(welcome["status"], "REPLAYING")
      assert.strictEqual(welcome["log"], (yield* EventLog).incarnation)
      peer.say({ type: "event", id: "e1", name: "sq", data: { number: 7 } })
      peer.say({ type: "event", name: "sq" })
      const first = yield* peer.next("accepted")
      assert.include(JSON.stringify(first["ids"]), "e1")
      const [barrier, event, nameless] = yield* logged("c1", 3)
      assert.strictEqual(barrier?.["type"], "barrier")
      assert.deepStrictEqual(event, { type: "event", id: "e1", name: "sq", data: { number: 7 } })
      assert.isString(nameless?.["id"])
      assert.isNull(nameless?.["data"])
    }),
  )

  scenario(
    "carries the trace with which a client connects on into the log, and nothing that is none",
    Effect.gen(function* () {
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
      const traced = yield* connect("clientId=c1", { headers: { traceparent } })
      const untraced = yield* connect("clientId=c2", { headers: { traceparent: "nonsense" } })
      for (const peer of [traced, untraced]) peer.say({ type: "event", id: "e1", name: "sq", data: { number: 7 } })
      const [event] = yield* MemoryParts.sampled("c1", 1)
      const [other] = yield* MemoryParts.sampled("c2", 1)
      assert.strictEqual(event?.headers?.["traceparent"], traceparent)
      assert.isDefined(other?.headers)
      assert.notProperty(other?.headers, "traceparent")
    }),
  )

  scenario(
    "goes LIVE when the own barrier comes out of the mailbox, after everything before it",
    Effect.gen(function* () {
      yield* put("c1", [result(1), result(2)])
      const peer = yield* connect("clientId=c1&ack=client")
      const { epoch } = yield* peer.next("welcome")
      assert.deepStrictEqual(seqsOf(yield* peer.next("results")), [1, 2])
      const { pod } = yield* Delivery
      const barrier = encodePlacedBarrier(Seq.make(3), { epoch: Epoch.make(Number(epoch)), pod, route })
      yield* put("c1", [{ seq: 3, value: barrier }])
      assert.strictEqual((yield* peer.next("status"))["status"], "LIVE")
    }),
  )

  scenario(
    "passes on only the client's own ack, and trims its mailbox by it",
    Effect.gen(function* () {
      yield* put("c1", [result(1), result(2)])
      const acks = yield* (yield* AckChannel).subscribe(partitionOf("c1", 3))
      const peer = yield* connect("clientId=c1&ack=client")
      yield* peer.next("results")
      peer.say({ type: "ack", seq: 1 })
      const told = yield* acks.pipe(
        Stream.flatMap((batch) => Stream.fromIterable(batch)),
        Stream.runHead,
      )
      assert.deepStrictEqual(Option.getOrUndefined(told), {
        _tag: "Ack",
        clientId: ClientId.make("c1"),
        seq: Seq.make(1),
      })
      yield* isAcked(1)
    }),
  )

  describe("with ack=auto", () => {
    /** Nothing by time, and everything by what was sent behind it. */
    const byWindow = { ...autoAckLimits, mark_bytes: 1, quiet_ms: 60_000, look_ms: 20 }
    const pages = (from: number, to: number) =>
      put(
        "c1",
        Array.from({ length: to - from }, (_, i) => MemoryParts.result(from + i, { data: "x".repeat(1_000) })),
      )

    scenario(
      "counts a result as acknowledged when it has been there for a while, and a pong is back",
      Effect.gen(function* () {
        yield* put("c1", [result(1)])
        yield* connect("clientId=c1")
        yield* isAcked(1)
      }),
    )

    scenario(
      "does not by a pong alone, and sends it again to the next connection",
      Effect.gen(function* () {
        yield* put("c1", [result(1), result(2)])
        const first = yield* connect("clientId=c1")
        const pinged = new Promise<void>((resolve) => first.ws.once("ping", () => resolve()))
        assert.deepStrictEqual(seqsOf(yield* first.next("results")), [1, 2])
        yield* Effect.promise(() => pinged)
        // Closed as a page is that goes: what it had not got to, nobody knows.
        first.ws.close(1000)
        yield* first.closed
        const second = yield* connect("clientId=c1")
        assert.deepStrictEqual(seqsOf(yield* second.next("results")), [1, 2])
      }),
      { auto_ack: { ...byWindow, mark_bytes: autoAckLimits.mark_bytes, look_ms: 1 } },
    )

    scenario(
      "counts what has read_ahead_bytes behind it, and nothing else, whatever is answered",
      Effect.gen(function* () {
        const peer = yield* connect("clientId=c1")
        for (let from = 0; from < 100; from += 10) {
          yield* pages(from, from + 10)
          yield* peer.next("results")
        }
        // 10,000 bytes are the last ten results, less a bit.
        yield* eventually(
          "most are acknowledged",
          Effect.map(MemoryParts.acked("c1"), (acked) => acked >= 79),
        )
        assert.isBelow(yield* MemoryParts.acked("c1"), 91)
      }),
      { auto_ack: { ...byWindow, read_ahead_bytes: 10_000 } },
    )

    scenario(
      "counts nothing without a pong, and by it what was sent before its ping",
      Effect.gen(function* () {
        const peer = yield* connect("clientId=c1", { autoPong: false })
        const pings: Array<Buffer> = []
        peer.ws.on("ping", (payload: Buffer) => pings.push(payload))
        for (const seq of [0, 1]) {
          yield* pages(seq, seq + 1)
          yield* eventually(
            "a ping follows",
            Effect.sync(() => pings.length === seq + 1),
          )
        }
        assert.strictEqual(yield* MemoryParts.acked("c1"), -1)
        peer.ws.pong(pings[0])
        yield* isAcked(0)
        peer.ws.pong("of no ping")
        peer.ws.pong(pings[1])
        yield* isAcked(1)
      }),
      { auto_ack: { ...byWindow, read_ahead_bytes: 0 } },
    )

    scenario(
      "goes on beyond a full window once that is old enough",
      Effect.gen(function* () {
        yield* pages(0, 20)
        const peer = yield* connect("clientId=c1")
        yield* Effect.repeat(peer.next("results"), { until: (frame) => seqsOf(frame).at(-1) === 19 })
        yield* isAcked(19)
      }),
      {
        session: { ...sessionLimits, window_results: 1 },
        auto_ack: { ...autoAckLimits, window_results: 2, window_bytes: 1, quiet_ms: 50, look_ms: 10 },
      },
    )
  })

  scenario(
    "with ack=client sends an unacknowledged result again on the next connection, and after= skips what the client has",
    Effect.gen(function* () {
      yield* put("c1", [result(1), result(2)])
      const first = yield* connect("clientId=c1&ack=client")
      assert.deepStrictEqual(seqsOf(yield* first.next("results")), [1, 2])
      const second = yield* connect("clientId=c1&ack=client")
      assert.deepStrictEqual(seqsOf(yield* second.next("results")), [1, 2])
      const third = yield* connect("clientId=c1&ack=client&after=1")
      assert.deepStrictEqual(seqsOf(yield* third.next("results")), [2])
    }),
  )

  scenario(
    "closes the older of two connections of one client as superseded",
    Effect.gen(function* () {
      const older = yield* connect("clientId=c1")
      yield* older.next("welcome")
      const newer = yield* connect("clientId=c1")
      yield* newer.next("welcome")
      assert.deepStrictEqual(yield* older.closed, { code: 4500, reason: "SUPERSEDED" })
    }),
  )

  scenario(
    "nacks a push for a client it does not hold",
    Effect.gen(function* () {
      const clientId = ClientId.make("nobody")
      const acks = yield* (yield* AckChannel).subscribe(partitionOf(clientId, 3))
      const { pod } = yield* Delivery
      const { seq, value } = result(5)
      yield* (yield* PodChannel).publish(pod, [
        { _tag: "Push", clientId, seq: Seq.make(seq), prev: Seq.make(4), route, value },
      ])
      const told = yield* acks.pipe(
        Stream.flatMap((batch) => Stream.fromIterable(batch)),
        Stream.runHead,
      )
      assert.deepStrictEqual(Option.getOrUndefined(told), { _tag: "Nack", clientId, route })
    }),
  )

  describe("a cancel", () => {
    scenario(
      "goes into the log behind the event that it names, under the client's own key, and the client is told",
      Effect.gen(function* () {
        const peer = yield* connect("clientId=c1")
        peer.say({ type: "event", id: "e1", name: "ask", data: null })
        peer.say({ type: "cancel", id: "e1" })
        yield* acceptedAll(peer, ["e1"])
        assert.deepStrictEqual(yield* peer.next("cancelling"), { type: "cancelling", ids: ["e1"] })
        const [, event, cancel] = yield* MemoryParts.logged("c1", 3)
        assert.include(Buffer.from(event!.value).toString(), `"id":"e1"`)
        assert.isTrue(isTaskRecord(cancel!.value))
        const written = Result.getOrThrow(TaskRecords.decodeTaskWrite(cancel!.value))
        assert.deepStrictEqual<unknown>(written, { task: "e1", do: "cancel", by: "client" })
      }),
    )

    scenario(
      "names the caller's own tasks alone: that of another client's event is none of its own",
      Effect.gen(function* () {
        const [mine, theirs] = [yield* connect("clientId=c1"), yield* connect("clientId=c2")]
        theirs.say({ type: "event", id: "e1", name: "ask", data: null })
        yield* acceptedAll(theirs, ["e1"])
        mine.say({ type: "cancel", id: "e1" })
        yield* mine.next("cancelling")
        theirs.say({ type: "event", id: "e2", name: "ask", data: null })
        yield* acceptedAll(theirs, ["e2"])
        const records = yield* MemoryParts.logged("c2", 3)
        assert.deepStrictEqual(
          records.map(({ value }) => isTaskRecord(value)),
          [false, false, false],
        )
      }),
    )

    scenario(
      "is answered although nothing was ever sent, as often as it is sent",
      Effect.gen(function* () {
        const peer = yield* connect("clientId=c1")
        for (let i = 0; i < 3; i++) {
          peer.say({ type: "cancel", id: "never" })
          yield* peer.next("cancelling")
        }
        assert.strictEqual(yield* peer.count("accepted"), 0)
      }),
    )
  })

  scenario(
    "never lets a client write the records of tasks: a key of that name beside an event's is left out",
    Effect.gen(function* () {
      const peer = yield* connect("clientId=c1")
      const forged = `"task":0,"do":"stop","by":"expired"`
      peer.say(`{${forged},"type":"event","id":"e1","name":"sq","data":{"number":7}}`)
      yield* acceptedAll(peer, ["e1"])
      const [, event] = yield* MemoryParts.logged("c1", 2)
      assert.isFalse(isTaskRecord(event!.value))
      assert.deepStrictEqual(decodeFrame(Buffer.from(event!.value).toString()), {
        type: "event",
        id: "e1",
        name: "sq",
        data: { number: 7 },
      })
    }),
  )

  describe("bad input", () => {
    const refusals: ReadonlyArray<readonly [what: string, frame: unknown, type: string, code: string]> = [
      ["what is not JSON", "{", "error", "NOT_JSON"],
      ["a type it does not know", { type: "subscribe" }, "error", "BAD_FRAME"],
      ["a frame that is no object", [1, 2], "error", "BAD_FRAME"],
      ["an event without a name", { type: "event", id: "e1" }, "refused", "BAD_FRAME"],
      [
        "an event with an id that is too long",
        { type: "event", id: "x".repeat(129), name: "sq" },
        "refused",
        "BAD_FRAME",
      ],
      [
        "a number that would change",
        `{"type":"event","id":"e1","name":"event","data":[9007199254740993]}`,
        "refused",
        "BAD_NUMBER",
      ],
      ["a number beyond all bounds", `{"type":"event","name":"event","data":{"n":-1e400}}`, "error", "BAD_NUMBER"],
      ["a message, which only services may send", { type: "message", id: "m1", name: "x" }, "refused", "BAD_FRAME"],
      ["a barrier, which only gateways may send", { type: "barrier", epoch: 1, pod: "p" }, "error", "BAD_FRAME"],
      ["a cancel without an id", { type: "cancel" }, "error", "BAD_FRAME"],
      ["a cancel of an empty id", { type: "cancel", id: "" }, "error", "BAD_FRAME"],
      ["a cancel of an id that is too long", { type: "cancel", id: "x".repeat(129) }, "error", "BAD_FRAME"],
      ["a cancel of a seq", { type: "cancel", id: 7 }, "error", "BAD_FRAME"],
      [
        "an end of a task, which only workers may send",
        { task: 1, do: "end", run: "r.1", part: 0 },
        "error",
        "BAD_FRAME",
      ],
      ["a negative ack", { type: "ack", seq: -1 }, "error", "BAD_FRAME"],
      ["an ack of half a result", { type: "ack", seq: 0.5 }, "error", "BAD_FRAME"],
      ["an ack beyond what was sent", { type: "ack", seq: 99 }, "error", "ACK_BEYOND_SENT"],
    ]
    for (const [what, frame, type, code] of refusals) {
      scenario(
        `answers ${what} with ${type} ${code}, and goes on`,
        Effect.gen(function* () {
          const peer = yield* connect("clientId=c1&ack=client")
          yield* peer.next("welcome")
          peer.say(frame)
          const answer = yield* peer.next(type)
          assert.strictEqual(answer["code"], code)
          assert.isNotEmpty(answer["message"])
          peer.say({ type: "ping" })
          yield* peer.next("pong")
        }),
      )
    }

    scenario(
      "refuses a binary frame",
      Effect.gen(function* () {
        const peer = yield* connect("clientId=c1")
        peer.ws.send(Buffer.from(`{"type":"ping"}`), { binary: true })
        assert.strictEqual((yield* peer.next("error"))["code"], "BAD_FRAME")
      }),
    )

    for (const [what, query] of [
      ["an illegal client id", "clientId=a%20b"],
      ["no client id", ""],
      ["a client id that is too long", `clientId=${"x".repeat(129)}`],
      ["an `after` that is no number", "clientId=c1&after=x"],
      ["an `after` below -1", "clientId=c1&after=-2"],
      ...["", "%20", "0x10", "1e3", "%2B1", "+1", "%201", "01", "9007199254740992"].map(
        (after) => [`after=${after}`, `clientId=c1&after=${after}`] as const,
      ),
      ["two of `after`", "clientId=c1&after=1&after=1"],
      ["two client ids", "clientId=c1&clientId=c2"],
      ["an unknown way to acknowledge", "clientId=c1&ack=never"],
    ] as const) {
      scenario(
        `says what is wrong with ${what}, and closes with 4501`,
        Effect.gen(function* () {
          const peer = yield* connect(query)
          assert.strictEqual((yield* peer.next("error"))["code"], "BAD_REQUEST")
          assert.strictEqual((yield* peer.closed).code, 4501)
        }),
      )
    }

    scenario(
      "ignores an `after` beyond the log's end, or of another log, and says so",
      Effect.gen(function* () {
        const beyond = yield* connect("clientId=c1&after=1000")
        assert.strictEqual((yield* beyond.next("error"))["code"], "AFTER_BEYOND_END")
        assert.strictEqual((yield* beyond.next("welcome"))["after"], -1)
        const other = yield* connect("clientId=c2&after=0&log=other")
        assert.strictEqual((yield* other.next("error"))["code"], "AFTER_OTHER_LOG")
        assert.strictEqual((yield* other.next("welcome"))["after"], -1)
      }),
    )

    scenario(
      "closes a connection that sends a frame over the limit with 1009",
      Effect.gen(function* () {
        const peer = yield* connect("clientId=c1")
        yield* peer.next("welcome")
        peer.say({ type: "event", id: "big", name: "sq", data: "x".repeat(5000) })
        assert.deepStrictEqual(yield* peer.closed, { code: 1009, reason: "MESSAGE_TOO_BIG" })
      }),
    )

    scenario(
      "survives 10,000 random frames on one socket, counts them, and lets others go on",
      Effect.gen(function* () {
        const noisy = yield* connect("clientId=noisy")
        const quiet = yield* connect("clientId=quiet")
        yield* quiet.next("welcome")
        yield* noisy.next("welcome")
        let state = 42
        const random = (n: number) => (state = (state * 1103515245 + 12345) % 2147483648) % n
        const pieces = [
          `{"type":"`,
          "event",
          "ack",
          `","seq":`,
          "-1",
          `"id":`,
          "\u0000",
          "}",
          "[",
          "ü",
          `"`,
          "9e99",
          "null",
        ]
        for (let i = 0; i < 10_000; i++) {
          noisy.say("!" + Array.from({ length: 1 + random(12) }, () => pieces[random(pieces.length)]).join(""))
        }
        noisy.say({ type: "ping" })
        quiet.say({ type: "event", id: "q1", name: "sq", data: {} })
        assert.deepStrictEqual((yield* quiet.next("accepted"))["ids"], ["q1"])
        yield* noisy.next("pong")
        assert.strictEqual(noisy.ws.readyState, WebSocket.OPEN)
        const errors = yield* noisy.count("error")
        assert.strictEqual(errors, 10_000)
      }),
    )
  })

  scenario(
    "reads a sender that is too fast more slowly, and refuses nothing",
    Effect.gen(function* () {
      const peer = yield* connect("clientId=c1")
      yield* peer.next("welcome")
      const burst = Array.from({ length: 75 }, (_, i) => `e${i}`)
      // 50 are free; the other 25, read in one go with them, are owed: half a second at 50 a second.
      const from = Date.now()
      for (const id of burst) peer.say({ type: "event", id, name: "sq", data: {} })
      yield* acceptedAll(peer, burst)
      peer.say({ type: "event", id: "next", name: "sq", data: {} })
      yield* acceptedAll(peer, ["next"])
      assert.isAbove(Date.now() - from, 400)
    }),
    { events_per_second: 50 },
  )

  scenario(
    "reads all of its sockets together more slowly where they are too fast for the gateway",
    Effect.gen(function* () {
      const peers = yield* Effect.forEach(["c1", "c2", "c3"], (id) => connect(`clientId=${id}`))
      for (const peer of peers) yield* peer.next("welcome")
      // 50 are free, and the others of 90 owed: more than half a second at 50 a second.
      const ids = Array.from({ length: 30 }, (_, i) => `e${i}`)
      const from = Date.now()
      for (const peer of peers) for (const id of ids) peer.say({ type: "event", id, name: "sq", data: {} })
      for (const peer of peers) yield* acceptedAll(peer, ids)
      assert.isAbove(Date.now() - from, 400)
    }),
    { gateway_frames_per_second: 50, read_slice_bytes: 64 },
  )

  scenario(
    "gives up on a peer that does not answer its pings",
    Effect.gen(function* () {
      const peer = yield* connect("clientId=c1&ack=client")
      yield* peer.next("welcome")
      peer.ws.pause()
      const { size } = yield* Delivery
      yield* eventually(
        "its session is gone",
        Effect.sync(() => size() === 0),
      )
    }),
    { idle_timeout_ms: 1_000 },
  )

  it.live("waits for the log once when it goes away, for all of its paths together", () =>
    Effect.gen(function* () {
      const left = yield* Ref.make(0)
      yield* Effect.gen(function* () {
        for (const path of ["/v1/stream", "/approach3/events", "/approach2/events"]) {
          const peer = yield* connect(`clientId=${path.slice(1, 10).replace("/", "-")}&frames=all`, {}, path)
          yield* peer.next("welcome")
        }
        yield* Ref.set(left, Date.now())
      }).pipe(Effect.provide(gatewayOn(stuck.pipe(Layer.provideMerge(MemoryParts.layer)), { drain_ms: 4_000 })))
      const took_ms = Date.now() - (yield* Ref.get(left))
      assert.isAtLeast(took_ms, 4_000)
      assert.isBelow(took_ms, 8_000)
    }),
  )

  it.live("tells its clients to come back when it goes away", () =>
    Effect.gen(function* () {
      const closed = yield* Effect.gen(function* () {
        const peer = yield* connect("clientId=c1").pipe(Effect.provideService(Scope.Scope, yield* Effect.scope))
        yield* peer.next("welcome")
        return peer.closed
      }).pipe(Effect.provide(gateway()))
      assert.deepStrictEqual(yield* closed, { code: 4000, reason: "GOING_AWAY" })
    }),
  )
})
