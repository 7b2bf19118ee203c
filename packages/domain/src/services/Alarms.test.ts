import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Metric } from "effect"
import { TestClock } from "effect/testing"
import { makeAlarms } from "./Alarms.ts"

const fault = (message: string) => ({ code: "TOO_HOT", message })

/** Alarms, the lines that they log, and what the metric says. */
const watched = <A, E>(test: (lines: ReadonlyArray<string>) => Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    return test(lines).pipe(
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])),
      Effect.provideService(Metric.MetricRegistry, new Map()),
    )
  })

const gauge = Effect.map(Metric.snapshot, (all) =>
  all.flatMap(({ attributes, id, state, type }) =>
    type === "Gauge" && id === "nimbus_alarm" ? [[attributes?.["code"], state.value]] : [],
  ),
)

describe("Alarms", () => {
  it.effect("are told once a minute and where they change, counted, and over when they are cleared", () =>
    watched((lines) =>
      Effect.gen(function* () {
        const alarms = makeAlarms({ alarm_again_ms: 60_000 })
        const raise = (message: string) => alarms.raise("stove", fault(message), { blocks: true })
        yield* raise("90 degrees")
        yield* raise("90 degrees")
        yield* raise("95 degrees")
        assert.deepStrictEqual(lines, ["90 degrees", "95 degrees"])
        assert.deepStrictEqual(yield* alarms.blocking, ["95 degrees"])
        assert.deepStrictEqual(yield* gauge, [["TOO_HOT", 1]])
        yield* TestClock.adjust("1 minute")
        yield* raise("95 degrees")
        assert.lengthOf(lines, 3)
        yield* alarms.clear("stove", "TOO_HOT")
        yield* alarms.clear("stove", "TOO_HOT")
        assert.deepStrictEqual(lines.slice(3), ["over: 95 degrees"])
        assert.deepStrictEqual([yield* alarms.blocking, yield* gauge], [[], [["TOO_HOT", 0]]])
      }),
    ),
  )

  it.effect("of two subjects are two; one that blocks nobody keeps nobody from being ready", () =>
    watched(() =>
      Effect.gen(function* () {
        const alarms = makeAlarms({ alarm_again_ms: 60_000 })
        yield* alarms.raise("stove", fault("stove"), { blocks: true })
        yield* alarms.raise("tea", fault("tea"), { blocks: false })
        assert.deepStrictEqual([yield* alarms.blocking, yield* gauge], [["stove"], [["TOO_HOT", 2]]])
        assert.deepStrictEqual(yield* alarms.warnings, ["tea"])
        yield* alarms.clear("stove", "TOO_HOT")
        assert.deepStrictEqual([yield* alarms.blocking, yield* gauge], [[], [["TOO_HOT", 1]]])
      }),
    ),
  )

  it.effect("that have a time are over after it, unless they are raised again", () =>
    watched((lines) =>
      Effect.gen(function* () {
        const alarms = makeAlarms({ alarm_again_ms: 60_000 })
        const raise = alarms.raise("stove", fault("hot"), { blocks: true, lasts_ms: 10_000 })
        yield* raise
        yield* TestClock.adjust("9 seconds")
        yield* raise
        yield* TestClock.adjust("9 seconds")
        assert.deepStrictEqual(yield* alarms.blocking, ["hot"])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* alarms.blocking, [])
        assert.deepStrictEqual(lines, ["hot", "over: hot"])
      }),
    ),
  )
})
