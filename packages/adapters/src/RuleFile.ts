/** The file with the rules: read at the start, when it must be right, and again while it may change. */
import { readFile } from "node:fs/promises"
import { failureReporter } from "@nimbus/domain/services"
import { Effect, Result, type Scope } from "effect"
import { noRules, parse, type RuleFile } from "./AccessRules.ts"
import { LocksBad } from "./Errors.ts"

const setting = "NIMBUS_AUTH_RULES"

interface Read {
  readonly text: string
  readonly rules: RuleFile
}

/** What stands in the file now; `before` where that is the same. */
const read = (path: string, before?: Read): Effect.Effect<Read, LocksBad> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: () => new LocksBad({ setting, reason: `the file ${path} can't be read` }),
  }).pipe(
    Effect.flatMap((text) => {
      if (text === before?.text) return Effect.succeed(before)
      const rules = parse(text)
      return Result.isSuccess(rules)
        ? Effect.succeed({ text, rules: rules.success })
        : Effect.fail(new LocksBad({ setting, reason: `${path}: ${rules.failure}` }))
    }),
  )

/** The rules as they are now: another object only where the file is another. One that has become wrong changes nothing, and is logged. */
export const watched = Effect.fnUntraced(function* (
  path: string | undefined,
  every_ms: number,
): Effect.fn.Return<() => RuleFile, LocksBad, Scope.Scope> {
  if (path === undefined) return () => noRules
  let current = yield* read(path)
  const reporter = yield* failureReporter(`reading ${setting}`)
  yield* Effect.suspend(() => read(path, current)).pipe(
    Effect.tap((next) => Effect.sync(() => (current = next))),
    Effect.andThen(reporter.worked),
    Effect.catch((error) => reporter.failed(error)),
    Effect.delay(every_ms),
    Effect.forever,
    Effect.forkScoped,
  )
  return () => current.rules
})
