import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { PodId } from "../protocol/Ids.ts"
import { beMember, type Member, Members, reachableAt } from "./Members.ts"
import { membersSuite } from "../testing/MembersSuite.ts"

membersSuite("in memory", Members.layerMemory)

const member: Member = { id: PodId.make("p"), host: "h", address: "h:1", role: "gateway" }

describe("beMember", () => {
  it.effect("is one for as long as the scope lives, and not after", () =>
    Effect.gen(function* () {
      const { all } = yield* Members
      const scope = yield* Scope.make()
      yield* Effect.provideService(beMember(member), Scope.Scope, scope)
      for (const time of ["1 second", "1 minute", "1 hour"] as const) {
        yield* TestClock.adjust(time)
        assert.deepStrictEqual(yield* all, [member])
      }
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* all, [])
    }).pipe(Effect.provide(Members.layerMemory)),
  )
})

describe("reachableAt", () => {
  it.each([
    ["http://127.0.0.1:3000", "127.0.0.1:3000"],
    ["http://0.0.0.0:3000", "box:3000"],
    ["http://[::]:3000", "box:3000"],
    ["http://[::1]:3000", "[::1]:3000"],
  ])("%s on box is at %s", (address, there) => {
    assert.strictEqual(reachableAt(address, "box"), there)
  })
})
