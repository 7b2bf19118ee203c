/**
 * Reports why a command failed: one line says what is wrong and what to do about it.
 *
 * Expected errors have a message and a code, which is their row in docs/errors.md. Any other error is a bug, and is
 * shown with its whole cause.
 */
import { Cause, Config, Console, Effect, PlatformError, Predicate, Runtime, SchemaIssue } from "effect"
import { HttpServerError } from "effect/http"

/** Reports a failure on stderr. An interruption is none, and a message of the command-line parser is not repeated. */
export const report = <A, E, R>(command: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapCause(command, (cause) => {
    if (Cause.hasInterruptsOnly(cause) || !Runtime.getErrorReported(Cause.squash(cause))) return Effect.void
    return Console.error(`nimbus: ${lineOf(cause)}`)
  })

/** The line for a failure. */
export const lineOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  const line = Cause.hasDies(cause) ? undefined : expected(error)
  return line?.replaceAll(/\s*\n\s*/g, " ") ?? `a fault of Nimbus, please report it\n${Cause.pretty(cause)}`
}

const expected = (error: unknown): string | undefined => {
  if (error instanceof Config.ConfigError) return ofSetting(error)
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

const ofSetting = ({ cause, message }: Config.ConfigError): string => {
  if (cause._tag === "SourceError") return `the settings can't be read: ${message}`
  return issuesOf(cause.issue)
    .issues.map(({ message, path = [] }) => {
      const wanted = message.replace("a string representing a finite number", "a number")
      return `${path.join("_")}: ${wanted.charAt(0).toLowerCase()}${wanted.slice(1)}`
    })
    .join("; ")
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
