/**
 * Reports why a command failed: one line says what is wrong and what to do about it.
 *
 * Expected errors have a message and a code, which is their row in docs/errors.md. Any other error is a bug, and is
 * shown with its whole cause.
 */
import { writeSync } from "node:fs"
import { Cause, Config, ConfigProvider, Console, Effect, PlatformError, Predicate, Runtime, SchemaIssue } from "effect"
import { HttpServerError } from "effect/http"

/**
 * Reports a failure on stderr, with the settings that the command was given. An interruption is none, and a message of the
 * command-line parser is not repeated.
 */
export const report = <A, E, R>(command: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapCause(command, (cause) => {
    if (Cause.hasInterruptsOnly(cause) || !Runtime.getErrorReported(Cause.squash(cause))) return Effect.void
    return Effect.flatMap(valuesOf(cause), (values) => Console.error(`nimbus: ${lineOf(cause, values)}`))
  })

/**
 * What is thrown where nobody can catch it, as in a timer of a handler's library, ends the process at once, as a crash does.
 * An orderly exit waits for threads of LMDB, which may wait for this thread: the process would be dead, and never end.
 */
const crash = (error: unknown): void => {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  writeSync(2, `nimbus: an error that nobody has caught ends the process\n${text}\n`)
  process.kill(process.pid, "SIGKILL")
}

/** While it runs, the process crashes of what nobody has caught. */
export const crashing = <A, E, R>(command: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => process.on("uncaughtException", crash)),
    () => command,
    () => Effect.sync(() => process.off("uncaughtException", crash)),
  )

/** The values that settings were given, by name. */
type Values = ReadonlyMap<string, string>

/** Of the settings that a failure is about. */
const valuesOf = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  const provider = yield* ConfigProvider.ConfigProvider
  const values = new Map<string, string>()
  for (const { path = [] } of faultsOf(Cause.squash(cause))) {
    const node = yield* Effect.orElseSucceed(provider.load(path.map(String)), () => undefined)
    if (node?._tag === "Value") values.set(path.join("_"), node.value)
  }
  return values
})

/** The line for a failure. `values`: what the settings were given that it is about. */
export const lineOf = (cause: Cause.Cause<unknown>, values: Values = new Map()): string => {
  const error = Cause.squash(cause)
  const line = Cause.hasDies(cause) ? undefined : expected(error, values)
  return line?.replaceAll(/\s*\n\s*/g, " ") ?? `a fault of Nimbus, please report it\n${Cause.pretty(cause)}`
}

const expected = (error: unknown, values: Values): string | undefined => {
  if (error instanceof Config.ConfigError) return ofSetting(error, values)
  if (error instanceof HttpServerError.ServeError) return ofPort(error.cause)
  if (error instanceof PlatformError.PlatformError) return error.message
  if (error instanceof Error && Predicate.hasProperty(error, "code")) {
    return `${wordsOf(error)} (${String(error.code)}, see docs/errors.md)`
  }
  return undefined
}

/** The message of the error, or else that of its cause. */
const wordsOf = (error: Error): string => {
  if (error.message !== "") return error.message
  return error.cause instanceof Error ? `${error.name}: ${wordsOf(error.cause)}` : error.name
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** What is wrong with which settings, if that is the error. */
const faultsOf = (error: unknown) =>
  error instanceof Config.ConfigError && error.cause._tag !== "SourceError" ? issuesOf(error.cause.issue).issues : []

const ofSetting = (error: Config.ConfigError, values: Values): string => {
  if (error.cause._tag === "SourceError") return `the settings can't be read: ${error.message}`
  return faultsOf(error)
    .map(({ message, path = [] }) => {
      const wanted = message.replace("a string representing a finite number", "a number")
      const name = path.join("_")
      return `${name}${shown(name, values.get(name))}: ${wanted.charAt(0).toLowerCase()}${wanted.slice(1)}`
    })
    .join("; ")
}

/** Of a value as much is shown as one finds it by. */
const shown_chars = 60

/** What a setting was given, unless there may be a secret in it: before an `@` stands the password of an address. */
const shown = (name: string, value: string | undefined): string => {
  if (value === undefined || /(PASSWORD|SECRET|TOKENS?|KEY|URL)$/.test(name) || value.includes("@")) return ""
  return `=${value.length > shown_chars ? `${value.slice(0, shown_chars)}…` : value}`
}

/** The error of Node when it can't listen. */
const ofPort = (cause: unknown): string => {
  const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
  const port = Predicate.hasProperty(cause, "port") ? ` ${String(cause.port)}` : ""
  const reason = cause instanceof Error ? cause.message : String(cause)
  if (code === "EADDRINUSE")
    return `NIMBUS_HTTP_PORT: port${port} is taken; stop what listens there, or set another port`
  if (code === "EACCES") return `NIMBUS_HTTP_PORT: port${port} is not for you; set one above 1023`
  return `NIMBUS_HOST: ${reason}; set an address of this machine`
}
