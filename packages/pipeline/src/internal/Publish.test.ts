import { assert, describe, it } from "@effect/vitest"
import { LogRefused } from "@nimbus/domain/errors"
import { type LogRecord, roomOf } from "@nimbus/domain/protocol"
import { Alarms, EventLog, makeAlarms } from "@nimbus/domain/services"
import { Effect, Fiber } from "effect"
import { contents, eventually, Hooks, inTestEnvironment, raw, textOf } from "../testing/TestEnvironment.ts"
import { quickLimits } from "../testing/Limits.ts"
import { publishUntilAcknowledged } from "./Publish.ts"

const topic = "nimbus-dlq-v1"
const limits = { ...quickLimits, chunk: { chunk_records: 100, chunk_bytes: 10_000 } }

const write = (records: ReadonlyArray<LogRecord>) =>
  Effect.flatMap(EventLog, (log) => publishUntilAcknowledged(log, topic, 0, records, limits))

const refused = (reason: LogRefused["reason"]) => Effect.fail(new LogRefused({ topic, reason, detail: "no" }))

/** A log that takes so much at once, whatever it says of that. */
const takes = Effect.fnUntraced(function* (bytes: number) {
  const hooks = yield* Hooks
  const publishes: Array<number> = []
  hooks.publishing = (_, records) => {
    publishes.push(records.length)
    return records.reduce((sum, record) => sum + roomOf(record), 0) > bytes ? refused("too-large") : Effect.void
  }
  return publishes
})

const all = ["a", "b", "c", "d", "e"].map((value) => raw("k", value))

/** A test with alarms of its own. */
const withAlarms = <A, E, R>(test: (alarms: Alarms) => Effect.Effect<A, E, R>) => {
  const alarms = makeAlarms({ alarm_again_ms: 60_000 })
  return Effect.provideService(test(alarms), Alarms, alarms)
}

describe("publishUntilAcknowledged", () => {
  it.live("writes no more at once than the topic takes", () =>
    Effect.gen(function* () {
      const hooks = yield* Hooks
      hooks.publish_bytes = 2 * roomOf(raw("k", "a"))
      const publishes = yield* takes(hooks.publish_bytes)
      yield* write(all)
      assert.deepStrictEqual(publishes, [2, 2, 1])
      assert.deepStrictEqual((yield* contents(topic)).map(textOf), ["a", "b", "c", "d", "e"])
    }).pipe(inTestEnvironment()),
  )

  it.live("writes in halves what is refused for its size, and a single record without its journey", () =>
    withAlarms((alarms) =>
      Effect.gen(function* () {
        yield* takes(roomOf(raw("k", "a")))
        yield* write([...all, { ...raw("k", "f"), headers: { journey: "x".repeat(100) } }])
        const written = yield* contents(topic)
        assert.deepStrictEqual(written.map(textOf), ["a", "b", "c", "d", "e", "f"])
        assert.isUndefined(written[5]?.headers)
        assert.deepStrictEqual(yield* alarms.blocking, [])
      }),
    ).pipe(inTestEnvironment()),
  )

  it.live(
    "is an alarm, and leaves nothing out, while the log takes a record for no reason that could be helped here",
    () =>
      withAlarms((alarms) =>
        Effect.gen(function* () {
          const hooks = yield* Hooks
          for (const reason of ["not-allowed", "not-valid", "too-large"] as const) {
            hooks.publishing = () => refused(reason)
            const writing = yield* Effect.forkChild(write([raw("k", reason)]))
            // It lasts a few ms: what it says is looked at as it is seen.
            let seen: ReadonlyArray<string> = []
            yield* eventually(
              "an alarm",
              Effect.map(alarms.blocking, (blocking) => (seen = blocking).length === 1),
            )
            assert.deepStrictEqual(seen, [`${topic} does not take what is written to it: no`])
            hooks.publishing = () => Effect.void
            yield* Fiber.join(writing)
            assert.deepStrictEqual(yield* alarms.blocking, [])
          }
          assert.deepStrictEqual((yield* contents(topic)).map(textOf), ["not-allowed", "not-valid", "too-large"])
        }),
      ).pipe(inTestEnvironment()),
  )
})
