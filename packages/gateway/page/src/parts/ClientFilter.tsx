/** Which clients to show. */
import type { Status } from "@nimbus/domain/protocol"
import type { StatusView } from "@nimbus/domain/admin"
import { count } from "../format.ts"
import { filter } from "../state/live.ts"

const statuses = ["LIVE", "REPLAYING", "OFFLINE"] as const

export const ClientFilter = ({ clients }: { readonly clients: StatusView["clients"] | undefined }) => {
  const all = clients === undefined ? undefined : clients.LIVE + clients.REPLAYING + clients.OFFLINE
  return (
    <form class="filter" role="search" aria-label="Clients" onSubmit={(event) => event.preventDefault()}>
      <input
        type="search"
        aria-label="Search clients by id"
        placeholder="Search by id"
        maxLength={128}
        value={filter.value.search}
        onInput={(event) => (filter.value = { ...filter.value, search: event.currentTarget.value.trim() })}
      />
      <fieldset>
        <legend class="hidden">Status</legend>
        <Choice status={undefined} label="All" clients={all} />
        {statuses.map((status) => (
          <Choice key={status} status={status} label={status} clients={clients?.[status]} />
        ))}
      </fieldset>
    </form>
  )
}

interface ChoiceProps {
  readonly status: Status.StatusName | undefined
  readonly label: string
  readonly clients: number | undefined
}

const Choice = ({ clients, label, status }: ChoiceProps) => (
  <label>
    <input
      type="radio"
      name="status"
      checked={filter.value.status === status}
      onChange={() => (filter.value = { ...filter.value, status })}
    />
    <span>
      {label} {clients !== undefined && <b>{count(clients)}</b>}
    </span>
  </label>
)
