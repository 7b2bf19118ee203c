/** Where settings come from: the environment, or else a file `.env` in the directory where the command is run. */
import { ConfigProvider, Effect, Layer } from "effect"

const fromDotEnv = ConfigProvider.fromDotEnv().pipe(
  Effect.catchIf(
    (error) => error.reason._tag === "NotFound",
    () => Effect.succeed(ConfigProvider.fromUnknown({})),
  ),
)

/** The environment wins over `.env`; without a `.env` there is only the environment. */
export const layer = Layer.suspend(() =>
  ConfigProvider.layer(Effect.map(fromDotEnv, (file) => ConfigProvider.orElse(ConfigProvider.fromEnv(), file))),
)
