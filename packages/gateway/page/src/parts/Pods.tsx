/** The gateways, by their leases. */
import { count } from "../format.ts"
import { snapshot } from "../state/live.ts"
import { Panel } from "./Panel.tsx"
import { PodName } from "./PodName.tsx"
import { Table } from "./Table.tsx"

export const Pods = () => {
  const shown = snapshot.value
  return (
    <Panel id="pods" title="Gateways">
      <Table label="List of gateways" headings={["gateway", "lease", "#clients"]}>
        {(shown?.pods ?? []).map(({ clients, isLive, pod }) => (
          <tr key={pod}>
            <th scope="row">
              <PodName pod={pod} /> {pod === shown?.pod && "this one"}
            </th>
            <td>{isLive ? "held" : <span class="warning">run out</span>}</td>
            <td class="number">{count(clients)}</td>
          </tr>
        ))}
      </Table>
    </Panel>
  )
}
