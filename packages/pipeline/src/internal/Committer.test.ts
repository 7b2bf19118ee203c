import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Logger, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type LogError, PartitionRevoked } from "@nimbus/domain/errors"
import { outageLimits } from "@nimbus/domain/limits"
import { type AssignedPartition, makeFailureLog, FailureLog } from "@nimbus/domain/services"
import { eventConsumerLimits } from "../Limits.ts"
import { quickLimits } from "../testing/Limits.ts"
import { down, eventually, settle } from "../testing/TestEnvironment.ts"
import * as Committer from "./Committer.ts"

/** A partition of which only the commits matter; `before` is run for each. */
const partition = (before: (next: number) => Effect.Effect<void, LogError | PartitionRevoked>) => {
  const commits: Array<number> = []
  const assigned: AssignedPartition = {
    topic: "t",
    partition: 0,
    committed: Effect.succeed(undefined),
    read: () => Stream.never,
    commit: (next) => Effect.map(before(next), () => void commits.push(next)),
    revoked: Effect.never,
  }
  return { assigned, commits }
}

describe("Committer", () => {
  it.live("commits what is offered while a commit is under way, the latest alone", () =>
    Effect.gen(function* () {
      const open = yield* Deferred.make<void>()
      const { assigned, commits } = partition((next) => (next === 1 ? Deferred.await(open) : Effect.void))
      const committer = yield* Committer.make(assigned, quickLimits)
      committer.offer(1)
      yield* settle
      committer.offer(2)
      committer.offer(3)
      committer.offer(undefined)
      yield* Deferred.succeed(open, undefined)
      yield* eventually("two commits", () => commits.length === 2)
      assert.deepStrictEqual(commits, [1, 3])
    }),
  )

  it.live("tries again when the log does not answer", () =>
    Effect.gen(function* () {
      let failures = 0
      const { assigned, commits } = partition(() => (failures++ < 3 ? Effect.fail(down("t")) : Effect.void))
      const committer = yield* Committer.make(assigned, quickLimits)
      committer.offer(1)
      yield* eventually("a commit", () => commits.length === 1)
    }),
  )

  it.effect("tries less and less often while the log is away, and tells that in two lines", () => {
    const lines: Array<unknown> = []
    return Effect.gen(function* () {
      let isAway = true
      let attempts = 0
      const { assigned, commits } = partition(() => (attempts++, isAway ? Effect.fail(down("t")) : Effect.void))
      const committer = yield* Committer.make(assigned, eventConsumerLimits)
      committer.offer(1)
      for (let second = 0; second < 40; second++) yield* TestClock.adjust("1 second")
      assert.isBelow(attempts, 16)
      assert.deepStrictEqual(lines, [["commit t fails: told to fail"]])
      isAway = false
      for (let second = 0; second < 6; second++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(commits, [1])
      assert.strictEqual(lines.length, 2)
      assert.match(String(lines[1]), /^commit t works again, after 4\d\.\d s and 1\d failures$/)
    }).pipe(
      Effect.provideService(FailureLog, makeFailureLog(outageLimits)),
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(message))])),
    )
  })

  it.live("commits the rest when its scope closes, and does not wait for ever", () =>
    Effect.gen(function* () {
      const { assigned, commits } = partition((next) => (next === 3 ? Effect.never : Effect.void))
      const scope = yield* Scope.make()
      const slow = { ...quickLimits, commit_every_ms: 60_000, commit_timeout_ms: 20 }
      const committer = yield* Committer.make(assigned, slow).pipe(Scope.provide(scope))
      committer.offer(1)
      yield* eventually("the first at once", () => commits.length === 1)
      committer.offer(2)
      yield* settle
      assert.deepStrictEqual(commits, [1])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(commits, [1, 2])
      const hanging = yield* Scope.make()
      const another = yield* Committer.make(assigned, slow).pipe(Scope.provide(hanging))
      another.offer(3)
      yield* Scope.close(hanging, Exit.void).pipe(Effect.timeout("30 seconds"))
      assert.deepStrictEqual(commits, [1, 2])
    }),
  )

  it.live("leaves it to the new owner when the partition is revoked", () =>
    Effect.gen(function* () {
      let attempts = 0
      const { assigned, commits } = partition(() => {
        attempts++
        return Effect.fail(new PartitionRevoked({ topic: "t", partition: 0 }))
      })
      const committer = yield* Committer.make(assigned, quickLimits)
      committer.offer(1)
      yield* settle
      committer.offer(2)
      yield* settle
      assert.deepStrictEqual(commits, [])
      assert.strictEqual(attempts, 1)
    }),
  )
})
