/**
 * The attempts of a handler: by its schedule it begins again after a typed failure, unless that is final. The first
 * attempt has begun already. How often a handler begins again is counted by its name, which is one of those declared.
 */
import { Effect, Metric, type Schedule } from "effect"

const retries = Metric.counter("nimbus_handler_retries_total", {
  description: "Times a handler began again after a failure",
  incremental: true,
})

export const retrying = <A, E, R>(
  name: string,
  first: Effect.Effect<A, E, R>,
  begin: (attempt: number) => Effect.Effect<A, E, R>,
  schedule: Schedule.Schedule<unknown, E, never, R>,
  isFinal: (failure: E) => boolean = () => false,
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let attempts = 0
    const attempt = Effect.suspend(() =>
      ++attempts === 1
        ? first
        : Effect.andThen(
            Metric.update(named(name), 1),
            Effect.suspend(() => begin(attempts)),
          ),
    )
    return Effect.retry(attempt, { schedule, while: (failure) => !isFinal(failure) })
  })

const named = (handler: string) => Metric.withAttributes(retries, { handler })
