/** Closes the client's connection; a client of the SDK comes back automatically. */
import type { ClientId } from "@nimbus/domain/protocol"
import { Result } from "effect"
import { useState } from "preact/hooks"
import { ask } from "../api/Admin.ts"

interface KickButtonProps {
  readonly clientId: ClientId
  readonly onKicked: () => void
}

export const KickButton = ({ clientId, onKicked }: KickButtonProps) => {
  const [told, setTold] = useState("")
  const kick = async () => {
    const answer = await ask((admin) => admin.kick({ params: { clientId } }))
    setTold(
      Result.isFailure(answer)
        ? answer.failure
        : answer.success.received
          ? "Its connection was closed."
          : "Nobody listens at its gateway: it is not connected.",
    )
    onKicked()
  }
  return (
    <>
      <button type="button" onClick={kick}>
        Kick
      </button>
      <span role="status">{told}</span>
    </>
  )
}
