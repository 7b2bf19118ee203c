/** Clients by status, with a search: those that replay first. */
import { useEffect } from "preact/hooks"
import type { ClientRow } from "@nimbus/domain/admin"
import { count, many } from "../format.ts"
import { clientPath } from "../router.ts"
import { announce } from "../state/announce.ts"
import { filter, snapshot, replays } from "../state/live.ts"
import { ClientFilter } from "./ClientFilter.tsx"
import { Panel } from "./Panel.tsx"
import { PodName } from "./PodName.tsx"
import { ReplayBar } from "./ReplayBar.tsx"
import { StatusBadge } from "./StatusBadge.tsx"
import { Table } from "./Table.tsx"

export const Clients = () => {
  const shown = snapshot.value
  const rows = shown?.rows ?? []
  const found = `${shown?.rowsMore === true ? "more than " : ""}${many(rows.length, "client")}`
  const { search, status } = filter.value
  useEffect(() => {
    if (search !== "" || status !== undefined) announce(`${found} found`)
  }, [found, search, status])
  return (
    <Panel id="clients" title="Clients" aside={<ClientFilter clients={shown?.clients} />}>
      {rows.length === 0 ? (
        <p class="quiet">{nobody(shown === undefined, search !== "" || status !== undefined)}</p>
      ) : (
        <Table label="List of clients" headings={["client", "status", "mail", "gateway"]}>
          {rows.map((row) => (
            <Row key={row.clientId} row={row} />
          ))}
        </Table>
      )}
      {shown?.rowsMore === true && <p class="quiet">There are more: search for one by a part of its id.</p>}
    </Panel>
  )
}

const nobody = (isEarly: boolean, isFiltered: boolean): string => {
  if (isEarly) return "Waiting for the first snapshot …"
  return isFiltered ? "No client like that." : "No client has come yet. Start some with “Try it”."
}

const Row = ({ row }: { readonly row: ClientRow }) => {
  const replay = replays.value.get(row.clientId)
  return (
    <tr>
      <th scope="row">
        <a href={clientPath(row.clientId)}>{row.clientId}</a>
      </th>
      <td>
        <StatusBadge status={row.status} />
      </td>
      <td>
        {row.status === "REPLAYING" && replay !== undefined ? (
          <ReplayBar clientId={row.clientId} replay={replay} />
        ) : (
          mail(row)
        )}
      </td>
      <td>
        <PodName pod={row.pod} />
      </td>
    </tr>
  )
}

const mail = ({ status, waiting }: ClientRow): string => {
  if (waiting === 0) return "none"
  return status === "OFFLINE" ? `${count(waiting)} waiting` : `${count(waiting)} on the way`
}
