/** A client's status: by its word and its shape, and then by colour. */
import type { Status } from "@nimbus/domain/protocol"

export const StatusBadge = ({ status }: { readonly status: Status.StatusName }) => (
  <span class={`status status-${status.toLowerCase()}`}>
    <svg viewBox="0 0 12 12" width="11" height="11" aria-hidden="true">
      <circle cx="6" cy="6" r="4.5" />
      {status === "REPLAYING" && <path d="M6,1.5 A4.5,4.5 0 0 1 6,10.5 z" />}
    </svg>
    {status}
  </span>
)
