import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { cachedProbe } from "./CachedProbe.ts"

const probeLimits = { interval_ms: 1_000, share: 0.01 }

/** Counts its looks; each takes this long. */
const counting = (takes_ms: number) => {
  let looks = 0
  return Effect.suspend(() => Effect.as(Effect.sleep(takes_ms), ++looks))
}

const look = Effect.fnUntraced(function* <A, R>(ask: Effect.Effect<A, never, R>) {
  const asking = yield* Effect.forkChild(ask, { startImmediately: true })
  yield* TestClock.adjust(100)
  return yield* Fiber.join(asking)
})

describe("paced", () => {
  it.effect("looks once in the interval, whoever asks", () =>
    Effect.gen(function* () {
      const ask = cachedProbe(counting(0), 0, probeLimits)
      assert.deepStrictEqual(yield* ask, { value: 1, isStale: false })
      yield* TestClock.adjust(999)
      assert.strictEqual((yield* ask).value, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* ask).value, 2)
    }),
  )

  it.effect("looks the more seldom the longer a look takes", () =>
    Effect.gen(function* () {
      const ask = cachedProbe(counting(100), 0, probeLimits)
      assert.strictEqual((yield* look(ask)).value, 1)
      yield* TestClock.adjust(9_899)
      assert.strictEqual((yield* look(ask)).value, 1)
      assert.strictEqual((yield* look(ask)).value, 2)
    }),
  )

  it.effect("answers what was seen last while a look is under way", () =>
    Effect.gen(function* () {
      const first = yield* Deferred.make<string>()
      const ask = cachedProbe(Deferred.await(first), "nothing yet", probeLimits)
      const asking = yield* Effect.forkChild(ask, { startImmediately: true })
      assert.deepStrictEqual(yield* ask, { value: "nothing yet", isStale: true })
      yield* Deferred.succeed(first, "seen")
      assert.deepStrictEqual(yield* Fiber.join(asking), { value: "seen", isStale: false })
    }),
  )

  it.effect("keeps the last value of what can't be seen, says so, and looks again", () =>
    Effect.gen(function* () {
      let looks = 0
      const ask = cachedProbe(
        Effect.suspend(() => (++looks === 2 ? Effect.fail("away") : Effect.succeed(looks))),
        0,
        probeLimits,
      )
      yield* ask
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* ask, { value: 1, isStale: true })
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* ask, { value: 3, isStale: false })
    }),
  )

  it.effect("is looked at again by others when whoever looked has gone", () =>
    Effect.gen(function* () {
      let looks = 0
      const ask = cachedProbe(
        Effect.suspend(() => (++looks === 1 ? Effect.never : Effect.succeed(looks))),
        0,
        probeLimits,
      )
      yield* Fiber.interrupt(yield* Effect.forkChild(ask, { startImmediately: true }))
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* ask, { value: 2, isStale: false })
    }),
  )
})
