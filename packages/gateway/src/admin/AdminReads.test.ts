/** What operators' reads take of a gateway: bounded for all of them together, and over when nobody waits for the answer. */
import { request } from "node:http"
import { assert, layer } from "@effect/vitest"
import { encode, EventId, partitionOf, ClientId } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Fiber, Layer, Option, Stream } from "effect"
import { HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import { readLimits } from "../Limits.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

/** Reads of the log that stand, and how they are let go. */
class Slow extends Context.Service<Slow, { isOn: boolean; reading: number }>()("test/Slow") {
  static readonly layer = Layer.sync(Slow, () => ({ isOn: false, reading: 0 }))
}

const slowLog = Layer.effect(
  EventLog,
  Effect.gen(function* () {
    const log = yield* EventLog
    const slow = yield* Slow
    const { events } = yield* Topics
    const standing = Stream.unwrap(
      Effect.as(
        Effect.acquireRelease(
          Effect.sync(() => void slow.reading++),
          () => Effect.sync(() => void slow.reading--),
        ),
        Stream.never,
      ),
    )
    return EventLog.of({
      ...log,
      tail: (topic, partition, position) =>
        slow.isOn && topic === events ? standing : log.tail(topic, partition, position),
    })
  }),
).pipe(Layer.provideMerge(Layer.merge(MemoryParts.layer, Slow.layer)))

const reads = {
  ...readLimits,
  reads_at_once: 2,
  reads_waiting: 2,
  reads_rest_ms: 10,
  reads_wait_ms: 60_000,
  reads_bytes: 1_000,
}
const gateway = Gateway.layerWith({
  host: "127.0.0.1",
  port: 0,
  admin: Option.some({ _tag: "Loopback" }),
  limits: { reads },
}).pipe(Layer.provideMerge(slowLog))

interface Answer {
  readonly status: number | undefined
  readonly retryAfter: string | undefined
  readonly json: unknown
}

/** Asks, until the effect is interrupted. */
const ask = (path: string) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.callback<Answer>((resume) => {
      const sent = request(`${address}${path}`, { agent: false }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (some: string) => (text += some))
        response.on("end", () => {
          const { headers, statusCode: status } = response
          resume(
            Effect.succeed({
              status,
              retryAfter: headers["retry-after"],
              json: text.startsWith("ok") ? text : JSON.parse(text),
            }),
          )
        })
      })
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end()
      return Effect.sync(() => void sent.destroy())
    }),
  )

const c1 = ClientId.make("c1")
const send = Effect.fnUntraced(function* (ids: ReadonlyArray<string>, bytes: number) {
  const { events } = yield* Topics
  const records = ids.map((id) => ({
    key: c1,
    value: encode({ type: "event", id: EventId.make(id), name: "sq", data: "x".repeat(bytes) }),
  }))
  yield* (yield* EventLog).publish(events, partitionOf(c1, 3), records)
})

layer(gateway, { excludeTestServices: true })("reads of operators", (it) => {
  it.effect("beyond those that may read and wait are refused, and have their turn when others ask no more", () =>
    Effect.gen(function* () {
      const slow = yield* Slow
      yield* send(["e0"], 10)
      slow.isOn = true
      const asking = yield* Effect.forEach(Array(4).keys(), () => Effect.forkChild(ask("/v1/admin/clients/c1")))
      yield* eventually(
        "two read",
        Effect.sync(() => slow.reading === 2),
      )
      const refused = yield* firstAnswer(ask("/v1/admin/clients/c1"), ({ status }) => status === 503)
      assert.strictEqual(Object(refused.json).code, "READS_BUSY")
      assert.strictEqual(refused.retryAfter, "1")
      // What reads nothing is answered, and so are results and health.
      assert.strictEqual((yield* ask("/v1/admin/roles")).status, 200)
      assert.strictEqual((yield* ask("/healthz")).status, 200)
      slow.isOn = false
      yield* Fiber.interruptAll(asking)
      yield* eventually(
        "nobody reads",
        Effect.sync(() => slow.reading === 0),
      )
      const answered = yield* firstAnswer(ask("/v1/admin/clients/c1"), ({ status }) => status === 200)
      assert.strictEqual(Object(answered.json).lastEvents.length, 1)
    }),
  )

  it.effect("look through so many bytes, and show what they found there", () =>
    Effect.gen(function* () {
      // A chunk of the log is read whole: none of these goes with the next.
      for (const id of ["e1", "e2", "e3", "e4"]) yield* send([id], 900_000)
      const { json, status } = yield* firstAnswer(ask("/v1/admin/clients/c1"), (answer) => answer.status !== 503)
      assert.strictEqual(status, 200)
      assert.isBelow(Object(json).lastEvents.length, 5)
    }),
  )
})

/** The first answer of which this holds. */
const firstAnswer = <E, R>(asked: Effect.Effect<Answer, E, R>, holds: (answer: Answer) => boolean) =>
  asked.pipe(Effect.repeat({ until: holds }))
