/** A JSON text from outside that may be written again: nested within bounds, and with numbers that come back as they were. */
import { Result } from "effect"
import { inexactNumber } from "./ExactNumbers.ts"
import { parseJsonText } from "./JsonText.ts"
import { isNestedTooDeeply, nestingMessage } from "./Nesting.ts"

/** What is wrong with a text, in a sentence. */
export interface JsonFault {
  readonly fault: "syntax" | "nesting" | "number"
  readonly message: string
}

/** The value of the text. */
export const parseExactJson = (text: string): Result.Result<unknown, JsonFault> => {
  const parsed = parseJsonText(text)
  if (Result.isFailure(parsed)) return Result.fail({ fault: "syntax", message: parsed.failure })
  if (isNestedTooDeeply(parsed.success, text.length)) return Result.fail({ fault: "nesting", message: nestingMessage })
  const inexact = inexactNumber(text)
  return inexact === undefined ? Result.succeed(parsed.success) : Result.fail({ fault: "number", message: inexact })
}
