/** Cancels a task. Its end comes through the log: the row stays until then. */
import type { TaskRow } from "@nimbus/domain/admin"
import { Result } from "effect"
import { useState } from "preact/hooks"
import { ask } from "../api/Admin.ts"
import { announce } from "../state/announce.ts"

export const CancelButton = ({ task: { clientId, id, name } }: { readonly task: TaskRow }) => {
  const [isAsked, setAsked] = useState(false)
  const [fault, setFault] = useState<string>()
  const cancel = async () => {
    setAsked(true)
    const answer = await ask((admin) => admin.cancel({ params: { clientId }, payload: { id } }))
    if (Result.isSuccess(answer)) return announce(`The task ${id} of ${clientId} is being cancelled`)
    setFault(answer.failure)
    setAsked(false)
  }
  return (
    <>
      <button type="button" disabled={isAsked} aria-label={`Cancel ${name} of ${clientId}, ${id}`} onClick={cancel}>
        Cancel
      </button>
      {fault !== undefined && <span role="alert">{fault}</span>}
    </>
  )
}
