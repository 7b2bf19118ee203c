import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
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
})
