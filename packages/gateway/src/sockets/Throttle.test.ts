import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import type { TooMuch } from "../subjects/SubjectBook.ts"
import { SubjectBook } from "../subjects/SubjectBook.ts"
import { subjectLimits } from "../Limits.ts"
import { Throttle } from "./Throttle.ts"
import { Timers } from "./Timers.ts"

describe("Throttle", () => {
  it.effect("reads on, in virtual time, once there is a token again", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const now = () => clock.currentTimeMillisUnsafe()
      const said: Array<string> = []
      const reading = { pause: () => void said.push("pause"), resume: () => void said.push("resume") }
      const throttle = new Throttle(10, reading, now, yield* Timers)
      for (let i = 0; i < 9; i++) throttle.take(now())
      assert.deepStrictEqual(said, [])
      throttle.take(now())
      assert.deepStrictEqual(said, ["pause"])
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(said, ["pause"])
      yield* TestClock.adjust(60)
      assert.deepStrictEqual(said, ["pause", "resume"])
    }).pipe(Effect.provide(Timers.layer)),
  )

  it.effect(
    "slows down all connections of a subject together, tells each why, and refuses what is beyond its credit",
    () =>
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        const now = () => clock.currentTimeMillisUnsafe()
        const timers = yield* Timers
        const limits = { ...subjectLimits, frames_per_second: 10, credit_ms: 500, told_every_ms: 1_000 }
        const book = new SubjectBook(limits)
        const open = () => {
          const said: Array<string> = []
          const told: Array<TooMuch> = []
          const reading = { pause: () => void said.push("pause"), resume: () => void said.push("resume") }
          const throttle = new Throttle(1_000, reading, now, timers)
          const share = book.connect("a", undefined, now())
          if ("code" in share) return assert.fail(share.code)
          throttle.within({ share, told_every_ms: limits.told_every_ms, tell: (slowed) => void told.push(slowed) })
          return { said, told, throttle }
        }
        const [one, other] = [open(), open()]
        for (let i = 0; i < 9; i++) assert.isUndefined(one.throttle.take(now(), 100))
        assert.isUndefined(other.throttle.take(now(), 100))
        assert.deepStrictEqual([one.said, other.said], [[], ["pause"]])
        assert.deepStrictEqual(other.told, [{ code: "SUBJECT_FRAMES", retry_ms: 100 }])
        for (let i = 0; i < 5; i++) assert.isUndefined(one.throttle.take(now(), 100))
        assert.deepStrictEqual(one.throttle.take(now(), 100), { code: "SUBJECT_FRAMES", retry_ms: 600 })
        assert.strictEqual(one.told.length, 1)
        yield* TestClock.adjust(700)
        assert.deepStrictEqual(
          [one.said, other.said],
          [
            ["pause", "resume"],
            ["pause", "resume"],
          ],
        )
      }).pipe(Effect.provide(Timers.layer)),
  )
})
