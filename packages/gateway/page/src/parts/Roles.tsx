/** The consumers of the pipeline that this process runs: each can be killed where it stands, and started again. */
import { Result } from "effect"
import { useState } from "preact/hooks"
import type { RoleView } from "@nimbus/domain/admin"
import { ask } from "../api/Admin.ts"
import { announce } from "../state/announce.ts"
import { snapshot } from "../state/live.ts"
import { Panel } from "./Panel.tsx"

export const Roles = () => {
  const roles = snapshot.value?.roles ?? []
  if (roles.length === 0) return null
  return (
    <Panel id="roles" title="Pipeline">
      <p class="quiet">Killed, a consumer stops where it stands, as in a crash. What it leaves waits in its topic.</p>
      <ul class="roles">
        {roles.map((role) => (
          <Role key={role.role} role={role} />
        ))}
      </ul>
    </Panel>
  )
}

const Role = ({ role: { isRunning, role } }: { readonly role: RoleView }) => {
  const [isBusy, setBusy] = useState(false)
  const [fault, setFault] = useState<string>()
  const change = async () => {
    setBusy(true)
    const answer = await ask((admin) => admin.setRole({ params: { role }, payload: { isRunning: !isRunning } }))
    setFault(Result.isFailure(answer) ? answer.failure : undefined)
    if (Result.isSuccess(answer)) announce(`${role} ${answer.success.isRunning ? "runs" : "is stopped"}`)
    setBusy(false)
  }
  return (
    <li>
      <span class="role-name">{role}</span>
      {isRunning ? <span>runs</span> : <span class="warning">stopped</span>}
      <button type="button" disabled={isBusy} aria-label={`${isRunning ? "Kill" : "Restart"} ${role}`} onClick={change}>
        {isRunning ? "Kill" : "Restart"}
      </button>
      {fault !== undefined && <span role="alert">{fault}</span>}
    </li>
  )
}
