/**
 * An effect that may take so long, and an answer in its place where it takes longer.
 *
 * Made for effects that mostly finish without waiting: one that finishes at once costs a fiber (0.3 µs) and no timer.
 * One that is late is interrupted, and what cannot be interrupted is waited for: the answer comes when it has ended.
 */
import { type Context, Effect, Exit, Fiber } from "effect"

export interface WithinOptions<A, R> {
  readonly timeout_ms: number
  /** Answers for the one that was interrupted. */
  readonly onTimeout: Effect.Effect<A, never, R>
}

export const within = <A, R>(
  work: Effect.Effect<A, never, R>,
  { onTimeout, timeout_ms }: WithinOptions<A, R>,
): Effect.Effect<A, never, R> =>
  Effect.contextWith((context: Context.Context<R>) => {
    const fork = Effect.runForkWith(context)
    // It starts in here: in the step that also says how it is interrupted, so that it never runs on alone.
    return Effect.callback<A>((resume) => {
      const fiber = fork(work)
      const exit = fiber.pollUnsafe()
      return exit === undefined ? awaited(fiber, fork, timeout_ms, onTimeout, resume) : resume(exit)
    })
  })

/** Returns how to interrupt it. */
const awaited = <A, R>(
  fiber: Fiber.Fiber<A>,
  fork: (effect: Effect.Effect<void, never, R>) => Fiber.Fiber<void>,
  timeout_ms: number,
  onTimeout: Effect.Effect<A, never, R>,
  resume: (exit: Exit.Exit<A>) => void,
): Effect.Effect<void> => {
  let late: Exit.Exit<A> | undefined
  const timer = fork(
    Effect.map(Effect.andThen(Effect.sleep(timeout_ms), onTimeout), (answer) => {
      late = Exit.succeed(answer)
      fiber.interruptUnsafe()
    }),
  )
  fiber.addObserver((exit) => {
    timer.interruptUnsafe()
    resume(late !== undefined && Exit.isFailure(exit) ? late : exit)
  })
  return Fiber.interruptAll([fiber, timer])
}
