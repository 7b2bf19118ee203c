/**
 * Where settings come from: the environment, or else files in the directory where the command is run. `.env.local` has
 * what its user sets and wins over `.env`, which may be committed for all.
 *
 * A name that begins with `NIMBUS_` and is no setting is told in one line on stderr, with the nearest name that is one;
 * the process goes on.
 */
import { ConfigProvider, Console, Effect, FileSystem, Layer } from "effect"
import { unknownSettings, withoutInjected } from "./UnknownSettings.ts"

/** The text of a file of settings; without the file there is none. */
const textOf = Effect.fnUntraced(function* (path: string) {
  const files = yield* FileSystem.FileSystem
  return yield* Effect.catchIf(
    files.readFileString(path),
    (error) => error.reason._tag === "NotFound",
    () => Effect.succeed(""),
  )
})

const namesIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^\s*(?:export\s+)?(\w+)\s*=/gm)].map((match) => match[1]!)

const provider = Effect.gen(function* () {
  const env = withoutInjected(process.env)
  const texts = [yield* textOf(".env.local"), yield* textOf(".env")]
  for (const { name, nearest } of unknownSettings([...Object.keys(env), ...texts.flatMap(namesIn)])) {
    yield* Console.error(`nimbus: ${name} is no setting and is ignored; the nearest is ${nearest}`)
  }
  const providers = texts.map((text) => ConfigProvider.fromDotEnvContents(text))
  return providers.reduce(ConfigProvider.orElse, ConfigProvider.fromEnv({ env }))
})

/** Reads settings from the environment of this process, then from `.env.local` and `.env`. */
export const layer = Layer.suspend(() => ConfigProvider.layer(provider))
