/**
 * The log of a process, on stdout: one line for each entry, as `name=value` or as JSON, from a level on. Lines about a
 * client are annotated with `clientId`, and with its `epoch` or a `seq` if there is one.
 */
import { Config, Effect, Layer, Logger, References } from "effect"

const levels = { debug: "Debug", info: "Info", warn: "Warn", error: "Error", none: "None" } as const

const formats = { logfmt: Logger.consoleLogFmt, json: Logger.consoleJson } as const

/** `NIMBUS_LOG_FORMAT` and `NIMBUS_LOG_LEVEL`. */
export const config = Config.all({
  format: Config.Literals(["logfmt", "json"], "NIMBUS_LOG_FORMAT").pipe(Config.withDefault("logfmt")),
  /** Entries below this level are not written. */
  level: Config.Literals(["debug", "info", "warn", "error", "none"], "NIMBUS_LOG_LEVEL").pipe(
    Config.withDefault("info"),
  ),
})

/** Logs in this format, from this level on. */
export const layerWith = ({ format, level }: Config.Success<typeof config>) =>
  Layer.merge(Logger.layer([formats[format]]), Layer.succeed(References.MinimumLogLevel, levels[level]))

/** As `NIMBUS_LOG_FORMAT` and `NIMBUS_LOG_LEVEL` say. */
export const layer = Layer.unwrap(Effect.map(config, layerWith))
