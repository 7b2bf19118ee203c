/**
 * Whether a consumer that fails and starts again makes progress. One that fails repeatedly without progress is an alarm:
 * what it fails of does not pass on its own, as an outage of a service does, and nothing behind it is processed.
 *
 * ```
 *   fails, `stuck_restarts` times in a row ─▶ alarm CONSUMER_STUCK ─▶ moved: over
 * ```
 *
 * It still starts again: an operator may have repaired the cause, and no record is skipped.
 */
import { Alarms, type AssignedPartition, reasonOf } from "@nimbus/domain/services"
import { Effect, Predicate, type Scope } from "effect"
import type { ConsumerLimits } from "../Limits.ts"

export interface Progress {
  /** It has failed; `at`: where it stands. */
  failed(error: unknown, at: string): Effect.Effect<void>
  /** It is further than before. Free of cost unless it has failed since. */
  readonly moved: Effect.Effect<void>
}

const code = "CONSUMER_STUCK"

/** `what`: the consumer, and what it reads. Closing the scope ends its alarm: it is another process' from then on. */
export const make = Effect.fnUntraced(function* (
  what: string,
  limits: Pick<ConsumerLimits, "stuck_restarts">,
): Effect.fn.Return<Progress, never, Scope.Scope> {
  const alarms = yield* Alarms
  const over = alarms.clear(what, code)
  let failures = 0
  yield* Effect.addFinalizer(() => over)
  return {
    failed: (error, at) =>
      Effect.suspend(() => {
        if (isPassing(error) || ++failures < limits.stuck_restarts) return Effect.void
        const message = `${what} makes no progress ${at}: it fails each time that it is started again: ${reasonOf(error)}`
        return alarms.raise(what, { code, message }, { blocks: false })
      }),
    moved: Effect.suspend(() => {
      if (failures === 0) return Effect.void
      failures = 0
      return over
    }),
  }
})

/** A partition whose commits are its progress. `place`: how far they are. */
export const watch = (partition: AssignedPartition, progress: Progress) => {
  let at = -1
  const watched: AssignedPartition = {
    ...partition,
    committed: Effect.tap(partition.committed, (found) => Effect.sync(() => (at = Math.max(at, found?.next ?? -1)))),
    commit: (next, metadata) =>
      Effect.andThen(partition.commit(next, metadata), () => {
        if (next <= at) return Effect.void
        at = next
        return progress.moved
      }),
  }
  return { partition: watched, place: () => (at === -1 ? "at its beginning" : `at offset ${at}`) }
}

/** A service that does not answer, by the codes of docs/errors.md: an outage, which is told as one, and passes. */
const isPassing = (error: unknown): boolean =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string" && error.code.endsWith("_UNAVAILABLE")
