/**
 * SIGTERM and SIGINT start a drain, after which the process exits with 0. A drain that takes longer than the shutdown
 * timeout is cut short, with a line on stderr and exit code 1.
 *
 * The signal interrupts the main fiber (`NodeRuntime.runMain`). This module handles what follows.
 */
import { Config, Console, Effect, Latch, Layer, Runtime, Schema } from "effect"

/** How long a drain may take, in seconds. */
export const config = Config.schema(
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 86_400 })),
  "NIMBUS_SHUTDOWN_TIMEOUT_SEC",
).pipe(Config.withDefault(20))

/** Must be provided to all layers that drain. */
export const layerWith = (timeout_sec: number) => Layer.effectDiscard(watch(timeout_sec))

/** The same, with the timeout of `NIMBUS_SHUTDOWN_TIMEOUT_SEC`. */
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
  // The scope ends this fiber if the drain ends in time.
  yield* signalled.await.pipe(
    Effect.andThen(Effect.sleep(timeout_sec * 1000)),
    Effect.andThen(Console.error(`nimbus: the drain took longer than ${timeout_sec} s and was cut short`)),
    Effect.andThen(Effect.sync(() => process.exit(1))),
    Effect.forkScoped,
  )
})

/** The exit code of an interrupted process is the one that was set during the drain, as by `layer`, or else 130. */
export const teardown: Runtime.Teardown = (exit, onExit) =>
  Runtime.defaultTeardown(exit, (code) => onExit(code === 130 ? Number(process.exitCode ?? 130) : code))
