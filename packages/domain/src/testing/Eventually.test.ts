import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { eventually, within } from "./Eventually.ts"

describe("eventually", () => {
  it.live("ends as soon as its condition holds", () => {
    let looks = 0
    return eventually(
      "three looks",
      Effect.sync(() => ++looks === 3),
    )
  })

  it.live("fails with what it waited for", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(eventually("a herd of unicorns", Effect.succeed(false), 20))
      assert.strictEqual(failure.message, "waited 20 ms for: a herd of unicorns")
    }),
  )
})

describe("within", () => {
  it.live("fails with what it waited for", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(Effect.never.pipe(within("the end of a read", 20)))
      assert.strictEqual(failure.message, "waited 20 ms for: the end of a read")
    }),
  )
})
