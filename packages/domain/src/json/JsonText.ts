/**
 * What a text of JSON says, or in a sentence why it says nothing. An error that nobody throws on needs no stack, and
 * taking one costs five times as much as the rest of a refusal: what is refused would cost more than what is taken.
 */
import { Result } from "effect"

/** V8's; elsewhere nobody looks at it. */
const errors: ErrorConstructor & { stackTraceLimit?: number } = Error

/** The value of a JSON text, or a sentence that says what is wrong with it. */
export const parseJsonText = (text: string): Result.Result<unknown, string> => {
  const { stackTraceLimit = 10 } = errors
  errors.stackTraceLimit = 0
  try {
    return Result.succeed(JSON.parse(text))
  } catch (error) {
    return Result.fail(error instanceof Error ? error.message : String(error))
  } finally {
    errors.stackTraceLimit = stackTraceLimit
  }
}
