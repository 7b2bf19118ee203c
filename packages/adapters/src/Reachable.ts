/**
 * Waits at the start for a service that may start later than this process: it retries until the service responds, with
 * exponential back-off. There is no last attempt, because the supervisor of the process decides how long to wait. The
 * log has a line when the wait begins, one every `outage_again_ms` while it lasts, and one when the service is
 * available. Each failure is logged at Debug.
 */
import { outageLimits } from "@nimbus/domain/limits"
import { Clock, Effect, Schedule } from "effect"
import { startLimits } from "./Limits.ts"

export interface Awaited {
  /** The name of the service: "Redis". */
  readonly name: string
  /** Its address. */
  readonly at: string
  /** What distinguishes two waits for the same service: " for subscriptions". */
  readonly purpose?: string
  /**
   * The name of the service in docker-compose.yml. The log then says how to start it if it should run on this machine.
   * Without this name the service is running, and the wait is for something else.
   */
  readonly service?: string
}

/** An error for which `isPassing` is false fails immediately. */
export const untilReachable = <A, E extends { readonly message: string }, R>(
  awaited: Awaited,
  attempt: Effect.Effect<A, E, R>,
  isPassing: (error: E) => boolean,
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const wait = new Wait(awaited)
    return attempt.pipe(
      Effect.tapError((error) => (isPassing(error) ? wait.failed(error.message) : Effect.void)),
      Effect.retry({ while: isPassing, schedule: backoff }),
      Effect.tap(() => wait.ended),
    )
  })

const backoff = Schedule.min([
  Schedule.exponential(startLimits.attempt_min_ms),
  Schedule.spaced(startLimits.attempt_max_ms),
])

const thisMachine = /(^|[/@,])(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:|$)/

/** The log lines of one wait. */
class Wait {
  readonly #what: string
  readonly #hint: string
  #since_ms: number | undefined
  #told_ms = 0

  constructor({ at, name, purpose = "", service }: Awaited) {
    this.#what = `${name} at ${at}${purpose}`
    this.#hint =
      service !== undefined && thisMachine.test(at) ? `; to start it here: docker compose up --detach ${service}` : ""
  }

  failed(reason: string): Effect.Effect<void> {
    return Effect.flatMap(Clock.currentTimeMillis, (now_ms) => {
      const isFirst = this.#since_ms === undefined
      this.#since_ms ??= now_ms
      if (!isFirst && now_ms - this.#told_ms < outageLimits.outage_again_ms) {
        return Effect.logDebug(`waiting for ${this.#what}: ${reason}`)
      }
      this.#told_ms = now_ms
      const after = isFirst ? "" : `, for ${seconds(now_ms - this.#since_ms)} now`
      return Effect.logWarning(`waiting for ${this.#what}${after}: ${reason}${this.#hint}`)
    })
  }

  readonly ended: Effect.Effect<void> = Effect.flatMap(Clock.currentTimeMillis, (now_ms) =>
    this.#since_ms === undefined
      ? Effect.void
      : Effect.logInfo(`${this.#what} is there, after ${seconds(now_ms - this.#since_ms)}`),
  )
}

const seconds = (time_ms: number): string => `${(time_ms / 1000).toFixed(1)} s`
