import { assert, describe, it } from "@effect/vitest"
import { Status } from "@nimbus/domain"
import { StatusProperties } from "@nimbus/domain/testing"
import { Arbitrary, Effect, Result } from "effect"
import { Command, connected, decide } from "./Moderation.ts"

describe("moderation", () => {
  it.effect("comes to steps that the status machine has, from any status and in any order", () =>
    Effect.gen(function* () {
      const checked = yield* StatusProperties.checkCommands({ commands: Arbitrary.schema(Command), decide })
      assert.strictEqual(checked._tag, "Passed", Arbitrary.formatCheckFailure(checked))
    }),
  )

  it("sends away who is connected", () => {
    const from = Result.getOrThrow(Status.transition(undefined, connected("p1", 5)))
    const [step] = decide(from, "send away")
    assert.isDefined(step)
    assert.strictEqual(Result.getOrThrow(Status.transition(from, step))?._tag, "OFFLINE")
  })

  it("is told of what is no step by a typed error", () => {
    const refused = Status.step({ _tag: "Vanish" })
    assert(Result.isFailure(refused))
    assert.strictEqual(refused.failure.code, "NOT_A_STEP")
  })
})
