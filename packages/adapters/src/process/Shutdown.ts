/**
 * SIGTERM and SIGINT drain, and then the process ends with 0; a drain that takes longer than the shutdown timeout is cut
 * short, says so, and ends with 1.
 *
 * The signal itself interrupts the main fiber (`NodeRuntime.runMain`); this watches over what follows.
 */
import { Config, Console, Effect, Latch, Layer, Runtime, Schema } from "effect"

/** How long a drain may take, in seconds. */
export const config = Config.schema(
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 86_400 })),
  "NIMBUS_SHUTDOWN_TIMEOUT_SEC",
).pipe(Config.withDefault(20))

/** To stand below all that drains. */
export const layerWith = (timeout_sec: number) => Layer.effectDiscard(watch(timeout_sec))

/** The same, as `NIMBUS_SHUTDOWN_TIMEOUT_SEC` says. */
export const layer = Layer.unwrap(Effect.map(config, layerWith))

const watch = Effect.fnUntraced(function* (timeout_sec: number) {
  const signalled = Latch.makeUnsafe()
  let hasSignal = false
  const onSignal = (signal: NodeJS.Signals): void => {
    if (hasSignal) return
    hasSignal = true
    console.error(`nimbus: ${signal}, leaving; this takes ${timeout_sec} s at most`)
    signalled.openUnsafe()
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      process.on("SIGTERM", onSignal)
      process.on("SIGINT", onSignal)
    }),
    () =>
      Effect.suspend(() => {
        process.off("SIGTERM", onSignal)
        process.off("SIGINT", onSignal)
        if (!hasSignal) return Effect.void
        process.exitCode = 0
        return Console.error("nimbus: stopped")
      }),
  )
  // Ends with the scope: a drain that is over in time.
  yield* signalled.await.pipe(
    Effect.andThen(Effect.sleep(timeout_sec * 1000)),
    Effect.andThen(Console.error(`nimbus: the drain took longer than ${timeout_sec} s and was cut short`)),
    Effect.andThen(Effect.sync(() => process.exit(1))),
    Effect.forkScoped,
  )
})

/** The code of a process that was interrupted is what whoever was interrupted has set, as `layer` does, or else 130. */
export const teardown: Runtime.Teardown = (exit, onExit) =>
  Runtime.defaultTeardown(exit, (code) => onExit(code === 130 ? Number(process.exitCode ?? 130) : code))
