import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { registerSize, MemoryGauges } from "./MemoryGauges.ts"

describe("MemoryGauges", () => {
  it.effect("shows a part as long as its scope lives", () => {
    const shown: Array<string> = []
    const add = (part: string) => {
      shown.push(part)
      return () => void shown.splice(shown.indexOf(part), 1)
    }
    return Effect.gen(function* () {
      const part = Effect.andThen(
        registerSize("queue", { size: { records: 1 } }),
        Effect.sync(() => [...shown]),
      )
      assert.deepStrictEqual(yield* Effect.scoped(part), ["queue"])
      assert.deepStrictEqual(shown, [])
    }).pipe(Effect.provideService(MemoryGauges, { add }))
  })
})
