/** What the admin API answered, once it has; or that it has not yet, or why it does not. */
import type { Effect, Result } from "effect"
import type { ComponentChildren } from "preact"
import { useEffect, useState } from "preact/hooks"
import { type Admin, ask } from "../api/Admin.ts"
import { token } from "../api/token.ts"

type Question<A, E> = (admin: Admin["Service"]) => Effect.Effect<A, E>

/** Asks when the view is opened, when the token changes, and each time `again` does. */
export const useAnswer = <A, E extends { readonly _tag: string; readonly message: string }>(
  question: Question<A, E>,
  again: unknown = 0,
): Result.Result<A, string> | undefined => {
  const [answer, setAnswer] = useState<Result.Result<A, string>>()
  const key = token.value
  useEffect(() => {
    let isWanted = true
    const take = async () => {
      const answer = await ask(question)
      if (isWanted) setAnswer(answer)
    }
    void take()
    return () => {
      isWanted = false
    }
    // The question of a view is the same for as long as the view is: views are keyed by what they ask for.
  }, [key, again])
  return answer
}

interface AnswerProps<A> {
  readonly answer: Result.Result<A, string> | undefined
  readonly children: (value: A) => ComponentChildren
}

export const Answer = <A,>({ answer, children }: AnswerProps<A>) => {
  if (answer === undefined) return <p class="quiet">Asking …</p>
  if (answer._tag === "Failure") {
    return (
      <section class="panel">
        <p role="alert">{answer.failure}</p>
        <p>
          <a href="/">To the overview</a>
        </p>
      </section>
    )
  }
  return <>{children(answer.success)}</>
}
