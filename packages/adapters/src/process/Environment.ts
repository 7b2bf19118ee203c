/**
 * Where settings come from: the environment, or else files in the directory where the command is run. `.env.local` has
 * what its user sets and wins over `.env`, which may be committed for all.
 */
import { ConfigProvider, Effect, Layer } from "effect"

/** Without the file it has no settings. */
const fromFile = (path: string) =>
  ConfigProvider.fromDotEnv({ path }).pipe(
    Effect.catchIf(
      (error) => error.reason._tag === "NotFound",
      () => Effect.succeed(ConfigProvider.fromUnknown({})),
    ),
  )

const provider = Effect.gen(function* () {
  const files = ConfigProvider.orElse(yield* fromFile(".env.local"), yield* fromFile(".env"))
  return ConfigProvider.orElse(ConfigProvider.fromEnv(), files)
})

export const layer = Layer.suspend(() => ConfigProvider.layer(provider))
