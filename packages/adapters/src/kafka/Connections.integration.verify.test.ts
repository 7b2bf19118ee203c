/** Connections that end or fall silent at the worst moment, of each kind of request. */
import { assert, describe, it } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { inject } from "vitest"
import { apis, type BrokerProxy, type Deed, makeBrokerProxy } from "./testing/BrokerProxy.ts"
import { type EventLogKafkaOptions, layerWith } from "./EventLog.ts"
import { startUse } from "./testing/Use.ts"

const { kafka } = inject("services")
const run = Math.random().toString(36).slice(2, 8)

/** A log beyond the proxy, for as long as the scope lives. */
const openLog = (proxy: BrokerProxy, topic: string, options?: Partial<EventLogKafkaOptions>) =>
  Layer.build(
    layerWith({
      brokers: [kafka?.brokers ?? ""],
      topics: [topic],
      partitions: 1,
      socketFactory: proxy.socketFactory,
      limits: {
        connect_timeout_ms: 500,
        answer_timeout_ms: 500,
        request_timeout_ms: 500,
        question_timeout_ms: 1_000,
        rebalance_timeout_ms: 2_000,
        heartbeat_ms: 100,
        retry_min_ms: 5,
        retry_max_ms: 50,
      },
      ...options,
    }).pipe(Layer.provide(Topics.layerDefault), Layer.fresh),
  ).pipe(Effect.flatMap((context) => EventLog.pipe(Effect.provide(context))))

/** Does it to the next answer to each of these requests, one after the other. */
const disturb = (proxy: BrokerProxy, deed: Deed, ...requests: ReadonlyArray<number>) => {
  const left = [...requests]
  proxy.onAnswer = (api) => {
    if (api !== left[0]) return "pass"
    left.shift()
    return deed
  }
  return eventually(
    `${deed} has been done`,
    Effect.sync(() => left.length === 0),
  )
}

describe.skipIf(kafka === undefined)("Connections to Kafka", () => {
  for (const [name, api] of [
    ["read", apis.fetch],
    ["publish", apis.produce],
    ["commit", apis.offsetCommit],
    ["ask", apis.listOffsets],
    ["stay in a group", apis.heartbeat],
  ] as const) {
    it.live(`that end halfway through an answer, or fall silent, to who would ${name}: all go on`, () =>
      Effect.gen(function* () {
        const proxy = yield* makeBrokerProxy(kafka?.brokers ?? "")
        const topic = `${run}-connections-${api}`
        const { finish, goesOn } = yield* startUse(yield* openLog(proxy, topic), topic)
        yield* goesOn
        const { connections } = proxy
        for (const deed of ["halve", "silence"] as const) {
          yield* disturb(proxy, deed, api)
          yield* goesOn
          // And to who would learn who leads what now.
          yield* disturb(proxy, deed, api, apis.metadata)
          yield* goesOn
        }
        yield* eventually(
          "there are no more connections than before",
          Effect.sync(() => proxy.connections <= connections),
        )
        yield* finish
      }).pipe(Effect.scoped),
    )
  }

  it.live("that are refused for a while: all go on", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(kafka?.brokers ?? "")
      const topic = `${run}-connections-refused`
      const log = yield* openLog(proxy, topic)
      const { finish, goesOn } = yield* startUse(log, topic)
      yield* goesOn
      for (let round = 0; round < 5; round++) {
        yield* Effect.promise(() => proxy.refuse())
        assert.strictEqual((yield* Effect.flip(log.end(topic, 0)))._tag, "LogUnavailable")
        yield* Effect.promise(() => proxy.accept())
        yield* goesOn
      }
      yield* finish
    }).pipe(Effect.scoped),
  )

  it.live("that end or fall silent during a login: all log in again, and go on", () =>
    Effect.gen(function* () {
      const proxy = yield* makeBrokerProxy(kafka?.sasl_brokers ?? "")
      const topic = `${run}-connections-login`
      const sasl = { mechanism: "scram-sha-256", username: "nimbus", password: "secret" } as const
      const { finish, goesOn } = yield* startUse(yield* openLog(proxy, topic, { sasl }), topic)
      yield* goesOn
      for (const login of [apis.saslHandshake, apis.saslAuthenticate]) {
        for (const deed of ["cut", "halve", "silence"] as const) {
          // Of several: who writes is among them.
          const disturbed = disturb(proxy, deed, login, login, login, login)
          proxy.close()
          proxy.open()
          yield* disturbed
          yield* goesOn
        }
      }
      yield* finish
    }).pipe(Effect.scoped),
  )
})
