/**
 * The log of operations that fail repeatedly, as they do while a service is unavailable. It writes one line when an
 * operation begins to fail, and one when it works again, with the time between. Single failures are logged at Debug
 * only.
 *
 * ```
 *   fails ─▶ logged ─▶ fails, fails, … counted, logged once in `outage_again_ms` ─▶ works again for all ─▶ logged
 * ```
 *
 * 1. All reporters of one operation, identified by its name, share one outage: partitions, members, connections. The
 *    outage ends when the operation works again for the last of them, or the last of them has given up.
 * 2. An outage that begins within `outage_quiet_ms` of the end of the last one of its name is logged only if it lasts
 *    that long, so that a flapping service does not flood the log.
 * 3. Names come from the code and the configuration, so there are few of them, and each has a small entry in memory.
 */
import { Clock, Context, Effect, Predicate, References, Result, Scope } from "effect"
import { type OutageLimits, outageLimits } from "../Limits.ts"

/** Reports the attempts of one caller, which retries an operation until it works. */
export interface FailureReporter {
  failed(error: unknown): Effect.Effect<void>
  /** Reports success. Free of cost unless the operation failed before. */
  readonly worked: Effect.Effect<void>
}

export interface FailureLog {
  /** Closing the scope counts as giving up. */
  reporter(what: string): Effect.Effect<FailureReporter, never, Scope.Scope>
  /** A single failure without a retry. The first is logged, and later ones once in `outage_again_ms`. */
  failed(what: string, error: unknown): Effect.Effect<void>
}

/** The failure log of the process. */
export const FailureLog = Context.Reference<FailureLog>("@nimbus/domain/FailureLog", {
  defaultValue: () => makeFailureLog(outageLimits),
})

/** Logs a single failure without a retry. */
export const logFailure = (what: string, error: unknown): Effect.Effect<void> =>
  Effect.flatMap(FailureLog, (failureLog) => failureLog.failed(what, error))

/** A reporter in the failure log of the process. */
export const failureReporter = (what: string): Effect.Effect<FailureReporter, never, Scope.Scope> =>
  Effect.flatMap(FailureLog, (failureLog) => failureLog.reporter(what))

/** Retries an effect until it succeeds or is interrupted. `wait_ms` takes the number of failures so far, from 0. */
export const untilItWorks = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  wait_ms: (failures: number) => number,
): Effect.Effect<A, never, R> => {
  const again = (reporter: FailureReporter, failures: number, error: E): Effect.Effect<A, never, R> =>
    reporter.failed(error).pipe(
      Effect.andThen(Effect.sleep(wait_ms(failures))),
      Effect.andThen(effect),
      Effect.tap(reporter.worked),
      Effect.catch((error) => again(reporter, failures + 1, error)),
    )
  // What works at once pays for none of it.
  return Effect.catch(effect, (error) =>
    Effect.scopedWith((scope) =>
      Effect.flatMap(Effect.provideService(failureReporter(what), Scope.Scope, scope), (reporter) =>
        again(reporter, 0, error),
      ),
    ),
  )
}

/** The same, but only for errors that `isPassing` accepts. Other errors fail immediately. */
export const untilItPasses = <A, E, Passing extends E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  isPassing: (error: E) => error is Passing,
  wait_ms: (failures: number) => number,
): Effect.Effect<A, Exclude<E, Passing>, R> => {
  const isOther = (error: E): error is Exclude<E, Passing> => !isPassing(error)
  return untilItWorks(
    what,
    Effect.map(effect, (value) => Result.succeed(value)).pipe(
      Effect.catchIf(isOther, (error) => Effect.succeed(Result.fail(error))),
    ),
    wait_ms,
  ).pipe(Effect.flatMap((result) => Effect.fromResult(result)))
}

/**
 * A log of what fails and works again. Each outage is logged as it begins, once in `outage_again_ms` while it lasts,
 * and as it ends.
 */
export const makeFailureLog = (limits: OutageLimits): FailureLog => {
  const outages = new Map<string, Outage>()
  const of = (what: string): Outage => {
    const known = outages.get(what)
    if (known !== undefined) return known
    const outage = new Outage(what, limits)
    outages.set(what, outage)
    return outage
  }
  return {
    failed: (what, error) => Effect.suspend(() => of(what).failed(error)),
    reporter: (what) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => new Attempt(of(what))),
          (attempt) => attempt.gaveUp,
        ),
        (attempt): FailureReporter => attempt,
      ),
  }
}

class Outage {
  readonly #what: string
  readonly #limits: OutageLimits
  /** For how many it does not work. */
  attempts = 0
  #failures = 0
  #since_ms = 0
  #last_ms = -Infinity
  #told_ms = -Infinity
  #isTold = false

  constructor(what: string, limits: OutageLimits) {
    this.#what = what
    this.#limits = limits
  }

  failed(error: unknown): Effect.Effect<void> {
    return Effect.flatMap(Clock.currentTimeMillis, (now_ms) => {
      const { outage_again_ms, outage_quiet_ms } = this.#limits
      if (this.attempts === 0 && now_ms - this.#last_ms >= outage_again_ms) this.#end()
      if (this.#failures++ === 0) this.#since_ms = now_ms
      this.#last_ms = now_ms
      const each = Effect.logDebug(this.#what, error)
      if (now_ms - this.#told_ms < (this.#isTold ? outage_again_ms : outage_quiet_ms)) return each
      const line = this.#isTold ? `${this.#what} still fails, ${this.#sofar(now_ms)}` : `${this.#what} fails`
      this.#told_ms = now_ms
      this.#isTold = true
      return Effect.andThen(each, tell(Effect.logWarning(`${line}: ${reasonOf(error)}`), codeOf(error)))
    })
  }

  /** For one of them it does now, or is not tried any more. */
  left(how: string): Effect.Effect<void> {
    return Effect.flatMap(Clock.currentTimeMillis, (now_ms) => {
      if (--this.attempts > 0) return Effect.void
      const line = `${this.#what} ${how}, ${this.#sofar(now_ms)}`
      const isTold = this.#isTold
      this.#end()
      if (!isTold) return Effect.void
      this.#told_ms = now_ms
      return tell(Effect.logInfo(line))
    })
  }

  #sofar(now_ms: number): string {
    const failures = this.#failures === 1 ? "1 failure" : `${this.#failures} failures`
    return `after ${((now_ms - this.#since_ms) / 1000).toFixed(1)} s and ${failures}`
  }

  #end(): void {
    this.#failures = 0
    this.#isTold = false
  }
}

class Attempt implements FailureReporter {
  readonly #outage: Outage
  #isFailing = false

  constructor(outage: Outage) {
    this.#outage = outage
  }

  failed(error: unknown): Effect.Effect<void> {
    return Effect.suspend(() => {
      const failed = this.#outage.failed(error)
      if (this.#isFailing) return failed
      this.#isFailing = true
      this.#outage.attempts++
      return failed
    })
  }

  readonly worked: Effect.Effect<void> = Effect.suspend(() => this.#leave("works again"))

  readonly gaveUp: Effect.Effect<void> = Effect.suspend(() => this.#leave("is not tried any more"))

  #leave(how: string): Effect.Effect<void> {
    if (!this.#isFailing) return Effect.void
    this.#isFailing = false
    return this.#outage.left(how)
  }
}

/** The line is of all who fail together: the partition of the one who happens to be first says nothing. */
const tell = (line: Effect.Effect<void>, code?: string): Effect.Effect<void> =>
  Effect.flatMap(References.CurrentLogAnnotations, ({ partition: _partition, ...annotations }) =>
    Effect.provideService(
      line,
      References.CurrentLogAnnotations,
      code === undefined ? annotations : { ...annotations, code },
    ),
  )

/** The error's code, which is its row in docs/errors.md. */
const codeOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string" ? error.code : undefined

/** What an error says in one line: its own words, or else those of what caused it. */
export const reasonOf = (error: unknown): string => {
  let found: unknown = error
  for (let depth = 0; depth < 8; depth++) {
    if (!(found instanceof Error) || found.message !== "" || found.cause === undefined) break
    found = found.cause
  }
  const words = found instanceof Error ? found.message || found.name : String(found)
  return words.replaceAll(/\s+/g, " ").slice(0, reason_chars)
}

const reason_chars = 500
