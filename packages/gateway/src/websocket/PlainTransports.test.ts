/** The transports of NimbusWS on their own: what their frames are, and what they answer to what is wrong. */
import { request } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { partitionOf, Seq } from "@nimbus/domain/protocol"
import { EventLog, Mailbox, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer, Metric, Schema, type Scope, Stream } from "effect"
import { HttpServer } from "effect/http"
import { WebSocket } from "ws"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { connect } from "../testing/PlainClient.ts"

const gateway = Gateway.layerWith({
  host: "127.0.0.1",
  port: 0,
  limits: { tick_ms: 20, frame_bytes: 4096 },
}).pipe(Layer.provideMerge(MemoryParts.layer))

const paths = ["/approach3/events", "/approach2/events"]

const url = HttpServer.addressFormattedWith((address) => Effect.succeed(address.replace(/^http/, "ws")))
const open = (path: string) => Effect.flatMap(url, (base) => connect(`${base}${path}`))

const Json = Schema.fromJsonString(Schema.Json)
const parse = Schema.decodeUnknownSync(Json)

/** The client's first event in the log. */
const firstEvent = Effect.fnUntraced(function* (clientId: string, mark = `"event"`) {
  const log = yield* EventLog
  const { events } = yield* Topics
  const records = yield* log.tail(events, partitionOf(clientId, log.partitions), "earliest").pipe(
    Stream.flatMap(({ records }) => Stream.fromIterable(records)),
    Stream.map(({ value }) => parse(Buffer.from(value).toString())),
    Stream.filter((record) => JSON.stringify(record).includes(mark)),
    Stream.take(1),
    Stream.runCollect,
  )
  return records[0]
})

/** The status and the `upgrade` header of what a server answers. */
const answerTo = (base: string, path: string, headers: Record<string, string> = {}) =>
  Effect.callback<{ readonly status: number | undefined; readonly upgrade: string | undefined }>((resume) => {
    const asked = request(`${base.replace(/^ws/, "http")}${path}`, { headers }, (response) => {
      response.resume()
      resume(Effect.succeed({ status: response.statusCode, upgrade: response.headers.upgrade }))
    })
    asked.end()
  })

/** The backlog has lost what the mailboxes of all clients were to get. */
const loseMail = Effect.gen(function* () {
  const [{ partitions }, { put }] = [yield* EventLog, yield* Mailbox]
  for (let partition = 0; partition < partitions; partition++) {
    yield* put(partition, { expected: undefined, next: 1, records: [], hole: Seq.make(5) })
  }
})

const lossesAt = (transport: string) =>
  Effect.map(Metric.snapshot, (all) => {
    const ours = all.find(
      ({ attributes, id }) => id === "nimbus_gateway_lost_total" && attributes?.["door"] === transport,
    )
    return ours?.type === "Counter" ? Number(ours.state.count) : 0
  })

const scenario = (
  name: string,
  test: Effect.Effect<void, unknown, Layer.Success<typeof gateway> | HttpServer.HttpServer | Scope.Scope>,
) =>
  it.live(name, () =>
    test.pipe(Effect.scoped, Effect.provide(gateway), Effect.provideService(Metric.MetricRegistry, new Map())),
  )

for (const path of paths) {
  describe(path, () => {
    scenario(
      "takes a plain event under the name `event`, and answers as NimbusWS does once the log has it",
      Effect.gen(function* () {
        const client = yield* open(`${path}?clientId=c1`)
        client.event("this is a sample event")
        const accepted = yield* client.first("event_accepted")
        assert.strictEqual(accepted["client_id"], "c1")
        assert.strictEqual(accepted["status"], "Event accepted")
        assert.deepStrictEqual(yield* firstEvent("c1"), {
          type: "event",
          id: String(accepted["event_id"]),
          name: "event",
          data: "this is a sample event",
          accepted: { created_at: String(accepted["created_at"]) },
        })
      }),
    )

    scenario(
      "refuses an `after` that is not digits, and closes with 4501",
      Effect.gen(function* () {
        for (const after of ["", "%20", "0x10", "1e3"]) {
          const client = yield* open(`${path}?clientId=c1&after=${after}`)
          assert.strictEqual((yield* client.first("reject"))["code"], "BAD_REQUEST")
        }
      }),
    )

    scenario(
      "refuses a number beyond all bounds, which no handler could read, and goes on",
      Effect.gen(function* () {
        const client = yield* open(`${path}?clientId=c1`)
        client.send({ type: "event", data: { n: [JSON.rawJSON("-1e400")] } })
        assert.strictEqual((yield* client.first("reject"))["code"], "BAD_NUMBER")
        client.send({ type: "event", data: JSON.rawJSON("9007199254740993") })
        yield* client.first("event_accepted")
      }),
    )

    scenario(
      "takes a name and an id from a client that has them",
      Effect.gen(function* () {
        const client = yield* open(`${path}?clientId=c1`)
        client.send({ type: "event", id: "e1", name: "sq", data: { number: 3 }, more: 1 })
        const { created_at, event_id } = yield* client.first("event_accepted")
        assert.strictEqual(event_id, "e1")
        const accepted = { created_at: String(created_at) }
        const expected = { type: "event", id: "e1", name: "sq", data: { number: 3 }, accepted }
        assert.deepStrictEqual(yield* firstEvent("c1"), expected)
      }),
    )

    for (const [what, frame, type, code] of [
      ["what is not JSON", "hello", "error", "NOT_JSON"],
      ["an unknown type", { type: "subscribe" }, "reject", "BAD_FRAME"],
      ["a frame that is no object", [1], "reject", "BAD_FRAME"],
      ["an id that is too long", { type: "event", id: "x".repeat(129), data: 1 }, "reject", "BAD_FRAME"],
      ["a cancel of an id that is too long", { type: "cancel", id: "x".repeat(129) }, "reject", "BAD_FRAME"],
      ["a cancel without an id", { type: "cancel" }, "reject", "BAD_FRAME"],
      ["an ack of what was not sent", { type: "ack", seq: 7 }, "reject", "ACK_BEYOND_SENT"],
    ] as const) {
      scenario(
        `answers ${what} with ${type} ${code}, and goes on`,
        Effect.gen(function* () {
          const client = yield* open(`${path}?clientId=c1&frames=all`)
          yield* client.first("welcome")
          client.send(frame)
          const answer = yield* client.first(type)
          assert.strictEqual(answer["code"], code)
          assert.isNotEmpty(answer["data"])
          client.send({ type: "ping" })
          yield* client.first("pong")
        }),
      )
    }

    scenario(
      "takes a cancel of who asks for its own frames, for its own tasks",
      Effect.gen(function* () {
        const client = yield* open(`${path}?clientId=c1&frames=all`)
        client.send({ type: "cancel", id: "e1" })
        assert.deepStrictEqual<unknown>(yield* client.first("cancelling"), { type: "cancelling", data: ["e1"] })
        assert.deepStrictEqual(yield* firstEvent("c1", `"task"`), { task: "e1", do: "cancel", by: "client" })
      }),
    )

    scenario(
      "knows neither pings nor acks nor cancels without being asked to, and tells nothing that NimbusWS does not",
      Effect.gen(function* () {
        const client = yield* open(`${path}?clientId=c1`)
        for (const frame of [{ type: "ping" }, { type: "ack", seq: 7 }, { type: "cancel", id: "e1" }])
          client.send(frame)
        client.event("first")
        yield* client.first("event_accepted")
        const unknown = { type: "reject", code: "BAD_FRAME", data: "Unknown message type" }
        assert.deepStrictEqual<unknown>(client.frames.slice(0, -1), [unknown, unknown, unknown])
      }),
    )

    scenario(
      "tells what retention has removed where it is asked to, and counts it for everyone",
      Effect.gen(function* () {
        yield* loseMail
        const asking = yield* open(`${path}?clientId=c1&frames=all`)
        assert.deepStrictEqual<unknown>(yield* asking.first("lost"), { type: "lost", data: { after: -1 } })
        const other = yield* open(`${path}?clientId=c2`)
        yield* eventually(
          "both losses are counted",
          Effect.map(lossesAt(path), (losses) => losses === 2),
        )
        other.event("first")
        yield* other.first("event_accepted")
        assert.strictEqual(other.frames.length, 1)
      }),
    )

    scenario(
      "hears acks of a client that asks for it",
      Effect.gen(function* () {
        const client = yield* open(`${path}?clientId=c1&ack=client`)
        client.send({ type: "ack", seq: 7 })
        assert.strictEqual((yield* client.first("reject"))["code"], "ACK_BEYOND_SENT")
      }),
    )

    scenario(
      "gives a client the subprotocol that it offers, whichever it is",
      Effect.gen(function* () {
        const base = yield* url
        const protocol = yield* Effect.callback<string>((resume) => {
          const socket = new WebSocket(`${base}${path}?clientId=c1`, ["of-its-own", "another"])
          socket.once("open", () => resume(Effect.succeed(socket.protocol)))
          socket.once("error", (error) => resume(Effect.die(error)))
          return Effect.sync(() => socket.terminate())
        })
        assert.strictEqual(protocol, "of-its-own")
      }),
    )

    for (const [what, query] of [
      ["an illegal client id", "?clientId=a%20b"],
      ["an empty client id", "?clientId="],
      ["frames that there are not", "?clientId=c1&frames=some"],
      ["a client id that is too long", `?clientId=${"x".repeat(129)}`],
    ] as const) {
      scenario(
        `says what is wrong with ${what}, and closes with 4501`,
        Effect.gen(function* () {
          const client = yield* open(`${path}${query}`)
          assert.strictEqual((yield* client.first("reject"))["code"], "BAD_REQUEST")
          assert.strictEqual((yield* client.closed).code, 4501)
        }),
      )
    }

    scenario(
      "says how to give a client id where there is none, and closes as NimbusWS does",
      Effect.gen(function* () {
        const client = yield* open(path)
        assert.deepStrictEqual<unknown>(yield* client.first("reject"), {
          type: "reject",
          code: "BAD_REQUEST",
          data: "clientId is missing. Use '<url>?clientId=<your-client-id>'",
        })
        assert.strictEqual((yield* client.closed).code, 1005)
      }),
    )

    scenario(
      "closes a connection that sends a frame over the limit with 1009",
      Effect.gen(function* () {
        const client = yield* open(`${path}?clientId=c1&frames=all`)
        yield* client.first("welcome")
        client.event("x".repeat(5_000))
        assert.deepStrictEqual(yield* client.closed, { code: 1009, reason: "MESSAGE_TOO_BIG" })
      }),
    )

    scenario(
      "answers a request without an upgrade with 426 and what it speaks",
      Effect.gen(function* () {
        const answer = yield* answerTo(yield* url, `${path}?clientId=c1`)
        assert.deepStrictEqual(answer, { status: 426, upgrade: "websocket" })
      }),
    )

    scenario(
      "answers an upgrade at a path where there is no transport with 404",
      Effect.gen(function* () {
        const base = yield* url
        const status = yield* Effect.callback<number | undefined>((resume) => {
          const socket = new WebSocket(`${base}${path}/no-such?clientId=c1`)
          socket.on("unexpected-response", (_, response) => {
            response.resume()
            resume(Effect.succeed(response.statusCode))
          })
          socket.on("error", () => {})
        })
        assert.strictEqual(status, 404)
      }),
    )
  })
}
