/** The conformance suite of `Tickets`. */
import { assert } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import type { TicketLimits } from "../Limits.ts"
import { Tickets } from "../services/Tickets.ts"
import { conformance } from "./Conformance.ts"

/** The contract of `Tickets` as tests: call it in a test file with a way to build the layer to be tested. */
export const ticketsSuite = <E>(
  name: string,
  layer: (limits: Pick<TicketLimits, "ticket_ms">) => Layer.Layer<Tickets, E>,
) => {
  conformance(`Tickets: ${name}`, layer({ ticket_ms: 30_000 }), (it) => {
    it.effect("a ticket is worth its value once, whatever that is", () =>
      Effect.gen(function* () {
        const { issue, redeem } = yield* Tickets
        for (const value of ["", "a.b-c_d", "\n\u{1F511}é\0", "x".repeat(20_000)]) {
          const ticket = yield* issue(value)
          assert.deepStrictEqual(yield* redeem(ticket), Option.some(value))
          assert.deepStrictEqual(yield* redeem(ticket), Option.none())
        }
      }),
    )

    it.effect("no two tickets are one, nor says a ticket anything of its value, and it may stand in a URL", () =>
      Effect.gen(function* () {
        const { issue, redeem } = yield* Tickets
        const [one, other] = [yield* issue("the same"), yield* issue("the same")]
        assert.notStrictEqual(one, other)
        assert.match(one, /^[A-Za-z0-9_-]{22,128}$/)
        assert.deepStrictEqual(yield* redeem(other), Option.some("the same"))
        assert.deepStrictEqual(yield* redeem(one), Option.some("the same"))
      }),
    )

    it.effect("what is no ticket is worth nothing", () =>
      Effect.gen(function* () {
        const { issue, redeem } = yield* Tickets
        const ticket = yield* issue("value")
        for (const other of ["", "*", ticket.slice(0, -1), `${ticket}0`, "\n\u{1F511}", "x".repeat(10_000)]) {
          assert.deepStrictEqual(yield* redeem(other), Option.none())
        }
        assert.deepStrictEqual(yield* redeem(ticket), Option.some("value"))
      }),
    )

    it.effect("of a hundred that redeem it at once one gets its value", () =>
      Effect.gen(function* () {
        const { issue, redeem } = yield* Tickets
        const ticket = yield* issue("value")
        const found = yield* Effect.forEach(Array.from({ length: 100 }), () => redeem(ticket), {
          concurrency: "unbounded",
        })
        assert.strictEqual(found.filter(Option.isSome).length, 1)
      }),
    )
  })

  conformance(`Tickets that end at once: ${name}`, layer({ ticket_ms: 1 }), (it) => {
    it.effect("a ticket whose time is over is worth nothing", () =>
      Effect.gen(function* () {
        const { issue, redeem } = yield* Tickets
        const ticket = yield* issue("value")
        const issued = performance.now()
        yield* Effect.repeat(Effect.yieldNow, { until: () => performance.now() - issued > 20 })
        assert.deepStrictEqual(yield* redeem(ticket), Option.none())
      }),
    )
  })
}
