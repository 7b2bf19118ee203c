/** The frames of conversations beside `/v1/frames.schema.json`, as a validator that knows nothing of Nimbus sees them. */
import { assert, describe, it } from "@effect/vitest"
import { Journey, Seq } from "@nimbus/domain/protocol"
import { EventLog, Mailbox } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect, Layer, Metric } from "effect"
import { FetchHttpClient, HttpClient, HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import { connect } from "../testing/PlainClient.ts"

const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { tick_ms: 20 } }).pipe(
  Layer.provideMerge(MemoryParts.layer),
  Layer.provideMerge(FetchHttpClient.layer),
)

/** Checks frames by what the gateway serves. */
const validators = HttpServer.addressFormattedWith((address) =>
  Effect.gen(function* () {
    const ajv = new Ajv2020()
    ajv.addSchema(Object(yield* (yield* HttpClient.get(`${address}/v1/frames.schema.json`)).json), "frames")
    const by = (name: string) => ajv.compile({ $ref: `frames#/$defs/${name}` })
    return { client: by("ClientFrame"), server: by("ServerFrame") }
  }),
)

const open = (query: string) =>
  HttpServer.addressFormattedWith((address) => connect(`${address.replace("http", "ws")}/v1/stream?clientId=${query}`))

/** The backlog has lost what the mailboxes of all clients were to get. */
const loseMail = Effect.gen(function* () {
  const [{ partitions }, { put }] = [yield* EventLog, yield* Mailbox]
  for (let partition = 0; partition < partitions; partition++) {
    yield* put(partition, { expected: undefined, next: 1, records: [], hole: Seq.make(5) })
  }
})

const followed = () => {
  const step = { time: 1_790_000_000_000, service: "event-consumer", instance: "e1", step: "handled" } as const
  return { ...Journey.sample(step) }
}

const said = [
  { type: "event", id: "e1", name: "sq", data: { number: 7 } },
  { type: "event", name: "sq" },
  { type: "ping" },
]

const wrong = [
  { type: "event", id: "e1" },
  { type: "event", id: "", name: "sq" },
  { type: "event", id: "e2", name: "x".repeat(129) },
  { type: "ack", seq: -1 },
  { type: "ack", seq: 1.5 },
  { type: "ack" },
  { type: "pong" },
  [],
  7,
]

describe("/v1/frames.schema.json", () => {
  it.live("has every frame of real conversations", () =>
    Effect.gen(function* () {
      const { client, server } = yield* validators
      const peer = yield* open("c1&ack=client&journey=true")
      yield* peer.first("welcome")
      for (const frame of said) {
        assert.isTrue(client(frame), JSON.stringify(client.errors))
        peer.send(frame)
      }
      peer.send({ type: "event", id: "e2" })
      peer.send({ type: "ack", seq: 77 })
      const failed = { code: "HANDLER_FAILED", message: "no" }
      yield* MemoryParts.put("c1", [
        { ...MemoryParts.result(1, { data: { result: 49 } }), headers: followed() },
        MemoryParts.result(2, { error: failed }),
      ])
      for (const type of ["accepted", "pong", "refused", "error", "results"]) yield* peer.first(type)
      yield* loseMail
      const late = yield* open("c2&ack=client")
      yield* late.first("lost")
      const frames = [...peer.frames, ...late.frames]
      for (const frame of frames) {
        assert.isTrue(server(frame), `${JSON.stringify(frame)}: ${JSON.stringify(server.errors)}`)
        assert.isFalse(server({ ...frame, type: "other" }))
      }
      assert.include(JSON.stringify(frames), `"step":"handled"`)
    }).pipe(Effect.scoped, Effect.provide(gateway), Effect.provideService(Metric.MetricRegistry, new Map())),
  )

  it.live("refuses the frames of clients that the gateway refuses", () =>
    Effect.gen(function* () {
      const { client } = yield* validators
      const peer = yield* open("c3&ack=client")
      for (const frame of wrong) {
        assert.isFalse(client(frame), JSON.stringify(frame))
        peer.send(frame)
      }
      const refusals = () => peer.frames.filter(({ type }) => type === "error" || type === "refused")
      yield* eventually(
        "each is refused",
        Effect.sync(() => refusals().length >= wrong.length),
      )
      assert.deepStrictEqual(
        refusals().map(({ code }) => code),
        wrong.map(() => "BAD_FRAME"),
      )
    }).pipe(Effect.scoped, Effect.provide(gateway), Effect.provideService(Metric.MetricRegistry, new Map())),
  )
})
