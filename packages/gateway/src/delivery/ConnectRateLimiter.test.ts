import { assert, describe, it } from "@effect/vitest"
import { ClientId } from "@nimbus/domain/protocol"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { makeConnectRateLimiter, ConnectRates } from "./ConnectRateLimiter.ts"

const limits = { openings_in_a_row: 3, opening_every_ms: 100 }
const client = ClientId.make("c1")
const other = ClientId.make("c2")

describe("OpeningPace", () => {
  it("gives the first turns at once, and then one each opening_every_ms", () => {
    const rates = new ConnectRates(limits)
    assert.deepStrictEqual(
      Array.from({ length: 3 }, () => rates.take(client, 1_000)),
      [0, 0, 0],
    )
    assert.strictEqual(rates.take(client, 1_000), 100)
    assert.strictEqual(rates.take(client, 1_150), 50)
    assert.strictEqual(rates.take(other, 1_150), 0)
  })

  it("gives turns at once again to a client that has kept still", () => {
    const rates = new ConnectRates(limits)
    for (let i = 0; i < 3; i++) rates.take(client, 0)
    assert.deepStrictEqual(
      Array.from({ length: 4 }, () => rates.take(client, 300)),
      [0, 0, 0, 100],
    )
  })

  it("keeps nobody waiting until a clock that has gone back is where it was", () => {
    const rates = new ConnectRates(limits)
    for (let i = 0; i < 3; i++) rates.take(ClientId.make(`other${i}`), 3_600_000)
    for (let i = 0; i < 3; i++) rates.take(client, 3_600_000)
    assert.strictEqual(rates.take(client, 0), 100)
  })

  it("forgets whoever may have all turns again, also after the clock has gone back", () => {
    const rates = new ConnectRates(limits)
    const take = (from: number, count: number, now_ms: number) => {
      for (let i = from; i < from + count; i++) rates.take(ClientId.make(`c${i}`), now_ms)
    }
    take(0, 1_000, 3_600_000)
    assert.strictEqual(rates.size, 1_000)
    take(1_000, 1_000, 3_600_100)
    assert.strictEqual(rates.size, 1_000)
    take(2_000, 1_000, 0)
    assert.strictEqual(rates.size, 1_000)
  })
})

describe("an opening", () => {
  const opening = Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const turn = makeConnectRateLimiter(limits, () => clock.currentTimeMillisUnsafe())
    for (let i = 0; i < 3; i++) yield* turn(client)
    return turn
  })

  it.effect("that comes too soon waits for its turn, and those of other clients do not", () =>
    Effect.gen(function* () {
      const turn = yield* opening
      const fiber = yield* Effect.forkChild(turn(client), { startImmediately: true })
      yield* turn(other)
      yield* TestClock.adjust(99)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(fiber)
    }),
  )

  it.effect("waits no longer than its turn takes, if the clock goes back meanwhile", () =>
    Effect.gen(function* () {
      let now_ms = 3_600_000
      const turn = makeConnectRateLimiter(limits, () => now_ms)
      for (let i = 0; i < 3; i++) yield* turn(client)
      yield* Effect.forkChild(Effect.flip(turn(client)), { startImmediately: true })
      now_ms = 0
      const newer = yield* Effect.forkChild(turn(client), { startImmediately: true })
      yield* TestClock.adjust(limits.opening_every_ms)
      assert.isDefined(newer.pollUnsafe())
    }),
  )

  it.effect("gives its turn to a newer one of its client, and is superseded", () =>
    Effect.gen(function* () {
      const turn = yield* opening
      const waiting = []
      for (let i = 0; i < 50; i++) {
        waiting.push(yield* Effect.forkChild(Effect.flip(turn(client)), { startImmediately: true }))
      }
      const newest = yield* Effect.forkChild(turn(client), { startImmediately: true })
      const told = yield* Effect.forEach(waiting, Fiber.join)
      assert.deepStrictEqual(new Set(told.map(({ _tag }) => _tag)), new Set(["OpeningSuperseded"]))
      assert.isUndefined(newest.pollUnsafe())
      yield* TestClock.adjust(100)
      yield* Fiber.join(newest)
    }),
  )
})
