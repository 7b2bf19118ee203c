import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { ticketsSuite } from "../testing/TicketsSuite.ts"
import { Tickets } from "./Tickets.ts"
import * as TicketsMemory from "./TicketsMemory.ts"

ticketsSuite("in memory", TicketsMemory.layerMemory)

describe("TicketsMemory", () => {
  it.effect("keeps a ticket for 30 s", () =>
    Effect.gen(function* () {
      const { issue, redeem } = yield* Tickets
      const [one, other] = [yield* issue("one"), yield* issue("other")]
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(yield* redeem(one), Option.some("one"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* redeem(other), Option.none())
    }).pipe(Effect.provide(TicketsMemory.layerMemory())),
  )

  it.effect("beyond its bound the oldest is worth nothing any more", () =>
    Effect.gen(function* () {
      const { issue, redeem } = yield* Tickets
      const [one, two, three] = [yield* issue("1"), yield* issue("2"), yield* issue("3")]
      assert.deepStrictEqual(yield* redeem(one), Option.none())
      assert.deepStrictEqual(yield* redeem(two), Option.some("2"))
      assert.deepStrictEqual(yield* redeem(three), Option.some("3"))
    }).pipe(Effect.provide(TicketsMemory.layerMemory({ tickets_waiting: 2 }))),
  )

  it.effect("has a bound in bytes of what its tickets stand for, of which nothing is left once they are gone", () =>
    Effect.gen(function* () {
      const { issue, redeem } = yield* Tickets
      const [token, small] = ["x".repeat(60), "y".repeat(40)]
      for (let i = 0; i < 3; i++) {
        const first = yield* issue(token)
        const [second, third] = [yield* issue(small), yield* issue(small)]
        assert.deepStrictEqual(yield* redeem(first), Option.none())
        assert.deepStrictEqual(yield* redeem(second), Option.some(small))
        assert.deepStrictEqual(yield* redeem(third), Option.some(small))
      }
    }).pipe(Effect.provide(TicketsMemory.layerMemory({ tickets_bytes: 100 }))),
  )
})
