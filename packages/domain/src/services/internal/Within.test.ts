import { assert, describe, it } from "@effect/vitest"
import { Clock, type Duration, Effect, Exit, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { within } from "./Within.ts"

const options = { timeout_ms: 1_000, onTimeout: Effect.succeed("late") }

describe("within", () => {
  it.effect("answers what the effect answers, at once or later", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* within(Effect.succeed("done"), options), "done")
      const later = yield* Effect.forkChild(within(Effect.as(Effect.sleep(999), "done"), options))
      yield* TestClock.adjust(999)
      assert.strictEqual(yield* Fiber.join(later), "done")
    }),
  )

  it.effect("arms a timer only for what does not finish at once", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let timers = 0
      const counting: Clock.Clock = Object.assign(Object.create(clock), {
        sleep: (duration: Duration.Duration) => {
          timers++
          return clock.sleep(duration)
        },
      })
      yield* Effect.forEach([Effect.succeed(""), Effect.sync(() => ""), Effect.as(Effect.yieldNow, "")], (work) =>
        within(work, options),
      ).pipe(Effect.provideService(Clock.Clock, counting))
      assert.strictEqual(timers, 1)
    }),
  )

  it.effect("interrupts what takes too long, and answers in its place", () =>
    Effect.gen(function* () {
      let interrupted = false
      const never = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (interrupted = true)))
      const fiber = yield* Effect.forkChild(within(never, options))
      yield* TestClock.adjust(999)
      assert.isFalse(interrupted)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "late")
      assert.isTrue(interrupted)
    }),
  )

  it.effect("waits for what cannot be interrupted", () =>
    Effect.gen(function* () {
      const slow = Effect.uninterruptible(Effect.as(Effect.sleep(5_000), "done"))
      const fiber = yield* Effect.forkChild(within(slow, options))
      yield* TestClock.adjust(4_999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "late")
    }),
  )

  it.effect("interrupted, it interrupts the effect and waits for it", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const stops = Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => log.push("stops")),
      )
      const fiber = yield* Effect.forkChild(
        within(
          Effect.onInterrupt(Effect.never, () => stops),
          options,
        ),
        { startImmediately: true },
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, ["stops"])
    }),
  )

  it.effect("interrupted between any two of its steps, it leaves nothing running", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 36; steps++) {
        const ops = 2 + Math.floor(steps / 12)
        let running = 0
        const work = Effect.callback<never>(() => {
          running++
          return Effect.sync(() => running--)
        })
        const fiber = yield* within(work, options).pipe(
          Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
          Effect.forkChild({ startImmediately: true }),
        )
        for (let i = 0; i < steps % 12; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        for (let i = 0; i < 12; i++) yield* Effect.yieldNow
        assert.strictEqual(running, 0, `after ${steps % 12} turns of ${ops} steps`)
      }
    }),
  )

  it.effect("dies of what the effect dies of", () =>
    Effect.gen(function* () {
      assert.isTrue(Exit.hasDies(yield* Effect.exit(within(Effect.die("a defect"), options))))
      assert.isTrue(
        Exit.hasDies(yield* Effect.exit(within(Effect.andThen(Effect.yieldNow, Effect.die("a defect")), options))),
      )
    }),
  )
})
