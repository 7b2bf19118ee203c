import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import * as PipelinedWriter from "./PipelinedWriter.ts"

describe("PipelinedWriter", () => {
  it.effect("starts an effect once the one before has ended", () =>
    Effect.gen(function* () {
      const behind = yield* PipelinedWriter.make
      const first = yield* Deferred.make<void>()
      const did: Array<string> = []
      yield* behind.run(
        Effect.andThen(
          Deferred.await(first),
          Effect.sync(() => void did.push("first")),
        ),
      )
      const second = yield* Effect.forkChild(behind.run(Effect.sync(() => void did.push("second"))))
      yield* Effect.yieldNow
      assert.deepStrictEqual(did, [])
      yield* Deferred.succeed(first, undefined)
      yield* behind.settled
      assert.isDefined(second)
      yield* Effect.yieldNow
      yield* behind.settled
      assert.deepStrictEqual(did, ["first", "second"])
    }),
  )

  it.effect("ends what is under way with its scope, though the fiber goes on", () =>
    Effect.gen(function* () {
      let underWay = 0
      const publish = Effect.acquireUseRelease(
        Effect.sync(() => void underWay++),
        () => Effect.never,
        () => Effect.sync(() => void underWay--),
      )
      yield* Effect.scoped(Effect.andThen(PipelinedWriter.make, (behind) => behind.run(publish)))
      assert.strictEqual(underWay, 0)
    }),
  )
})
