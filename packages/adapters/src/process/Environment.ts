/**
 * Reads settings from the environment, and otherwise from files in the directory where the command is run. `.env.local`
 * has the settings of one user, and takes precedence over `.env`, which may be committed for all.
 *
 * A name that begins with `NIMBUS_` and is not a setting is reported in one line on stderr, with the nearest setting,
 * and is ignored.
 */
import { ConfigProvider, Console, Effect, FileSystem, Layer } from "effect"
import { report } from "./Failure.ts"
import { unknownSettings, withoutInjected } from "./UnknownSettings.ts"

/** The text of a file of settings; empty if there is no such file. */
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

/**
 * Reads settings from the environment of this process, then from `.env.local` and `.env`. Reports why it can't: there are no
 * settings then for whoever else would.
 */
export const layer = Layer.suspend(() => ConfigProvider.layer(report(provider)))
