/**
 * Commits of one partition, coalesced: at most one under way, at most one every `commit_every_ms`, the latest wins.
 *
 * A commit that is late or lost costs repeats, never a record; so this never blocks the caller. One that fails
 * is made again, later each time. Closing the scope commits what is left, and gives up after `commit_timeout_ms`.
 */
import { Effect, Latch, type Scope } from "effect"
import { type AssignedPartition, type Committed, failureReporter } from "@nimbus/domain/services"
import type { ConsumerLimits } from "../Limits.ts"
import { countFailure } from "../Metrics.ts"
import { reportFailure, wait_ms } from "./Backoff.ts"

export interface Committer {
  /** `undefined`: nothing new. */
  offer(next: number | undefined): void
  /** There is something new, which is asked for when it is committed. */
  due(commit: () => Committed): void
}

export const make = Effect.fnUntraced(function* (
  partition: AssignedPartition,
  limits: ConsumerLimits,
): Effect.fn.Return<Committer, never, Scope.Scope> {
  const wake = Latch.makeUnsafe()
  let latest: (() => Committed) | undefined = undefined

  const commit = Effect.suspend(() => {
    if (latest === undefined) return Effect.void
    const offered = latest
    const { metadata, next } = offered()
    latest = undefined
    return Effect.onError(partition.commit(next, metadata), () =>
      Effect.sync(() => {
        latest ??= offered
      }),
    )
  })

  const outage = yield* failureReporter(`commit ${partition.topic}`)
  let failures = 0
  const failed = (error: unknown) =>
    Effect.suspend(() => {
      wake.openUnsafe()
      const wait = Effect.sleep(wait_ms(failures++, limits))
      return Effect.andThen(countFailure("commit", 1), Effect.andThen(outage.failed(error), wait))
    })
  const succeeded = Effect.suspend(() => {
    if (failures === 0) return Effect.void
    failures = 0
    return outage.worked
  })

  const loop = Effect.gen(function* () {
    for (;;) {
      yield* wake.await
      yield* wake.close
      yield* commit.pipe(
        Effect.andThen(succeeded),
        // Not ours any more: its new owner commits.
        Effect.catchTag("PartitionRevoked", () => Effect.never),
        Effect.catch(failed),
      )
      yield* Effect.sleep(limits.commit_every_ms)
    }
  })

  yield* Effect.addFinalizer(() =>
    Effect.andThen(commit, succeeded).pipe(
      Effect.interruptible,
      Effect.timeoutOption(limits.commit_timeout_ms),
      Effect.catchTag("PartitionRevoked", () => Effect.void),
      Effect.catch((error) => reportFailure("commit", error)),
    ),
  )
  yield* Effect.forkScoped(loop, { startImmediately: true })

  const due = (commit: () => Committed): void => {
    latest = commit
    wake.openUnsafe()
  }
  return { offer: (next) => next !== undefined && due(() => ({ next, metadata: "" })), due }
})
