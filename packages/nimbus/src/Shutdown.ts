/** SIGTERM and SIGINT drain; a drain that takes longer than the shutdown timeout is cut short, and says so. */
import { Config, Console, Duration, Effect, Layer } from "effect"

const timeout = Config.Int("NIMBUS_SHUTDOWN_TIMEOUT_SEC").pipe(Config.withDefault(20))

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const timeout_sec = yield* timeout
    const onSignal = (): void => {
      setTimeout(
        () => {
          console.error(`nimbus: the drain took longer than ${timeout_sec} s and was cut short`)
          process.exit(1)
        },
        Duration.toMillis(Duration.seconds(timeout_sec)),
      ).unref()
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        process.once("SIGTERM", onSignal)
        process.once("SIGINT", onSignal)
      }),
      () => Console.error("nimbus: stopped"),
    )
  }),
)
