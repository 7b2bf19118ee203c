/** The ways into a Kafka that does not let everybody in: SASL, alone and over TLS. */
import { assert, describe, it } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Effect, Layer, Logger, Option, Stream } from "effect"
import { inject } from "vitest"
import { trusting } from "../../../../scripts/services/Tls.ts"
import { type EventLogKafkaOptions, layerWith } from "./EventLog.ts"

const { kafka } = inject("services")
const plain = [kafka?.brokers ?? ""]
const sasl = [kafka?.sasl_brokers ?? ""]
const tls = [kafka?.tls_brokers ?? ""]
const topic = `secure-${Math.random().toString(36).slice(2, 8)}`

const login = { mechanism: "scram-sha-256", username: "nimbus", password: "secret" } as const

const withLog = <A, E>(
  options: Partial<EventLogKafkaOptions>,
  use: (log: EventLog["Service"]) => Effect.Effect<A, E>,
) =>
  EventLog.use(use).pipe(
    Effect.provide(
      layerWith({ brokers: sasl, topics: [topic], partitions: 1, ...options }).pipe(Layer.provide(Topics.layerDefault)),
      { local: true },
    ),
  )

const refused = (options: Partial<EventLogKafkaOptions>) =>
  Effect.flip(withLog(options, () => Effect.void)).pipe(Effect.timeout("60 seconds"))

const trusted = trusting(kafka?.certificate ?? "")

/** Writes a record, and has a member of a group read and commit it. */
const roundTrip = (text: string) => (log: EventLog["Service"]) =>
  Effect.gen(function* () {
    const offset = yield* log.publish(topic, 0, [{ key: "k", value: new TextEncoder().encode(text) }])
    const read = yield* Stream.runHead(
      Stream.mapEffect(log.subscribe(topic, text), (assigned) =>
        Effect.gen(function* () {
          const [chunk] = yield* Stream.runCollect(Stream.take(assigned.read(offset), 1))
          yield* assigned.commit(offset + 1)
          return chunk?.records.map(({ value }) => new TextDecoder().decode(value))
        }),
      ),
    )
    assert.deepStrictEqual(Option.getOrThrow(read), [text])
    assert.strictEqual((yield* log.committed(topic, text, 0))?.next, offset + 1)
  })

describe.skipIf(kafka === undefined)("a Kafka that wants a login", () => {
  for (const mechanism of ["plain", "scram-sha-256", "scram-sha-512"] as const) {
    it.live(`takes and gives records by ${mechanism}, over TLS too`, () =>
      Effect.gen(function* () {
        yield* trusted
        const options = { sasl: { ...login, mechanism } }
        yield* withLog(options, roundTrip(`${mechanism} alone`))
        yield* withLog({ ...options, brokers: tls, tls: true }, roundTrip(`${mechanism} over TLS`))
      }).pipe(Effect.scoped),
    )

    it.live(`turns a wrong password away by ${mechanism}, at once`, () =>
      Effect.gen(function* () {
        const error = yield* refused({ sasl: { ...login, mechanism, password: "wrong" } })
        assert.propertyVal(error, "code", "KAFKA_REFUSED")
        assert.match(error.message, /^Kafka at 127\.0\.0\.1:\d+ turns us away: SASL [^\n]*$/)
      }),
    )
  }

  it.live("is not given a password where its certificate is not trusted", () =>
    Effect.gen(function* () {
      const error = yield* refused({ brokers: tls, tls: true, sasl: login })
      assert.propertyVal(error, "code", "KAFKA_TLS_FAILED")
      assert.match(error.message, /^no TLS with Kafka at 127\.0\.0\.1:\d+: [^\n]*self-signed certificate[^\n]*$/)
    }),
  )

  it.live("is not given one where its certificate names another host", () =>
    Effect.gen(function* () {
      yield* trusted
      const brokers = tls.map((address) => address.replace("127.0.0.1", "localhost"))
      const error = yield* refused({ brokers, tls: true, sasl: login })
      assert.propertyVal(error, "code", "KAFKA_TLS_FAILED")
      assert.include(error.message, "does not match certificate")
    }).pipe(Effect.scoped),
  )

  it.live("refuses a login at a port that wants none", () =>
    Effect.gen(function* () {
      assert.propertyVal(yield* refused({ brokers: plain, sasl: login }), "code", "KAFKA_REFUSED")
    }),
  )

  it.live("is waited for, with a hint, at a port that wants something else", () =>
    Effect.forEach(
      [{ brokers: sasl }, { brokers: sasl, tls: true, sasl: login }, { brokers: tls, sasl: login }],
      (options) =>
        Effect.gen(function* () {
          const lines: Array<string> = []
          const logger = Logger.make(({ message }) => void lines.push(String(message)))
          const opening = Effect.provide(
            withLog(options, () => Effect.void),
            Logger.layer([logger]),
          )
          yield* Effect.forkScoped(opening)
          while (lines.length < 1) yield* Effect.sleep(5)
          assert.match(lines[0] ?? "", /^waiting for Kafka at [^\n]*do NIMBUS_KAFKA_TLS and _SASL_ fit this port/)
        }).pipe(Effect.scoped),
    ).pipe(Effect.timeout("100 seconds")),
  )
})
