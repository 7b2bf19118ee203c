import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import { LogUnavailable } from "../Errors.ts"
import { makeFailureLog, FailureLog, logFailure, failureReporter, untilItWorks } from "./FailureLog.ts"

const down = new LogUnavailable({ topic: "t", operation: "commit", cause: new Error("connect\n  ECONNREFUSED") })

/** FailureLog of their own, and the lines that they tell at Info and above. */
const watched = <A, E, R>(test: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    const { code, partition } = fiber.getRef(References.CurrentLogAnnotations)
    lines.push([logLevel, message, code, partition].filter((part) => part !== undefined).join(" "))
  })
  const failureLog = makeFailureLog({ outage_quiet_ms: 10_000, outage_again_ms: 60_000 })
  return Effect.suspend(() => test(lines)).pipe(
    Effect.provideService(FailureLog, failureLog),
    Effect.provide(Logger.layer([logger])),
  )
}
/** A commit that fails while `isAway` answers so, once a second. */
const retried = (isAway: () => boolean) =>
  untilItWorks(
    "commit",
    Effect.suspend(() => (isAway() ? Effect.fail(down) : Effect.succeed("done"))),
    () => 1_000,
  )

describe("FailureLog", () => {
  it.effect("tell in one line what fails, with its code, and in one for how long it did", () =>
    watched((lines) =>
      Effect.gen(function* () {
        let isAway = true
        const fiber = yield* Effect.forkChild(
          retried(() => isAway),
          { startImmediately: true },
        )
        for (let second = 0; second < 21; second++) yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(lines, ["Warn commit fails: connect ECONNREFUSED LOG_UNAVAILABLE"])
        isAway = false
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(fiber), "done")
        assert.deepStrictEqual(lines.slice(1), ["Info commit works again, after 22.0 s and 22 failures"])
      }),
    ),
  )

  it.effect("tell nothing of what works, and nothing twice of what fails once", () =>
    watched((lines) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* retried(() => false), "done")
        assert.deepStrictEqual(lines, [])
      }),
    ),
  )

  it.effect("are one for all who fail at the same, and over when it works for the last", () =>
    watched((lines) =>
      Effect.gen(function* () {
        const partitions = yield* Effect.forEach([0, 1, 2], () => failureReporter("commit"))
        for (const [partition, one] of partitions.entries()) {
          yield* Effect.annotateLogs(one.failed(down), { partition })
        }
        yield* TestClock.adjust("2 seconds")
        yield* partitions[0]!.worked
        yield* partitions[1]!.failed(down)
        yield* partitions[1]!.worked
        assert.strictEqual(lines.length, 1)
        assert.notMatch(lines[0]!, / \d$/, "of no partition")
        yield* partitions[2]!.worked
        yield* partitions[2]!.worked
        assert.deepStrictEqual(lines.slice(1), ["Info commit works again, after 2.0 s and 4 failures"])
      }),
    ),
  )

  it.effect("don't say that it works again when the last gives up", () =>
    watched((lines) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const one = yield* Scope.provide(failureReporter("commit"), scope)
        yield* one.failed(down)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(lines.slice(1), ["Info commit is not tried any more, after 0.0 s and 1 failure"])
      }),
    ),
  )

  it.effect("are told again once a minute while they last", () =>
    watched((lines) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(
          retried(() => true),
          { startImmediately: true },
        )
        for (let second = 0; second < 125; second++) yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)
        const line = (sofar: string) => `Warn commit still fails, after ${sofar}: connect ECONNREFUSED LOG_UNAVAILABLE`
        assert.deepStrictEqual(lines.slice(1, 3), [line("60.0 s and 61 failures"), line("120.0 s and 121 failures")])
        assert.strictEqual(lines.length, 4)
      }),
    ),
  )

  it.effect("that come and go are told at most once in the quiet time", () =>
    watched((lines) =>
      Effect.gen(function* () {
        const one = yield* failureReporter("commit")
        for (let second = 0; second < 30; second++) {
          yield* one.failed(down)
          yield* one.worked
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(lines.length, 2 * 3, lines.join("\n"))
      }),
    ),
  )

  it.effect("tell a failure that nobody follows up, and begin anew after a quiet minute", () =>
    watched((lines) =>
      Effect.gen(function* () {
        for (let second = 0; second < 61; second++) {
          yield* logFailure("expire", down)
          yield* TestClock.adjust("1 second")
        }
        yield* TestClock.adjust("5 minutes")
        yield* logFailure("expire", "a reason that is no error")
        assert.deepStrictEqual(lines, [
          "Warn expire fails: connect ECONNREFUSED LOG_UNAVAILABLE",
          "Warn expire still fails, after 60.0 s and 61 failures: connect ECONNREFUSED LOG_UNAVAILABLE",
          "Warn expire fails: a reason that is no error",
        ])
      }),
    ),
  )

  it.effect("tell each failure at Debug, with all that is known of it", () =>
    watched((lines) =>
      Effect.gen(function* () {
        const one = yield* failureReporter("commit")
        yield* one.failed(down)
        yield* one.failed(down)
        assert.strictEqual(lines.filter((line) => line.startsWith("Debug ")).length, 2)
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Debug")),
    ),
  )
})
