/** A client's status: by its word and its shape, and then by colour. */
import type { Status } from "@nimbus/domain"

const shapes = { LIVE: "●", REPLAYING: "◐", OFFLINE: "○" }

export const StatusBadge = ({ status }: { readonly status: Status.StatusName }) => (
  <span class={`status status-${status.toLowerCase()}`}>
    <span aria-hidden="true">{shapes[status]}</span> {status}
  </span>
)
