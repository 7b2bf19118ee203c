/**
 * Time for code that is called back by sockets: what runs later, by Effect's `Clock`, so that a test moves it.
 *
 * A fiber for each timer of each socket would cost more than what the timers are for. So those that are due in the same
 * millisecond share one fiber, and those that are due in more than a second in the same tenth of a second.
 *
 * Two deadlines stay with Node, for they follow each byte that the kernel takes, which nothing else sees: the one of a
 * TCP socket (`BoundedWebSockets.ts`) and the one of an HTTP answer (`Turns.ts`). So does `setImmediate`, which gives way
 * to the event loop, and takes no time.
 */
import { Elapsed } from "@nimbus/domain/observability"
import { Clock, Context, Effect, FiberSet, Layer } from "effect"

export interface Timer {
  /** It is not called any more. */
  cancel(): void
  /** Its time begins again. */
  refresh(): void
}

const fine_ms = 1
const coarse_ms = 100
/** From here on a timer may be late by `coarse_ms`. */
const coarse_from_ms = 1_000

/** The timers of a gateway. They end with it, and are as many as its callers let be: one or two for each connection. */
export class Timers extends Context.Service<
  Timers,
  {
    /** Calls `act` once, `ms` from now. */
    after(ms: number, act: () => void): Timer
  }
>()("@nimbus/gateway/Timers") {
  static readonly layer = Layer.effect(
    Timers,
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const run = yield* FiberSet.makeRuntime<never>()
      const elapsed_ms = () => Elapsed.msUnsafe(clock)
      const buckets = new Map<number, Set<() => void>>()

      const call = (act: () => void) =>
        Effect.catchCause(Effect.sync(act), (cause) => Effect.logError("a timer failed", cause))
      const bucketAt = (due_ms: number, now_ms: number): Set<() => void> => {
        const known = buckets.get(due_ms)
        if (known !== undefined) return known
        const bucket = new Set<() => void>()
        buckets.set(due_ms, bucket)
        const fire = Effect.suspend(() => {
          buckets.delete(due_ms)
          return Effect.forEach(bucket, call, { discard: true })
        })
        run(Effect.andThen(Effect.sleep(due_ms - now_ms), fire))
        return bucket
      }
      return {
        after: (ms, act) => {
          let bucket: Set<() => void>
          // One that is set twice is two.
          const own = () => act()
          const begin = () => {
            const now_ms = elapsed_ms()
            const step_ms = ms < coarse_from_ms ? fine_ms : coarse_ms
            bucket = bucketAt(Math.ceil((now_ms + ms) / step_ms) * step_ms, now_ms)
            bucket.add(own)
          }
          const cancel = () => void bucket.delete(own)
          begin()
          return {
            cancel,
            refresh: () => {
              cancel()
              begin()
            },
          }
        },
      }
    }),
  )
}
