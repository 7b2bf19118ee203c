/** Every sample client, with its own switch. */
import { count } from "../format.ts"
import { StatusBadge } from "../parts/StatusBadge.tsx"
import { Table } from "../parts/Table.tsx"
import { clientPath, journeyPath } from "../router.ts"
import type { SampleClient } from "./SampleClient.ts"

export const SampleTable = ({ samples }: { readonly samples: ReadonlyArray<SampleClient> }) => (
  <Table label="Sample clients" headings={["client", "status", "#results", "last", "connection"]}>
    {samples.map((sample) => (
      <Row key={sample.clientId} sample={sample} />
    ))}
  </Table>
)

const Row = ({ sample }: { readonly sample: SampleClient }) => {
  const { clientId } = sample
  const { fault, isCut, lastSeq, received, status } = sample.view.value
  return (
    <tr>
      <th scope="row">
        <a href={clientPath(clientId)}>{clientId}</a>
      </th>
      <td>{fault === undefined ? <StatusBadge status={status} /> : <span class="warning">{fault}</span>}</td>
      <td class="number">{count(received)}</td>
      <td>
        {lastSeq !== undefined && (
          <a href={journeyPath(clientId, lastSeq)} aria-label={`Journey of ${clientId}, ${lastSeq}`}>
            {lastSeq}
          </a>
        )}
      </td>
      <td>
        <button
          type="button"
          aria-label={`${isCut ? "Bring back" : "Cut off"} ${clientId}`}
          onClick={() => (isCut ? sample.bringBack() : sample.cut())}
        >
          {isCut ? "Back" : "Cut off"}
        </button>
      </td>
    </tr>
  )
}
